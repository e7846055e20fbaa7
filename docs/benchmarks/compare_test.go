package main

import (
	"errors"
	"testing"
)

func ran(contestants []string, costs ...[]float64) *standing {
	return &standing{Contestants: contestants, Results: []result{{"stop", costs}}}
}

// TestOnlyARatioThatIsMuchWorseIsReported: not a slower machine, not a little,
// not one that was not there before.
func TestOnlyARatioThatIsMuchWorseIsReported(t *testing.T) {
	before := ran([]string{"coppice", "a", "b"}, []float64{10}, []float64{10}, nil)
	for name, c := range map[string]struct {
		now  *standing
		want int
	}{
		"all slower":   {ran([]string{"coppice", "a"}, []float64{50}, []float64{50}), 0},
		"a little":     {ran([]string{"coppice", "a"}, []float64{12.9}, []float64{10}), 0},
		"much":         {ran([]string{"coppice", "a"}, []float64{13.1}, []float64{10}), 1},
		"one round":    {ran([]string{"coppice", "a"}, []float64{99, 10, 99}, []float64{10, 11, 99}), 0},
		"better":       {ran([]string{"coppice", "a"}, []float64{5}, []float64{10}), 0},
		"new":          {ran([]string{"coppice", "b"}, []float64{50}, []float64{10}), 0},
		"unknown":      {ran([]string{"coppice", "c"}, []float64{50}, []float64{10}), 0},
		"another work": {&standing{Contestants: []string{"coppice", "a"}, Results: []result{{"start", [][]float64{{50}, {10}}}}}, 0},
	} {
		if got := worse(before, c.now); len(got) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestWhatLooksWorseOnceOnlyIsNotReported: the rounds of the second look count
// as those of the first.
func TestWhatLooksWorseOnceOnlyIsNotReported(t *testing.T) {
	both := []string{"coppice", "a"}
	before, now := ran(both, []float64{10}, []float64{10}), ran(both, []float64{20}, []float64{10})
	doubts := worse(before, now)
	if got := worksOf(doubts); len(got) != 1 || got[0].name != "stop" {
		t.Error(got)
	}
	if err := tell(doubts); !errors.Is(err, errWorse) {
		t.Error(err)
	}
	now.add(ran(both, []float64{11}, []float64{12}))
	if err := tell(worse(before, now)); err != nil {
		t.Error(err)
	}
}
