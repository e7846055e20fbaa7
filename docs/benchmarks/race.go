package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
)

// A contestant does works. errDash says that it does not do this one.
type contestant interface {
	name() string
	measure(*work, size) (sample, error)
}

// A result is what the contestants needed for one work: their costs round by
// round, in the order of the contestants; none for who does not do it.
type result struct {
	work  *work
	costs [][]float64
}

// race measures the works one after the other. In each round every contestant
// has its turn, so that what the machine does meanwhile falls on all of them.
func race(works []*work, all []contestant, s size, rounds int, begun func(*work)) ([]result, error) {
	warmUp(s)
	var results []result
	for _, w := range works {
		begun(w)
		r := result{work: w, costs: make([][]float64, len(all))}
		for round := range rounds {
			if err := r.round(all, s, round); err != nil {
				return nil, err
			}
		}
		results = append(results, r)
	}
	return results, nil
}

// warmUp makes the runtime's descriptors of goroutines, which are never given
// back: or else the first turn would pay for all that follow.
func warmUp(s size) {
	children, up, _ := idlers(s.children * 5 / 4)
	t := bare.start(children)
	up.wait()
	t.stop()
}

// round gives everybody a turn, each round another one first.
func (r *result) round(all []contestant, s size, round int) error {
	for i := range all {
		who := (i + round) % len(all)
		runtime.GC()
		cost, err := measure(all[who], r.work, s)
		if errors.Is(err, errDash) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", r.work.name, all[who].name(), err)
		}
		r.costs[who] = append(r.costs[who], cost)
	}
	return nil
}

// measure returns a cost, once it is known that the work was really done.
func measure(c contestant, w *work, s size) (float64, error) {
	got, err := c.measure(w, s)
	if want := w.want(s); err == nil && got.did != want {
		return 0, fmt.Errorf("did %d of %d", got.did, want)
	}
	return got.cost, err
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// ratio is the median of the first one's costs by the other's, round by round:
// two turns of one round have met the same machine.
func ratio(ours, theirs []float64) float64 {
	var by []float64
	for i := range ours {
		by = append(by, ours[i]/theirs[i])
	}
	return median(by)
}
