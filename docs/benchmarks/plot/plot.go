// Package plot draws lines over two logarithmic axes, as SVG that can be read
// on light and on dark.
package plot

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// A Chart is some lines, and what the axes say. All values must be positive.
type Chart struct {
	Title  string
	XTitle string
	X, Y   func(float64) string // the words at a tick
	Lines  []Line
}

// A Line is the points of one thing, in order of X. Lines of one colour belong
// together; the second of them is dashed.
type Line struct {
	Name   string
	Colour int // 0 to 4
	Dashed bool
	Points []Point
}

// A Point is a measured pair.
type Point struct{ X, Y float64 }

// Where things stand, in pixels.
const (
	width, height            = 760, 400
	left, right, top, bottom = 84, 186, 52, 56
	lineHeight               = 16
)

const style = `<style>
svg { --ink: #1f2328; --soft: #59636e; --grid: #d1d9e0; --paper: #ffffff; --c0: #0a7d4f; --c1: #0550ae; --c2: #bc4c00; --c3: #8250df; --c4: #bf3989;
font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
@media (prefers-color-scheme: dark) { svg { --ink: #f0f6fc; --soft: #9198a1; --grid: #3d444d; --paper: #0d1117;
--c0: #3fb950; --c1: #58a6ff; --c2: #f0883e; --c3: #bc8cff; --c4: #f778ba; } }
.paper { fill: var(--paper); } .title { font-size: 15px; font-weight: 600; fill: var(--ink); } .tick { fill: var(--soft); }
.grid { stroke: var(--grid); stroke-width: 1; } .line { fill: none; stroke-width: 2.25; stroke-linejoin: round; } .dashed { stroke-dasharray: 6 4; }
</style>
`

// SVG returns the drawing.
func (c *Chart) SVG() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n%s", html.EscapeString(c.Title), style)
	fmt.Fprintf(&b, `<rect class="paper" width="%d" height="%d" rx="8"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="30">%s</text>`+"\n", 24, html.EscapeString(c.Title))
	x, y := c.axes()
	c.grid(&b, x, y)
	for _, l := range c.Lines {
		l.draw(&b, x, y)
	}
	c.names(&b, y)
	b.WriteString("</svg>\n")
	return b.String()
}

// An axis takes values between two ticks to pixels.
type axis struct {
	low, high float64
	from, to  float64 // pixels
}

func (a axis) at(value float64) float64 {
	return a.from + math.Log(value/a.low)/math.Log(a.high/a.low)*(a.to-a.from)
}

// newAxis reaches from the tick below the least value to that above the most.
func newAxis(values []float64, from, to float64) axis {
	least, most := slices.Min(values), slices.Max(values)
	a := axis{low: math.Pow(10, math.Floor(math.Log10(least))), high: math.Pow(10, math.Ceil(math.Log10(most))), from: from, to: to}
	if 3*a.low <= least {
		a.low *= 3
	}
	if a.high/10*3 >= most && a.high > most {
		a.high *= 0.3
	}
	a.high = max(a.high, 3*a.low)
	return a
}

// ticks are the powers of ten, and three times those where there is room.
func (a axis) ticks() (values []float64) {
	few := a.high/a.low > 2_000
	for power := math.Pow(10, math.Floor(math.Log10(a.low))); power <= a.high*1.01; power *= 10 {
		for _, value := range []float64{power, 3 * power} {
			if value >= a.low*0.99 && value <= a.high*1.01 && (value == power || !few) {
				values = append(values, value)
			}
		}
	}
	return values
}

func (c *Chart) axes() (x, y axis) {
	var xs, ys []float64
	for _, l := range c.Lines {
		for _, p := range l.Points {
			xs, ys = append(xs, p.X), append(ys, p.Y)
		}
	}
	return newAxis(xs, left, width-right), newAxis(ys, height-bottom, top)
}

func (c *Chart) grid(b *strings.Builder, x, y axis) {
	for _, value := range y.ticks() {
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, left, width-right, y.at(value), y.at(value))
		fmt.Fprintf(b, `<text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-10, y.at(value)+4, html.EscapeString(c.Y(value)))
	}
	for _, value := range x.ticks() {
		fmt.Fprintf(b, `<text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x.at(value), height-bottom+20, html.EscapeString(c.X(value)))
	}
	fmt.Fprintf(b, `<text class="tick" x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+width-right)/2, height-14, html.EscapeString(c.XTitle))
}

func (l *Line) draw(b *strings.Builder, x, y axis) {
	var points []string
	for _, p := range l.Points {
		points = append(points, fmt.Sprintf("%.1f,%.1f", x.at(p.X), y.at(p.Y)))
	}
	class := "line"
	if l.Dashed {
		class += " dashed"
	}
	fmt.Fprintf(b, `<polyline class="%s" stroke="var(--c%d)" points="%s"/>`+"\n", class, l.Colour, strings.Join(points, " "))
	for _, p := range l.Points {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.25" fill="var(--c%d)"/>`, x.at(p.X), y.at(p.Y), l.Colour)
	}
	b.WriteString("\n")
}

// names puts each line's name beside its end, or as near as there is room.
func (c *Chart) names(b *strings.Builder, y axis) {
	lines := slices.Clone(c.Lines)
	slices.SortStableFunc(lines, func(a, b Line) int { return int(y.at(a.end()) - y.at(b.end())) })
	places := apart(lines, y)
	for i, l := range lines {
		fmt.Fprintf(b, `<text x="%d" y="%.1f" fill="var(--c%d)">%s</text>`+"\n", width-right+12, places[i]+4, l.Colour, html.EscapeString(l.Name))
	}
}

func (l *Line) end() float64 { return l.Points[len(l.Points)-1].Y }

// apart returns heights for the lines' names, none of which is on another: down
// from the first, and up again if that led out of the picture.
func apart(lines []Line, y axis) (places []float64) {
	for i, l := range lines {
		places = append(places, y.at(l.end()))
		if i > 0 {
			places[i] = max(places[i], places[i-1]+lineHeight)
		}
	}
	lowest := float64(height - bottom)
	for i := len(places) - 1; i >= 0; i-- {
		places[i] = min(places[i], lowest)
		lowest = places[i] - lineHeight
	}
	return places
}
