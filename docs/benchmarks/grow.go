package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/coppice-go/coppice/docs/benchmarks/page"
)

// A growth is how the cost of one host's trees grows along one direction.
type growth struct {
	Along  string
	Host   string
	Points []grownPoint
}

// A grownPoint is the medians of some rounds.
type grownPoint struct {
	X     int // how many children, levels, or children per supervisor
	By    int // how many children or levels share the cost of the whole tree
	Whole yield
	Climb float64 // along depth: a worker's status to the root, nanoseconds
}

// A harvest is all growths of one run.
type harvest struct {
	Setting page.Setting
	Rounds  int
	Growths []growth
}

// A direction is what is varied, how the tree is built then, and by what its
// whole cost is divided.
type direction struct {
	name  string
	xs    func(most int) []int
	shape func(x, most int) []int
	by    func(x, most int) int
}

var directions = []direction{
	{"children", func(most int) []int { return decades(100, most) },
		func(x, _ int) []int { return []int{x} },
		func(x, _ int) int { return x }},
	{"depth", func(most int) []int { return upTo(most, 1, 3, 10, 30, 100, 300, 1_000) },
		func(x, _ int) []int { return repeat(1, x) },
		func(x, _ int) int { return x }},
	{"fan-out", func(most int) []int { return decades(1, fanned(most)) },
		func(x, most int) []int { return []int{fanned(most) / x, x} },
		func(_, most int) int { return fanned(most) }},
}

// fanned is how many children the trees have whose fan-out is varied.
func fanned(most int) int { return min(most, 100_000) }

func decades(from, to int) (xs []int) {
	for x := from; x <= to; x *= 10 {
		xs = append(xs, x)
	}
	return xs
}

func upTo(most int, xs ...int) (few []int) {
	for _, x := range xs {
		if x <= most {
			few = append(few, x)
		}
	}
	return few
}

func repeat(width, n int) (widths []int) {
	for range n {
		widths = append(widths, width)
	}
	return widths
}

func growCommand(args []string) error {
	flags := flag.NewFlagSet("grow", flag.ExitOnError)
	most := flags.Int("most", 1_000_000, "how many children the largest tree has, a power of ten; a million need 10 GiB")
	rounds := flags.Int("rounds", 3, "how often each tree is measured; the largest ones once")
	restarts := flags.Int("restarts", 10_000, "how often one child fails in each tree")
	save := flags.Bool("save", false, "write results/grow.json, the plots and the section of docs/performance.md")
	_ = flags.Parse(args)
	if err := enoughMemory(*most); err != nil {
		return err
	}
	h := harvest{Rounds: *rounds}
	if err := h.grow(*most, *restarts); err != nil {
		return err
	}
	fmt.Print(h.report())
	if !*save {
		return nil
	}
	return keep("grow", &h)
}

// enoughMemory refuses what the machine has no memory for: 8 KiB for a child,
// and what its Spec takes while it is read.
func enoughMemory(children int) error {
	text, _ := os.ReadFile("/proc/meminfo")
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	var free int
	if n, _ := fmt.Sscan(rest, &free); n == 0 {
		return nil // not a system that tells
	}
	if need := 10 * children; free < need {
		return fmt.Errorf("%s children need %s of memory, and %s are free: choose less by -most",
			page.Count(children), page.Bytes(float64(need)*1024), page.Bytes(float64(free)*1024))
	}
	return nil
}

func (h *harvest) grow(most, restarts int) error {
	for _, d := range directions {
		for _, host := range []*host{coppice, raw} {
			g := growth{Along: d.name, Host: host.called}
			for _, x := range d.xs(most) {
				fmt.Fprintln(os.Stderr, host.called, d.name, x)
				whole, err := h.measure(shape{host.called, d.shape(x, most), restarts})
				point := grownPoint{X: x, By: d.by(x, most), Whole: whole}
				if err == nil && d.name == "depth" && host == coppice {
					err = fresh("climb", x, &point.Climb)
				}
				if err != nil {
					return err
				}
				g.Points = append(g.Points, point)
			}
			h.Growths = append(h.Growths, g)
		}
	}
	h.Setting = page.Here(page.Again("."))
	return nil
}

// measure takes the medians of some rounds.
func (h *harvest) measure(s shape) (yield, error) {
	rounds := h.Rounds
	if leaves(s.Widths) >= 1_000_000 {
		rounds = 1
	}
	all := make([]yield, rounds)
	for i := range all {
		if err := fresh("shape", s, &all[i]); err != nil {
			return yield{}, err
		}
	}
	middle := func(of func(yield) float64) float64 {
		var values []float64
		for _, y := range all {
			values = append(values, of(y))
		}
		return page.Median(values)
	}
	return yield{
		Start: middle(yield.start), Restart: middle(yield.restart), Stop: middle(yield.stop),
		Heap: middle(yield.heap), Stack: middle(yield.stack),
	}, nil
}
