package supervisor

import (
	"sync"
	"sync/atomic"
	"time"
)

// A lookout notices that an answer is owed for too long. Nobody polls, and who
// owes none has no timer: the first debt arms it, it looks again while there is
// one, and then rests.
type lookout struct {
	patience time.Duration
	notice   func(late bool) // called by each look, with mu held
	epoch    time.Time
	since    atomic.Int64 // since when an answer is owed, as now; 0: none is; or undated
	armed    atomic.Bool  // it will look; changed with mu held

	mu    sync.Mutex // guards all below
	timer *time.Timer
	ended bool
}

// init must be called before all else.
func (l *lookout) init(patience time.Duration, notice func(late bool)) {
	l.patience, l.notice, l.epoch = patience, notice, time.Now()
}

// at and now are by the monotonic clock, which nobody sets, and never 0.
func (l *lookout) at(t time.Time) int64 { return 1 + int64(t.Sub(l.epoch)) }
func (l *lookout) now() int64           { return 1 + int64(time.Since(l.epoch)) }

// undated is since when an answer is owed that the next look gives its date:
// telling the time for each would be most of what owing costs.
const undated = -1

// owes says that an answer is owed, from now on or from earlier. If a look is
// due anyway it counts from then.
func (l *lookout) owes() {
	if l.since.Load() == 0 && l.since.CompareAndSwap(0, undated) && l.arm() {
		l.date()
	}
}

// date returns since when an answer is owed: from now on if that has no date.
func (l *lookout) date() int64 {
	l.since.CompareAndSwap(undated, l.now())
	return l.since.Load()
}

// owesAnew says that one was given, and the next is owed from then on.
func (l *lookout) owesAnew(at int64) {
	if l.since.Swap(at) == 0 {
		l.arm()
	}
}

// owesNothing says that all were given.
func (l *lookout) owesNothing() { l.since.Store(0) }

// arm sees that it looks. Who owes something says so first and asks this then,
// look the other way round: one of them finds the other's word. It reports false
// if the look was due already.
func (l *lookout) arm() bool {
	if l.armed.Load() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.armed.Load() || l.ended:
		return false
	case l.timer == nil:
		l.timer = time.AfterFunc(l.patience, l.look)
	default:
		l.timer.Reset(l.patience)
	}
	l.armed.Store(true)
	return true
}

// look notices whether an answer is late, and looks again while one is owed.
func (l *lookout) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.armed.Store(false)
	since := l.date()
	owed := time.Duration(l.now() - since)
	l.notice(since != 0 && owed >= l.patience)
	if since != 0 && !l.ended {
		l.timer.Reset(max(l.patience-owed, l.patience/10))
		l.armed.Store(true)
	}
}

// stop ends the watch: nothing is late any more. It waits for a look that is
// under way.
func (l *lookout) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.notice(false)
	if l.timer != nil {
		l.timer.Stop()
	}
}
