package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/coppice-go/coppice/docs/benchmarks/page"
	"github.com/coppice-go/coppice/docs/benchmarks/plot"
)

// A picture is a plot of one direction: which values of a point it shows.
type picture struct {
	file, along   string
	title, xTitle string
	y             func(float64) string
	values        []value
}

type value struct {
	name string
	of   func(grownPoint) float64
}

func each(of func(yield) float64) func(grownPoint) float64 {
	return func(p grownPoint) float64 { return of(p.Whole) / float64(p.By) }
}

func whole(of func(yield) float64) func(grownPoint) float64 {
	return func(p grownPoint) float64 { return of(p.Whole) }
}

func climb(p grownPoint) float64 { return p.Climb }

var (
	inTime   = []value{{"start", each(yield.start)}, {"restart", whole(yield.restart)}, {"stop", each(yield.stop)}}
	inMemory = []value{{"heap", each(yield.heap)}, {"stack", each(yield.stack)}}
)

var pictures = []picture{
	{"children-time", "children", "Time per child, all below one supervisor", "children", tickTime, inTime},
	{"children-memory", "children", "Memory per child while it idles", "children", tickBytes, inMemory},
	{"depth-time", "depth", "One worker at the end of a chain of supervisors: time per level", "levels",
		tickTime, append(inTime[:3:3], value{"status to root", climb})},
	{"fan-out-time", "fan-out", "The same children, below ever fewer supervisors: time per child", "children of each supervisor", tickTime, inTime},
	{"fan-out-memory", "fan-out", "The same children, below ever fewer supervisors: memory per child", "children of each supervisor", tickBytes, inMemory},
}

// tickTime and tickBytes are for powers of ten, which need no digits.
func tickTime(ns float64) string {
	by, unit := page.Scale(ns * 1.001) // which may be a little less than it was meant to be
	return fmt.Sprintf("%.0f%s", ns/by, unit)
}

func tickBytes(n float64) string { return page.Count(int(n+0.5)) + " B" }

func tickCount(n float64) string { return page.Count(int(n + 0.5)) }

// draw writes the plots into dir.
func (h *harvest) draw(dir string) error {
	errs := []error{os.MkdirAll(dir, 0o755)}
	for i := range pictures {
		errs = append(errs, os.WriteFile(filepath.Join(dir, pictures[i].file+".svg"), []byte(h.svg(&pictures[i])), 0o644))
	}
	return errors.Join(errs...)
}

func (h *harvest) svg(p *picture) string {
	chart := plot.Chart{Title: p.title, XTitle: p.xTitle, X: tickCount, Y: p.y}
	for _, g := range h.Growths {
		if g.Along != p.along {
			continue
		}
		for i, v := range p.values {
			line := plot.Line{Name: v.name + ", " + g.short(), Colour: i, Dashed: g.Host != coppice.called, Points: g.line(v)}
			if len(line.Points) > 0 {
				chart.Lines = append(chart.Lines, line)
			}
		}
	}
	return chart.SVG()
}

// short is the host's name without its version.
func (g *growth) short() string {
	name, _, _ := strings.Cut(g.Host, " ")
	return name
}

// line has the points that have the value: what was not measured is zero.
func (g *growth) line(v value) (points []plot.Point) {
	for _, p := range g.Points {
		if y := v.of(p); y > 0 {
			points = append(points, plot.Point{X: float64(p.X), Y: y})
		}
	}
	return points
}

// report is the section of docs/performance.md: the plots, and the last point
// of each growth in numbers.
func (h *harvest) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s\n\n%s. Medians of %d rounds, each in a fresh process; trees of a million children once.\n\n", h.Setting.Command, h.Setting, h.Rounds)
	for _, p := range pictures {
		fmt.Fprintf(&b, "![%s](plots/%s.svg)\n", p.title, p.file)
	}
	b.WriteString("\n| the largest of each | start | restart | stop | heap | stack | status to the root |\n|---|---|---|---|---|---|---|\n")
	for _, g := range h.Growths {
		b.WriteString(g.last())
	}
	return b.String()
}

// last is a row for the tree at the far end of the direction.
func (g *growth) last() string {
	p := g.Points[len(g.Points)-1]
	what := fmt.Sprintf("%s children below one supervisor", page.Count(p.X))
	switch g.Along {
	case "depth":
		what = fmt.Sprintf("%s levels with one worker at the end", page.Count(p.X))
	case "fan-out":
		p = g.Points[0]
		what = fmt.Sprintf("%s supervisors with one worker each", page.Count(p.By))
	}
	status := "–"
	if p.Climb > 0 {
		status = page.Nanoseconds(p.Climb)
	}
	y := p.Whole
	return fmt.Sprintf("| %s: %s | %s | %s | %s | %s | %s | %s |\n", what, g.short(),
		page.Nanoseconds(y.Start), page.Nanoseconds(y.Restart), page.Nanoseconds(y.Stop), page.Bytes(y.Heap), page.Bytes(y.Stack), status)
}
