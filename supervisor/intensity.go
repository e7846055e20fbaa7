package supervisor

import "time"

// Intensity bounds how often a supervisor restarts children before it fails
// itself: more than Restarts counted restarts Within that time are too many.
// OTP's intensity and period. A group that is restarted together counts once;
// see ErrUnavailable for what is not counted. The zero value means
// DefaultIntensity; Intensity{Within: d} allows none.
type Intensity struct {
	Restarts int
	Within   time.Duration
}

var (
	// DefaultIntensity is what the zero value means.
	DefaultIntensity = Intensity{Restarts: 5, Within: 5 * time.Minute}

	// Unlimited never gives up.
	Unlimited = Intensity{Restarts: -1}
)

func (i Intensity) withDefaults() Intensity { return orDefault(i, DefaultIntensity) }

func (i Intensity) unlimited() bool { return i.Restarts < 0 }

// budget remembers the restarts that count against an Intensity.
type budget struct {
	limit Intensity
	spent []time.Time // ascending; those within the window, and older ones until the next look
}

// spend records a restart at now and reports whether the budget allows it. The
// window is inclusive and the restart itself counts, as in OTP.
func (b *budget) spend(now time.Time) bool {
	if b.limit.unlimited() {
		return true
	}
	b.spent = append(b.spent[:copy(b.spent, b.within(now))], now)
	return len(b.spent) <= b.limit.Restarts
}

// left returns how many restarts are allowed now; -1 when there is no limit.
func (b *budget) left(now time.Time) int {
	if b.limit.unlimited() {
		return -1
	}
	return max(0, b.limit.Restarts-len(b.within(now)))
}

func (b *budget) within(now time.Time) []time.Time {
	spent := b.spent
	for len(spent) > 0 && now.Sub(spent[0]) > b.limit.Within {
		spent = spent[1:]
	}
	return spent
}
