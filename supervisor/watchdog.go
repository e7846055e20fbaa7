package supervisor

import (
	"sync/atomic"
	"time"
)

// stuckAfter is how long a loop may be in one step, or leave an input waiting,
// before the tree counts as unable to heal itself.
const stuckAfter = 5 * time.Second

// A watchdog notices a loop that is stuck. Nobody asks the loops one by one.
type watchdog struct {
	lookout
	stuck *atomic.Int64 // the tree's count of stuck loops
	bites bool          // this loop is counted in stuck; guarded by lookout.mu
}

func newWatchdog(stuck *atomic.Int64) *watchdog {
	w := &watchdog{stuck: stuck}
	w.init(stuckAfter, w.bite)
	return w
}

// waiting says that an input waits.
func (w *watchdog) waiting() { w.owes() }

// busy says that somebody starts on what waits.
func (w *watchdog) busy(now time.Time) { w.owesAnew(w.at(now)) }

// idle says that all of it is done. What was posted meanwhile makes it
// busy again at once.
func (w *watchdog) idle() { w.owesNothing() }

// bite counts the loop as stuck, or not any more.
func (w *watchdog) bite(stuck bool) {
	if stuck == w.bites {
		return
	}
	w.bites = stuck
	if stuck {
		w.stuck.Add(1)
	} else {
		w.stuck.Add(-1)
	}
}
