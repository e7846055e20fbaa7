package main

import (
	"errors"
	"strings"
	"testing"
)

// TestEverybodyReallyDoesTheWork runs everything once, small. Each contestant
// counts what it has done, and measure fails if that is not what it should be.
func TestEverybodyReallyDoesTheWork(t *testing.T) {
	all, absent := contestants()
	t.Log("absent:", absent)
	s := newSize(100, true)
	for _, w := range works {
		if w.want(s) < 10 {
			t.Errorf("%s: only %d things to do", w.name, w.want(s))
		}
		for _, c := range all {
			cost, err := measure(c, w, s)
			if !errors.Is(err, errDash) && (err != nil || w.name != "memory" && cost <= 0) {
				t.Errorf("%s: %s: cost %v, %v", w.name, c.name(), cost, err)
			}
		}
	}
}

// TestWhoDoesNotDoTheWorkIsFound: the harness believes nobody.
func TestWhoDoesNotDoTheWorkIsFound(t *testing.T) {
	lazy := &work{name: "nothing", want: func(size) int { return 2 },
		measure: func(*host, size) (sample, error) { return sample{cost: 1, did: 1}, nil }}
	_, err := race([]*work{lazy}, []contestant{bare}, size{}, 1, func(*work) {})
	if err == nil || err.Error() != "nothing: bare goroutines: did 1 of 2" {
		t.Error(err)
	}
}

// TestReportComparesRoundByRound: a round in which the machine was slow for
// all does not touch the ratio.
func TestReportComparesRoundByRound(t *testing.T) {
	results := []result{{work: &work{name: "w", unit: nanos}, costs: [][]float64{{10, 20, 2000}, {5, 10, 1000}, nil}}}
	text := report(results, []contestant{coppice, bare, loop}, []string{"somebody"}, 3)
	want := "| work | coppice | bare goroutines | one loop |\n|---|---|---|---|\n" +
		"| w | 20.0 ns (10.0–2000) | 10.0 ns (5.00–1000) → 2.00 | – |\n\nNot measured: somebody.\n"
	if !strings.HasSuffix(text, want) {
		t.Errorf("got:\n%s\nwant at its end:\n%s", text, want)
	}
}

func TestChooseTakesNamesByTheirStart(t *testing.T) {
	for words, want := range map[string]int{"": len(works), "st": 3, "restart": 2, "panics,memory": 2, "nothing": 0} {
		if got := len(choose(works, words)); got != want {
			t.Errorf("%q: %d works, want %d", words, got, want)
		}
	}
}
