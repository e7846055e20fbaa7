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

// An engine runs the slots of one incarnation of a supervisor. A
// suture.Supervisor serves once, so each incarnation has its own.
type engine struct {
	suture *suture.Supervisor
	cancel context.CancelFunc
	slots  sync.WaitGroup // added and not at their end
	lost   atomic.Int32   // slots of abandoned incarnations that still run
	spare  []*slot        // released, and to be used again; at most maxSpare
	served chan struct{}  // closed when suture's loop has ended
}

// maxSpare slots wait for children that are added: who removes one often adds
// another, and suture takes two changes of goroutine for a new slot.
const maxSpare = 32

// newEngine returns an engine that does not run yet. Slots that are added
// before serve cost no handshake.
func newEngine(path string) *engine {
	return &engine{
		suture: suture.New(path, suture.Spec{
			EventHook:         func(suture.Event) {},
			FailureThreshold:  math.MaxFloat64,
			PassThroughPanics: true, // ours are caught in the incarnation; what is left is a bug
		}),
		served: make(chan struct{}),
	}
}

// serve starts suture's loop. Its context is ours alone: cancelling it stops
// services in no order, so it goes last, after all of them.
func (e *engine) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	go func() {
		defer close(e.served)
		_ = e.suture.Serve(ctx) // ctx.Err(): how we end it
	}()
}

// add returns a slot that runs.
func (e *engine) add() *slot {
	if last := len(e.spare) - 1; last >= 0 {
		s := e.spare[last]
		e.spare = e.spare[:last]
		return s
	}
	s := &slot{next: make(chan *incarnation, 1), engine: e}
	e.slots.Add(1)
	e.suture.Add(s)
	return s
}

// release takes a slot back whose incarnation, if it had any, has ended.
func (e *engine) release(s *slot) {
	if s.spent || len(e.spare) == maxSpare {
		close(s.next)
	} else {
		e.spare = append(e.spare, s)
	}
}

// close ends the engine once every slot has come to its end. It waits for
// that, unless some belong to abandoned incarnations.
func (e *engine) close() {
	for _, s := range e.spare {
		close(s.next)
	}
	end := func() {
		e.slots.Wait()
		e.cancel()
		<-e.served
	}
	if e.lost.Load() > 0 {
		go end()
		return
	}
	end()
}

// A slot is the goroutine of one child, as a suture service. It runs one
// incarnation after the other, each a fresh value.
type slot struct {
	next   chan *incarnation // closed when the child needs the slot no more
	handed *incarnation      // by its own goroutine
	engine *engine
	spent  bool // its goroutine is not to be used again
	deep   bool // its goroutine has seen to inputs, which its first stack is too small for
}

// String spares suture printing the whole value.
func (s *slot) String() string { return s.engine.suture.Name }

// Serve runs incarnations until the slot is released, or spent by one that was
// abandoned. When one ends its goroutine, suture calls Serve again, once.
func (s *slot) Serve(context.Context) error {
	for !s.spent {
		inc := s.handed
		if s.handed = nil; inc == nil {
			inc = <-s.next
		}
		if inc == nil {
			break
		}
		inc.deep = s.deep
		inc.run(s)
	}
	s.engine.slots.Done()
	return suture.ErrDoNotRestart
}

// ended reports the incarnation's end, whose goroutine may end with it.
func (s *slot) ended(inc *incarnation, err error) {
	s.spent = err == errGoexit // before end: the runner reads it after
	s.deep = s.deep || !inc.told.Load()
	if !inc.end(s, err) {
		s.spent = true
		s.engine.lost.Add(-1)
	}
}

// What suture's services return to be over for good, and to have the supervisor
// fail.
var errDoNotRestart, errTerminateTree = suture.ErrDoNotRestart, suture.ErrTerminateSupervisorTree
