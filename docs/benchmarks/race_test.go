package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestEverybodyReallyDoesTheWork runs everything once, small. Each contestant
// counts what it has done, and measure fails if that is not what it should be.
func TestEverybodyReallyDoesTheWork(t *testing.T) {
	all, absent := contestants()
	if t.Log("absent:", absent); len(absent) > 0 && os.Getenv("CI") == "true" {
		t.Error("CI has them all")
	}
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

// A lazy contestant does half of what it is asked for.
type lazy struct{}

func (lazy) name() string { return "lazy" }

func (lazy) measure(w *work, s size) (sample, error) { return sample{1, w.want(s) / 2}, nil }

// TestWhoDoesNotDoTheWorkIsFound: the harness believes nobody.
func TestWhoDoesNotDoTheWorkIsFound(t *testing.T) {
	s := standing{Size: newSize(10, true), Rounds: 1}
	err := s.race(choose(works, "stop"), []contestant{lazy{}})
	if err == nil || err.Error() != "stop: lazy: did 5 of 10" {
		t.Error(err)
	}
}

// TestReportComparesRoundByRound: a round in which the machine was slow for
// all does not touch the ratio.
func TestReportComparesRoundByRound(t *testing.T) {
	s := standing{Rounds: 3, Contestants: []string{"a", "b", "c"}, Absent: []string{"somebody"},
		Results: []result{{"stop", [][]float64{{10, 20, 2000}, {5, 10, 1000}, nil}}}}
	want := "| work | a | b | c |\n|---|---|---|---|\n" +
		"| stop | 20.0 ns (10.0–2000) | 10.0 ns (5.00–1000) → 2.00 | – |\n\nNot measured: somebody.\n"
	if text := s.report(); !strings.HasSuffix(text, want) {
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
