package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEveryCrowdIsMeasured, briefly: restarts go on beside it, and it called.
func TestEveryCrowdIsMeasured(t *testing.T) {
	for _, what := range asks {
		var s stall
		if err := fresh("contend", crowd{what, time.Millisecond, 50 * time.Millisecond}, &s); err != nil {
			t.Fatal(err)
		}
		if s.Calls < callers || s.Restarts == 0 || s.P50 <= 0 || s.Max < s.P99 || s.P99 < s.P50 {
			t.Errorf("%s: %+v", what, s)
		}
	}
	p := pressing{Stalls: []stall{{Crowd: crowd{"Find", 0, time.Second}, Calls: 64_000, P50: 1500}}}
	if text := p.report(); !strings.Contains(text, "| Find | none | 64,000 | 0 | 1.50 µs |") {
		t.Error(text)
	}
}

func TestATreeAtRestIsMeasured(t *testing.T) {
	var d doze
	if err := fresh("nap", nap{coppice.called, 10, 50 * time.Millisecond}, &d); err != nil || d.Nap.Children != 10 {
		t.Error(d, err)
	}
	n := night{Dozes: []doze{{Nap: d.Nap, CPU: 500 * time.Microsecond}}}
	if text := n.report(); !slices.Contains(strings.Split(text, "\n"), "| coppice | 10 | 500 µs | 1.0000 % | 0 |") {
		t.Error(text)
	}
}
