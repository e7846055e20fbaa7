package supervisor

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A feed numbers the tree's events and takes them to the observer. Loops only
// put them into a ring of bounded size, which no lock guards; one goroutine
// reads it, so that a slow observer loses events, oldest first, but never
// slows the tree.
type feed struct {
	seq     atomic.Uint64
	dropped atomic.Uint64

	observer func(Event)
	ring     []atomic.Pointer[entry] // entry of number n at n % len; nil without an observer
	bell     chan struct{}
	closing  chan struct{}
	late     atomic.Bool   // Run has returned: the observer is called no more
	done     chan struct{} // closed when the last event was delivered

	mu        sync.Mutex // guards lastStack
	lastStack time.Time
}

// An entry is an event in the ring, and the abandoned incarnation whose stack
// it wants.
type entry struct {
	Event
	abandoned *incarnation
}

// start makes the feed deliver to observer, which may be nil.
func (f *feed) start(observer func(Event), size int) {
	if observer == nil {
		return
	}
	f.observer = observer
	f.ring = make([]atomic.Pointer[entry], size)
	f.bell, f.closing, f.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go f.deliver()
}

// emit numbers e and leaves it for the observer.
func (f *feed) emit(e Event) {
	e.Seq = f.number()
	f.put(&e, nil)
}

// observed reports whether anybody is told.
func (f *feed) observed() bool { return f.ring != nil }

// number returns the next event's.
func (f *feed) number() uint64 { return f.seq.Add(1) }

// put leaves e, which has its number, for the observer.
func (f *feed) put(e *Event, abandoned *incarnation) {
	if !f.observed() {
		return
	}
	f.place(&entry{Event: *e, abandoned: abandoned})
	select {
	case f.bell <- struct{}{}:
	default:
	}
}

// place leaves e in the ring, unless a newer one is there already: whoever was
// slow between its number and here has been lapped.
func (f *feed) place(e *entry) {
	at := &f.ring[e.Seq%uint64(len(f.ring))]
	for old := at.Load(); old == nil || old.Seq < e.Seq; old = at.Load() {
		if at.CompareAndSwap(old, e) {
			return
		}
	}
}

// stop returns when all events have been delivered, or, with an observer that
// does not return, after patience.
func (f *feed) stop(patience time.Duration) {
	if !f.observed() {
		return
	}
	close(f.closing)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-f.done:
	case <-timer.C:
		f.late.Store(true)
	}
}

func (f *feed) deliver() {
	defer close(f.done)
	for next := uint64(1); ; {
		if e := f.at(&next); e != nil {
			if e.abandoned != nil {
				e.Stack = f.stackOf(e.abandoned)
			}
			if f.late.Load() {
				f.dropped.Add(f.seq.Load() - e.Seq + 1)
				return
			}
			f.observer(e.Event)
			continue
		}
		select {
		case <-f.bell:
		case <-f.closing:
			if next > f.seq.Load() {
				return
			}
		}
	}
}

// at returns the entry with number *next, or the oldest after it that is still
// there, and moves *next on; nil if it has not been put in yet.
func (f *feed) at(next *uint64) *entry {
	size := uint64(len(f.ring))
	if newest := f.seq.Load(); newest >= *next+size {
		oldest := newest - size + 1
		f.dropped.Add(oldest - *next)
		*next = oldest
	}
	e := f.ring[*next%size].Load()
	if e == nil || e.Seq < *next {
		return nil
	}
	f.dropped.Add(e.Seq - *next)
	*next = e.Seq + 1
	return e
}

const (
	stackEvery      = 10 * time.Second // dumping all stacks stops the world
	stackGoroutines = 10_000           // and takes longer the more there are
)

// stackOf returns the stack of an incarnation's goroutine if it can be had
// cheaply enough, "" otherwise. It must not be called by a loop.
func (f *feed) stackOf(inc *incarnation) string {
	if inc.slot.Load() == nil || runtime.NumGoroutine() >= stackGoroutines || !f.mayTakeStack(time.Now()) {
		return ""
	}
	return findStack(inc)
}

func (f *feed) mayTakeStack(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.lastStack.IsZero() && now.Sub(f.lastStack) < stackEvery {
		return false
	}
	f.lastStack = now
	return true
}

// findStack looks through a dump of all goroutines for the one that runs inc:
// the frame of its slot shows the receiver's address. What has ended meanwhile
// has none: the slot may run another.
func findStack(inc *incarnation) string {
	frame := fmt.Appendf(nil, "%s.(*slot).Serve(%p", here, inc.slot.Load())
	for _, stack := range bytes.Split(allStacks(), []byte("\n\n")) {
		if bytes.Contains(stack, frame) && inc.fate.Load() != fateEnded {
			return string(stack)
		}
	}
	return ""
}

func allStacks() []byte {
	for size := 1 << 20; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= 1<<26 {
			return buf[:n]
		}
	}
}
