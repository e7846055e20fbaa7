package supervisor

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Backoff spaces the restarts of one child: Min before the first, doubling up
// to Max, each spread by ±Jitter within [0, Max]. It starts over once an
// incarnation has stayed ready, and well, for Settle. The zero value, and every zero
// field, means DefaultBackoff's.
type Backoff struct {
	Min, Max time.Duration

	// Jitter is the share of the delay by which it may differ: 0.2 spreads
	// 1 s over [0.8 s, 1.2 s]. NoJitter is none.
	Jitter float64

	// Settle is how long an incarnation must stay ready for the next failure
	// to count as the first; the time for which it is impaired at its end is
	// not counted. Zero means Max.
	Settle time.Duration

	// Attempts bounds the failures in a row: with one more the child has failed
	// for good and its supervisor fails with it, unless it is Optional: then it
	// is parked. Zero is no bound.
	Attempts int

	// Park is how long a parked child waits for each trial start, spread as the
	// other delays. Zero means DefaultPark.
	Park time.Duration

	none bool
}

// DefaultPark is what a Backoff's zero Park means.
const DefaultPark = 5 * time.Minute

var (
	// DefaultBackoff is what zero fields of a Backoff mean.
	DefaultBackoff = Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second, Jitter: 0.2}

	// NoBackoff restarts at once, however often.
	NoBackoff = Backoff{none: true}
)

// NoJitter is a Backoff's Jitter of none.
const NoJitter = -1.0

// withDefaults resolves the zero fields. A Min above the default Max raises
// Max, and a Max below the default Min lowers Min, so that setting one of them
// is enough.
func (b Backoff) withDefaults() Backoff {
	if b.none {
		return b
	}
	given := b
	b.Settle = b.settle()
	b.Min = orDefault(b.Min, DefaultBackoff.Min)
	b.Max = orDefault(b.Max, DefaultBackoff.Max)
	if given.Max == 0 {
		b.Max = max(b.Max, b.Min)
	}
	if given.Min == 0 {
		b.Min = min(b.Min, b.Max)
	}
	b.Jitter = max(0, orDefault(b.Jitter, DefaultBackoff.Jitter))
	return b
}

// Delay returns how long to wait before the given attempt, counted from 1. It
// is for those who space something else than restarts by a Backoff.
func (b Backoff) Delay(attempt int) time.Duration { return b.delay(attempt, rand.Float64()) }

// delay returns how long to wait before the given attempt, counted from 1.
// random is in [0, 1).
func (b Backoff) delay(attempt int, random float64) time.Duration {
	b = b.withDefaults()
	d := b.Min
	for ; attempt > 1 && d < b.Max; attempt-- {
		d *= 2
		if d <= 0 { // more than a Duration holds
			d = b.Max
		}
	}
	return min(b.spread(min(d, b.Max), random), b.Max)
}

// trial returns how long a parked child waits for its next trial.
func (b Backoff) trial(random float64) time.Duration {
	return b.withDefaults().spread(orDefault(b.Park, DefaultPark), random)
}

// spread returns d ± Jitter.
func (b Backoff) spread(d time.Duration, random float64) time.Duration {
	return max(0, d+time.Duration(float64(d)*b.Jitter*(2*random-1)))
}

// exhausted reports whether so many failures in a row are too many.
func (b Backoff) exhausted(attempt int) bool { return b.Attempts > 0 && attempt > b.Attempts }

// settled reports whether an incarnation that stayed well for d has lasted.
func (b *Backoff) settled(d time.Duration) bool { return d >= b.settle() }

// settle is Settle with its default.
func (b *Backoff) settle() time.Duration {
	switch {
	case b.Settle != 0 || b.none:
		return b.Settle
	case b.Max != 0:
		return b.Max
	}
	return max(DefaultBackoff.Max, b.Min)
}

// Validate returns a fault of b's fields, or nil.
func (b Backoff) Validate() error {
	switch r := b.withDefaults(); {
	case b.Min < 0 || b.Max < 0 || b.Settle < 0 || b.Park < 0:
		return fmt.Errorf("Backoff has a negative duration (Min %v, Max %v, Settle %v, Park %v); use NoBackoff for none", b.Min, b.Max, b.Settle, b.Park)
	case b.Attempts < 0:
		return fmt.Errorf("Backoff.Attempts is negative (%d); zero is no bound", b.Attempts)
	case r.Min > r.Max:
		return fmt.Errorf("Backoff.Min (%v) is over Backoff.Max (%v); swap or raise Max", r.Min, r.Max)
	case !(r.Jitter >= 0 && r.Jitter <= 1) || b.Jitter < 0 && b.Jitter != NoJitter: // NaN is neither
		return fmt.Errorf("Backoff.Jitter is %v; use a share from 0 to 1, or NoJitter", b.Jitter)
	}
	return nil
}
