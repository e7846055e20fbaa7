package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coppice-go/coppice/docs/benchmarks/page"
)

// A unit says by what a cost is divided to be read, and what it is then.
type unit func(cost float64) (by float64, suffix string)

func nanos(cost float64) (float64, string) { return page.Scale(cost) }
func octets(float64) (float64, string)     { return 1, " B" }
func times(float64) (float64, string)      { return 1, "" }

// report is the table, with what must be known to judge it.
func (s *standing) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s\n\n%s. Medians of %d rounds, the least and the most in brackets; → is coppice's cost divided by theirs.\n"+
		"%s children in the large trees; costs are per child, restart, pair or answer.\n\n",
		s.Setting.Command, s.Setting, s.Rounds, page.Count(s.Size.Children))
	head, rule := "| work |", "|---|"
	for _, name := range s.Contestants {
		head += " " + name + " |"
		rule += "---|"
	}
	fmt.Fprintf(&b, "%s\n%s\n", head, rule)
	for _, r := range s.Results {
		b.WriteString(r.row())
	}
	for _, who := range s.Absent {
		fmt.Fprintf(&b, "\nNot measured: %s.\n", who)
	}
	return b.String()
}

func (r *result) row() string {
	row := "| " + r.Work + " |"
	for i, costs := range r.Costs {
		row += " " + r.cell(costs, i == 0) + " |"
	}
	return row + "\n"
}

func (r *result) cell(costs []float64, ours bool) string {
	if len(costs) == 0 {
		return "–"
	}
	by, suffix := workNamed(r.Work).unit(page.Median(costs))
	figure := func(cost float64) string { return page.Digits(cost / by) }
	cell := fmt.Sprintf("%s%s (%s–%s)", figure(page.Median(costs)), suffix, figure(slices.Min(costs)), figure(slices.Max(costs)))
	if !ours && len(r.Costs[0]) > 0 {
		cell += " → " + page.Digits(ratio(r.Costs[0], costs))
	}
	return cell
}
