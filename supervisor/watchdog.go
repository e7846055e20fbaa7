package supervisor

import (
	"sync"
	"sync/atomic"
	"time"
)

// stuckAfter is how long a loop may be in one step, or leave an input waiting,
// before the tree counts as unable to heal itself.
const stuckAfter = 5 * time.Second

// A watchdog notices a loop that is stuck. Nobody asks the loops one by one,
// and an idle tree has no timers: the first input arms it, it looks again
// while there is work, and rests with the loop.
type watchdog struct {
	stuck *atomic.Int64 // the tree's count of stuck loops
	since atomic.Int64  // since when the loop owes an answer, Unix nanoseconds; 0: it owes none

	mu    sync.Mutex // guards all below
	timer *time.Timer
	armed bool
	bites bool // this loop is counted in stuck
	ended bool
}

// waiting says that an input waits.
func (w *watchdog) waiting() {
	if w.since.Load() == 0 && w.since.CompareAndSwap(0, time.Now().UnixNano()) {
		w.arm()
	}
}

// busy says that the loop starts on what waits.
func (w *watchdog) busy() { w.since.Store(time.Now().UnixNano()) }

// idle says that the loop has caught up. What was posted meanwhile makes it
// busy again at once.
func (w *watchdog) idle() { w.since.Store(0) }

func (w *watchdog) arm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.armed || w.ended:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(stuckAfter, w.look)
	default:
		w.timer.Reset(stuckAfter)
	}
	w.armed = true
}

// look counts the loop as stuck, or not any more, and looks again while it has
// work.
func (w *watchdog) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := w.since.Load()
	owed := time.Since(time.Unix(0, since))
	w.bite(since != 0 && owed >= stuckAfter && !w.ended)
	w.armed = since != 0 && !w.ended
	if w.armed {
		w.timer.Reset(max(stuckAfter-owed, stuckAfter/10))
	}
}

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

// stop ends the watch.
func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.bite(false)
	if w.timer != nil {
		w.timer.Stop()
	}
}
