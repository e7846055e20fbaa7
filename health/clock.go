package health

import (
	"fmt"
	"time"
)

// A clock words how long ago things were, and how far away they are. A quiet one
// leaves the words to the page's module, which keeps them true: then a page on
// which nothing has happened is the same, byte for byte.
type clock struct {
	now   time.Time
	quiet bool
}

// A moment is a time on the page. "%s" in Past or Left is how long since it, or
// until it.
type moment struct {
	At   time.Time
	Past string
	Left string
	Text string // "" if the clock is quiet
}

// ago is a moment that lies behind, nil for a time that never was.
func (c clock) ago(at time.Time, words string) *moment {
	if at.IsZero() {
		return nil
	}
	return &moment{At: at, Past: words, Text: c.say(words, span(c.now.Sub(at)))}
}

// in is a moment that lies ahead.
func (c clock) in(at time.Time, words string) *moment {
	return &moment{At: at, Left: words, Text: c.say(words, countdown(at.Sub(c.now)))}
}

func (c clock) say(words, how string) string {
	if c.quiet {
		return ""
	}
	return fmt.Sprintf(words, how)
}

// stamp is a time for programs.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// span is a length of time for people, in its two largest units.
func span(d time.Duration) string {
	d = max(0, d)
	s, m, h := int(d/time.Second), int(d/time.Minute), int(d/time.Hour)
	switch {
	case m == 0:
		return fmt.Sprintf("%d s", s)
	case h == 0:
		return fmt.Sprintf("%d min %d s", m, s%60)
	case h < 48:
		return fmt.Sprintf("%d h %d min", h, m%60)
	}
	return fmt.Sprintf("%d d %d h", h/24, h%24)
}

// countdown is a short wait, to a tenth of a second while that tells.
func countdown(d time.Duration) string {
	d = max(0, d)
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return span(d)
}

// number is a count of things, in English.
func number(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
