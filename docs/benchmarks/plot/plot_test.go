package plot

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

func chart() *Chart {
	return &Chart{Title: "cost & size", XTitle: "children", X: tick, Y: tick, Lines: []Line{
		{Name: "start", Points: []Point{{100, 10}, {1000, 12}, {1e6, 15}}},
		{Name: "stop", Colour: 1, Dashed: true, Points: []Point{{100, 9}, {1e6, 14.5}}},
	}}
}

func tick(value float64) string { return fmt.Sprint(value) }

func TestSVGIsWellFormed(t *testing.T) {
	svg := chart().SVG()
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []string{"cost &amp; size", ">start<", ">stop<", `class="line dashed"`, "prefers-color-scheme: dark"} {
		if !strings.Contains(svg, part) {
			t.Errorf("no %q", part)
		}
	}
	if n := strings.Count(svg, "<circle"); n != 5 {
		t.Errorf("%d points, want 5", n)
	}
}

func TestEachPowerOfTenIsAsFarFromTheNext(t *testing.T) {
	a := axis{low: 1, high: 10_000, from: 100, to: 500}
	for value, want := range map[float64]float64{1: 100, 10: 200, 10_000: 500} {
		if got := a.at(value); math.Abs(got-want) > 0.01 {
			t.Errorf("%v is at %v, want %v", value, got, want)
		}
	}
}

func TestAnAxisReachesFromTickToTick(t *testing.T) {
	for _, c := range []struct{ values, ticks []float64 }{
		{[]float64{100, 1e6}, []float64{100, 1_000, 10_000, 100_000, 1e6}},
		{[]float64{1.2, 23}, []float64{1, 3, 10, 30}},
		{[]float64{3, 30}, []float64{3, 10, 30}},
		{[]float64{4, 9}, []float64{3, 10}},
		{[]float64{5}, []float64{3, 10}},
		{[]float64{1}, []float64{1, 3}},
	} {
		got := newAxis(c.values, 0, 1).ticks()
		if len(got) != len(c.ticks) {
			t.Errorf("%v: ticks %v, want %v", c.values, got, c.ticks)
			continue
		}
		for i := range got {
			if math.Abs(got[i]/c.ticks[i]-1) > 0.001 {
				t.Errorf("%v: ticks %v, want %v", c.values, got, c.ticks)
			}
		}
	}
}

func TestNamesAreNotOnEachOther(t *testing.T) {
	c := chart()
	for range 8 { // all of which end at the bottom
		c.Lines = append(c.Lines, Line{Name: "low", Points: []Point{{100, 10}, {1e6, 1}}})
	}
	_, y := c.axes()
	places := apart(c.Lines, y)
	for i, place := range places {
		if i > 0 && place-places[i-1] < lineHeight-0.01 {
			t.Errorf("name %d is on the one before: %v", i, places)
		}
		if place > height-bottom {
			t.Errorf("name %d is below the picture: %v", i, places)
		}
	}
}
