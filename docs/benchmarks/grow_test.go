package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGrowMeasuresEveryShape, small: all the points are there, and each cost
// something.
func TestGrowMeasuresEveryShape(t *testing.T) {
	h := harvest{Rounds: 1}
	if err := h.grow(100, 5); err != nil {
		t.Fatal(err)
	}
	var points []int
	for _, g := range h.Growths {
		points = append(points, len(g.Points))
		for _, p := range g.Points {
			if p.Whole.Start <= 0 || p.Whole.Restart <= 0 || p.Whole.Stop <= 0 {
				t.Errorf("%s %s %d: %+v", g.Host, g.Along, p.X, p)
			}
			if climbs := g.Along == "depth" && g.Host == coppice.called; (p.Climb > 0) != climbs {
				t.Errorf("%s %s %d: climbed in %v", g.Host, g.Along, p.X, p.Climb)
			}
		}
	}
	if want := []int{1, 1, 5, 5, 3, 3}; !slices.Equal(points, want) {
		t.Errorf("points %v, want %v", points, want)
	}
	dir := t.TempDir()
	if err := h.draw(dir); err != nil {
		t.Fatal(err)
	}
	for _, p := range pictures {
		svg, err := os.ReadFile(filepath.Join(dir, p.file+".svg"))
		if err != nil || !strings.Contains(h.report(), "plots/"+p.file+".svg") {
			t.Error(p.file, err)
		}
		if lines := strings.Count(string(svg), "<polyline"); lines < len(p.values) {
			t.Errorf("%s has %d lines", p.file, lines)
		}
	}
}

func TestAMillionChildrenNeedTheirMemory(t *testing.T) {
	if err := enoughMemory(10); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/proc/meminfo"); err != nil {
		t.Skip("this system does not tell")
	}
	if err := enoughMemory(1_000_000_000); err == nil || !strings.Contains(err.Error(), "choose less by -most") {
		t.Error(err)
	}
}

func TestTheFailingChildIsTheFirst(t *testing.T) {
	one, other := &child{}, &child{}
	next := firstOf(one, other)
	if next() != one || next() != other || next() != other {
		t.Error("not one, other, other")
	}
}
