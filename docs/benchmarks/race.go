package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/coppice-go/coppice/docs/benchmarks/page"
)

// A contestant does works. errDash says that it does not do this one.
type contestant interface {
	name() string
	measure(*work, size) (sample, error)
}

// A standing is what a race came to.
type standing struct {
	Setting     page.Setting
	Size        size
	Rounds      int
	Contestants []string
	Absent      []string
	Results     []result
}

// A result is what the contestants needed for one work: their costs round by
// round, in the order of the contestants; none for who does not do it.
type result struct {
	Work  string
	Costs [][]float64
}

func raceCommand(args []string) error {
	flags := flag.NewFlagSet("race", flag.ExitOnError)
	quick := flags.Bool("quick", false, "fewer repeats of everything but the starts")
	rounds := flags.Int("rounds", 0, "rounds of each work; 0 is 7, 3 with -quick")
	children := flags.Int("children", 100_000, "how many children the large trees have")
	only := flags.String("only", "", "works to measure, by the start of their names, separated by commas")
	save := flags.Bool("save", false, "write results/race.json and the table in docs/performance.md")
	_ = flags.Parse(args)
	if *save && *only != "" {
		return errors.New("-save is for all works: leave out -only")
	}
	if *rounds == 0 {
		*rounds = map[bool]int{true: 3, false: 7}[*quick]
	}
	everybody, absent := contestants()
	s := standing{Size: newSize(*children, *quick), Rounds: *rounds, Absent: absent}
	if err := s.race(choose(works, *only), everybody); err != nil {
		return err
	}
	fmt.Print(s.report())
	if !*save {
		return nil
	}
	return keep("race", &s)
}

// choose returns the works whose names start with one of the comma-separated
// words; all of them for "".
func choose(all []*work, words string) (chosen []*work) {
	for _, w := range all {
		for word := range strings.SplitSeq(words, ",") {
			if strings.HasPrefix(w.name, word) {
				chosen = append(chosen, w)
				break
			}
		}
	}
	return chosen
}

// race measures the works one after the other. In each round every contestant
// has its turn, so that what the machine does meanwhile falls on all of them.
func (s *standing) race(works []*work, all []contestant) error {
	for _, c := range all {
		s.Contestants = append(s.Contestants, c.name())
	}
	for _, w := range works {
		fmt.Fprintln(os.Stderr, w.name)
		r := result{Work: w.name, Costs: make([][]float64, len(all))}
		for round := range s.Rounds {
			if err := r.round(w, all, s.Size, round); err != nil {
				return err
			}
		}
		s.Results = append(s.Results, r)
	}
	s.Setting = page.Here(page.Again("."))
	return nil
}

// round gives everybody a turn, each round another one first.
func (r *result) round(w *work, all []contestant, s size, round int) error {
	for i := range all {
		who := (i + round) % len(all)
		cost, err := measure(all[who], w, s)
		if errors.Is(err, errDash) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", w.name, all[who].name(), err)
		}
		r.Costs[who] = append(r.Costs[who], cost)
	}
	return nil
}

// measure returns a cost, once it is known that the work was really done.
func measure(c contestant, w *work, s size) (float64, error) {
	got, err := c.measure(w, s)
	if want := w.want(s); err == nil && got.Did != want {
		return 0, fmt.Errorf("did %d of %d", got.Did, want)
	}
	return got.Cost, err
}

// ratio is the median of the first one's costs by the other's, round by round:
// two turns of one round have met the same machine.
func ratio(ours, theirs []float64) float64 {
	var by []float64
	for i := range ours {
		by = append(by, ours[i]/theirs[i])
	}
	return page.Median(by)
}
