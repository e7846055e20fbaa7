package supervisor

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/thejerf/suture/v4"
)

// This is the only file that knows suture. It runs the goroutines, and decides
// nothing: to suture, every slot is a service that never fails.

// An engine runs the incarnations of one supervisor's children: its slots take
// them from a channel, whichever is free.
type engine struct {
	path  string
	work  chan *incarnation // never more than there are free slots; nil ends one
	made  int               // slots, ever
	spare int               // of them, which no child has
	racks sync.WaitGroup    // that are served
	lost  atomic.Int32      // slots of abandoned incarnations that still run
}

// A rack is a suture.Supervisor and the slots that it serves: they are added
// before it serves, which costs no handshake, and are few, so that they are
// found fast. A suture.Supervisor serves once, so a rack ends with the last of
// its slots.
type rack struct {
	engine *engine
	left   atomic.Int32 // slots that are not at their end
	cancel context.CancelFunc
}

const (
	backlog  = 16  // starts that wait until a slot is free
	rackSize = 128 // slots at most
	maxSpare = 32  // who removes a child often adds another
)

// newEngine returns an engine with slots for n children.
func newEngine(path string, n int) *engine {
	e := &engine{path: path, work: make(chan *incarnation, backlog)}
	if n > 0 {
		e.grow(n)
	}
	return e
}

func (e *engine) grow(n int) {
	e.made, e.spare = e.made+n, e.spare+n
	e.rack(n)
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
	sup := suture.New(e.path, suture.Spec{
		EventHook:         func(suture.Event) {},
		FailureThreshold:  math.MaxFloat64,
		PassThroughPanics: true, // ours are caught in the incarnation; what is left is a bug
	})
	for i := range slots {
		slots[i].rack = r
		sup.Add(&slots[i])
	}
	if n -= len(slots); n > 0 {
		sup.Add(&supply{e, n})
	}
	e.racks.Go(func() { _ = sup.Serve(ctx) }) // ctx.Err(): how it ends
}

// A supply makes more racks.
type supply struct {
	engine *engine
	slots  int
}

func (s *supply) String() string { return s.engine.path }

func (s *supply) Serve(context.Context) error {
	s.engine.rack(s.slots)
	return suture.ErrDoNotRestart
}

// hold keeps a slot for a child. An engine without any makes as many as it has
// made before, as slices grow.
func (e *engine) hold() {
	if e.spare == 0 {
		e.grow(min(max(1, e.made), rackSize))
	}
	e.spare--
}

// release takes a slot back from a child whose incarnation, if it had any, has
// ended.
func (e *engine) release() {
	if e.spare >= maxSpare {
		e.work <- nil
	} else {
		e.spare++
	}
}

// start has inc run, by the goroutine of by if that is free: it need not be
// woken.
func (e *engine) start(inc *incarnation, by *slot) {
	if by != nil && by.next == nil {
		by.next = inc
	} else {
		e.work <- inc
	}
}

// close ends the engine once every slot has come to its end. It waits for
// that, unless some belong to abandoned incarnations.
func (e *engine) close() {
	close(e.work)
	if e.lost.Load() == 0 {
		e.racks.Wait()
	}
}

// A slot is a goroutine for incarnations, as a suture service. It runs one after
// the other, each a fresh value.
type slot struct {
	rack *rack
	next *incarnation // by its own goroutine
	deep bool         // its goroutine has seen to inputs, which its first stack is too small for
	lost bool         // it ran an incarnation that was abandoned
}

// String spares suture printing the whole value.
func (s *slot) String() string { return s.rack.engine.path }

// Serve runs incarnations until the slot is not needed, or lost with one that
// was abandoned. When one ends its goroutine, suture calls Serve again.
func (s *slot) Serve(context.Context) error {
	for s.deep = false; !s.lost; {
		inc := s.next
		if s.next = nil; inc == nil {
			inc = <-s.rack.engine.work
		}
		if inc == nil {
			break
		}
		inc.deep = s.deep
		inc.run(s)
	}
	s.rack.leave()
	return suture.ErrDoNotRestart
}

// ended reports the incarnation's end, whose goroutine may end with it.
func (s *slot) ended(inc *incarnation, err error) {
	s.deep = s.deep || !inc.told.Load()
	if !inc.end(s, err) {
		s.lost = true
		s.rack.engine.lost.Add(-1)
	}
}

// leave ends the rack with its last slot.
func (r *rack) leave() {
	if r.left.Add(-1) == 0 {
		r.cancel()
	}
}

// What suture's services return to be over for good, and to have the supervisor
// fail.
var errDoNotRestart, errTerminateTree = suture.ErrDoNotRestart, suture.ErrTerminateSupervisorTree
