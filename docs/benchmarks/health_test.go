package main

import (
	"strings"
	"testing"
	"time"

	"github.com/coppice-go/coppice/docs/benchmarks/health"
)

func TestTheCheckupHasARowForEachLibrary(t *testing.T) {
	c := checkup{Jobs: jobs(400*time.Millisecond, 20*time.Second), Found: []found{{"a", []health.Outcome{
		{P50: 1500, P99: 2500}, {P50: 3500, P99: 4500}, {Slowest: time.Second},
		{Goroutines: 7, Asked: 4, Yes: 1, Silent: 2, Red: 1500 * time.Millisecond},
	}}, {"b", []health.Outcome{{}, {}, {}, {Asked: 1, Yes: 1}}}}}
	text := c.report()
	for _, row := range []string{
		"| a | 1.50 µs (2.50 µs) | 3.50 µs (4.50 µs) | 1.00 s | 7 | after 1.5 s | 25 % | 50 % |\n",
		"| b | 0.00 ns (0.00 ns) | 0.00 ns (0.00 ns) | 0.00 ns | 0 | never | 100 % | 0 % |\n",
		"|---|---|---|---|---|---|---|---|\n",
	} {
		if !strings.Contains(text, row) {
			t.Errorf("no %q in\n%s", row, text)
		}
	}
}
