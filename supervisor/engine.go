package supervisor

import (
	"context"
	"math"
	"runtime/pprof"
	"sync"
	"sync/atomic"

	"github.com/thejerf/suture/v4"
)

// This is the only file that knows suture. It runs the goroutines, and decides
// nothing: to suture, every slot is a service that never fails.

// An engine runs the incarnations of children: its slots take them from a
// channel, whichever is free. Small supervisors below the same one share an
// engine, whose making would be most of what each of them costs.
type engine struct {
	path string            // of the supervisor above those that use it
	base context.Context   // its profiler labels are the goroutines'
	work chan *incarnation // never more than there are free slots; nil ends one
	last atomic.Pointer[rack]

	mu     sync.Mutex // guards all below
	users  int        // supervisors
	shut   bool       // nobody joins any more
	slots  int        // all but those that are lost
	spare  int        // of them, which no child has
	lost   int        // those of abandoned incarnations that still run
	served sync.WaitGroup
}

const (
	backlog  = 128 // starts that wait until a slot is free; one at least: who has the last free slot may end it
	rackSize = 223 // slots of a rack, and of an engine that is shared, at most: with a supply they just fit into maps for 256
	maxSpare = 32  // slots of children that are gone: who removes one often adds another
)

// newEngine returns an engine with slots for the n children of one supervisor,
// and more for others.
func newEngine(base context.Context, path string, n, more int) *engine {
	e := &engine{path: path, base: base, work: make(chan *incarnation, backlog), users: 1}
	if all := n + more; all > 0 {
		e.slots, e.spare = all, more
		e.rack(all)
	}
	return e
}

// join has one more supervisor use the engine, with slots for n children. It
// reports false if it has no room for so many, or everybody has left it, and is
// not asked again then.
func (e *engine) join(n int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shut = e.users == 0 || e.slots-e.spare+n > rackSize; e.shut {
		return false
	}
	e.users++
	e.reserve(n)
	return true
}

// hold keeps a slot for one more child.
func (e *engine) hold() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reserve(1)
}

// reserve keeps n slots. An engine without them makes as many as it has, as
// slices grow.
func (e *engine) reserve(n int) {
	if n > e.spare {
		more := max(n-e.spare, min(e.slots, rackSize))
		e.slots, e.spare = e.slots+more, e.spare+more
		e.rack(more)
	}
	e.spare -= n
}

// start has them run, each in a slot that its child has.
func (e *engine) start(incs []*incarnation) {
	for _, inc := range incs {
		e.work <- inc
	}
}

// release takes the slot back from a child whose incarnation, if it had any, has
// ended. For the last time, its goroutine ends while others still stop; where
// others use another engine by now, all that are spare end. Where too many are,
// one ends besides: children that grew many by one, and are removed one by one,
// leave few.
func (e *engine) release(last bool) {
	surplus := 0
	e.mu.Lock()
	e.spare++
	switch {
	case e.shut:
		surplus = e.spare
	case last:
		surplus = 1
	case e.spare > maxSpare:
		surplus = min(2, e.spare-maxSpare)
	}
	e.slots, e.spare = e.slots-surplus, e.spare-surplus
	e.mu.Unlock()
	for range surplus {
		e.work <- nil
	}
}

// replace makes a slot for a child whose incarnation is abandoned, and keeps the
// one that it has.
func (e *engine) replace() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost++
	if !e.last.Load().add() {
		e.rack(1)
	}
}

// found is told that a lost slot has come to its end, perhaps just before its
// supervisor says that it is lost.
func (e *engine) found() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost--
}

// leave is for a supervisor whose children have given their slots back. The last
// to leave ends the engine, and waits until every slot has come to its end,
// unless some belong to abandoned incarnations.
func (e *engine) leave() {
	e.mu.Lock()
	e.users--
	last, lost := e.users == 0, e.lost
	e.mu.Unlock()
	if !last {
		return
	}
	close(e.work)
	if lost == 0 {
		e.served.Wait()
	}
}

// A rack is a suture.Supervisor and the slots that it serves: they are added
// before it serves, which costs no handshake, and are few, so that they are
// found fast. A suture.Supervisor serves once, so a rack ends with the last of
// its slots.
type rack struct {
	engine *engine
	sup    *suture.Supervisor
	left   atomic.Int32 // slots that are not at their end
	cancel context.CancelFunc
}

// rack makes n slots, and has them served: as many as fit, and after them a
// service that makes the next rack. So the first children start meanwhile.
//
// The context is the rack's alone: cancelling it stops services in no order, so
// it goes last, after all of them.
func (e *engine) rack(n int) {
	ctx, cancel := context.WithCancel(context.Background())
	r, slots := &rack{engine: e, cancel: cancel}, make([]slot, min(n, rackSize))
	r.left.Store(int32(len(slots)))
	r.sup = suture.New(e.path, suture.Spec{
		EventHook:         func(suture.Event) {},
		FailureThreshold:  math.MaxFloat64,
		PassThroughPanics: true, // those of workers are caught by slots; what is left is a bug
	})
	for i := range slots {
		slots[i].rack = r
		r.sup.Add(&slots[i])
	}
	if n -= len(slots); n > 0 {
		r.sup.Add(&supply{e, n})
	}
	e.last.Store(r)
	e.served.Go(func() {
		pprof.SetGoroutineLabels(e.base) // not those of whoever drives
		_ = r.sup.Serve(ctx)             // ctx.Err(): how it ends
	})
}

// add adds one more slot, unless the rack is at its end. It is served already,
// and so takes its time.
func (r *rack) add() bool {
	for n := r.left.Load(); n > 0; n = r.left.Load() {
		if r.left.CompareAndSwap(n, n+1) {
			r.sup.Add(&slot{rack: r})
			return true
		}
	}
	return false
}

// leave ends the rack with its last slot.
func (r *rack) leave() {
	if r.left.Add(-1) == 0 {
		r.cancel()
	}
}

// A supply makes more racks.
type supply struct {
	engine *engine
	slots  int
}

// String spares suture printing the whole value.
func (s *supply) String() string { return s.engine.path }

func (s *supply) Serve(context.Context) error {
	s.engine.rack(s.slots)
	return suture.ErrDoNotRestart
}

// What suture's services return to be over for good, and to have the supervisor
// fail.
var errDoNotRestart, errTerminateTree = suture.ErrDoNotRestart, suture.ErrTerminateSupervisorTree
