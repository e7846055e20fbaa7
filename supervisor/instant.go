package supervisor

import (
	"math"
	"time"
)

// An instant is a moment in a core's life, by the monotonic clock: a third of a
// time.Time, of which each child would hold four. Zero is none.
type instant int64

// add returns the instant d after t, or the last one if that is sooner.
func (t instant) add(d time.Duration) instant {
	if d > time.Duration(math.MaxInt64-t) {
		return math.MaxInt64
	}
	return t + instant(d)
}

func (t instant) sub(u instant) time.Duration { return time.Duration(t - u) }

// at returns the instant of t, which is not before the core was made; the last
// one if t is too far away: a deadline can be.
func (c *core) at(t time.Time) instant { return instant(1).add(t.Sub(c.epoch)) }

// time returns the wall clock's time at t, as of now.
func (c *core) time(t instant, now time.Time) time.Time { return now.Add(t.sub(c.at(now))) }
