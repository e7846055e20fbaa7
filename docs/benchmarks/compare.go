package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"

	"github.com/coppice-go/coppice/docs/benchmarks/page"
)

// bearable is by how much a ratio may grow before it is reported.
const bearable = 1.3

// errWorse says that something was reported.
var errWorse = errors.New("coppice costs more than it did, beside others")

// compareCommand runs the race of results/race.json again, and reports the
// ratios that have become worse. What looks worse is measured as often again,
// and reported if it still does: on a shared machine one look says little.
func compareCommand(args []string) error {
	flags := flag.NewFlagSet("compare", flag.ExitOnError)
	rounds := flags.Int("rounds", 3, "rounds of each work")
	only := flags.String("only", "", "works to compare, by the start of their names, separated by commas")
	_ = flags.Parse(args)
	var before standing
	if err := page.Load(".", "race", &before); err != nil {
		return err
	}
	now := standing{Size: before.Size, Rounds: *rounds}
	everybody, _ := contestants()
	if err := now.race(choose(works, *only), everybody); err != nil {
		return err
	}
	if before.Setting.CPU != now.Setting.CPU || before.Setting.Cores != now.Setting.Cores {
		fmt.Printf("another machine: %s; results/race.json is of %s\n", now.Setting, before.Setting)
	}
	again := standing{Size: before.Size, Rounds: *rounds}
	if err := again.race(worksOf(worse(&before, &now)), everybody); err != nil {
		return err
	}
	now.add(&again)
	return tell(worse(&before, &now))
}

// A worsening is a ratio that has grown more than is bearable.
type worsening struct {
	work, beside string
	was, is      float64
}

// worse compares the ratios of two races, where both have one.
func worse(before, now *standing) (all []worsening) {
	for _, r := range now.Results {
		for _, name := range now.Contestants[1:] {
			was, is := before.ratio(r.Work, name), now.ratio(r.Work, name)
			if was > 0 && is > was*bearable {
				all = append(all, worsening{r.Work, name, was, is})
			}
		}
	}
	return all
}

// ratio is the first contestant's least cost of a work by another's; 0 if there
// is none. What else runs on the machine only ever adds to a cost, so the least
// of some rounds is the nearest to that of a machine of one's own.
func (s *standing) ratio(work, name string) float64 {
	at := slices.IndexFunc(s.Results, func(r result) bool { return r.Work == work })
	who := slices.Index(s.Contestants, name)
	if at < 0 || who < 0 || len(s.Results[at].Costs[who]) == 0 || len(s.Results[at].Costs[0]) == 0 {
		return 0
	}
	return slices.Min(s.Results[at].Costs[0]) / slices.Min(s.Results[at].Costs[who])
}

// worksOf returns the works of the worsenings, each once, in order.
func worksOf(all []worsening) (chosen []*work) {
	for _, w := range works {
		if slices.ContainsFunc(all, func(worse worsening) bool { return worse.work == w.name }) {
			chosen = append(chosen, w)
		}
	}
	return chosen
}

// add takes in the rounds of another race among the same contestants.
func (s *standing) add(other *standing) {
	for _, r := range other.Results {
		at := slices.IndexFunc(s.Results, func(own result) bool { return own.Work == r.Work })
		for who, costs := range r.Costs {
			s.Results[at].Costs[who] = append(s.Results[at].Costs[who], costs...)
		}
	}
}

func tell(all []worsening) error {
	for _, w := range all {
		fmt.Printf("%s, beside %s: %s, was %s (%+.0f %%)\n", w.work, w.beside, page.Digits(w.is), page.Digits(w.was), 100*(w.is/w.was-1))
	}
	if len(all) > 0 {
		return errWorse
	}
	return nil
}
