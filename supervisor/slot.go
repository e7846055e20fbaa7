package supervisor

import (
	"context"
	"runtime"
	"runtime/pprof"
)

// A slot is a goroutine for incarnations, as a suture service. It runs one after
// the other, each a fresh value.
type slot struct {
	rack *rack
	inc  *incarnation // whose worker runs; nil: none does
	next *incarnation // by its own goroutine
	left *inbox       // where its last failure waits for who drives; nil: nowhere
	deep bool         // its goroutine has seen to inputs, which its first stack is too small for
	lost bool         // it ran an incarnation that was abandoned
	wary bool         // a worker has panicked in it
}

// String spares suture printing the whole value.
func (s *slot) String() string { return s.rack.engine.path }

// Serve runs incarnations until the slot is not needed, or lost with one that
// was abandoned. It waits for them and calls their workers by itself, unless the
// slot is wary, with nothing but s to remember meanwhile. The collector goes
// through the stacks of all who idle, and a frame more, or a pointer in one, is a
// good part of that; and in a deeper frame, waiting would outgrow some stacks'
// first size.
func (s *slot) Serve(context.Context) error {
	defer s.fell()
	for s.deep = false; !s.lost; {
		inc, ok := s.soon()
		if !ok {
			inc = <-s.rack.engine.work
		}
		if inc == nil {
			break
		}
		if run := s.begin(inc); run != nil {
			s.returned(run(inc.ctx, inc.ready))
		}
	}
	s.rack.leave()
	return errDoNotRestart
}

// begin returns what Serve is to call, nil if inc is over: a supervisor, and a
// worker that is not to be called by Serve, run here. One that was abandoned
// before it had a processor never does: its Spec, read before its fate, may be
// that of whoever replaced it.
func (s *slot) begin(inc *incarnation) RunFunc {
	inc.slot.Store(s)
	inc.deep = s.deep
	spec := inc.spec()
	switch {
	case inc.fate.Load() == fateAbandoned:
		s.ended(inc, nil)
		return nil
	case inc.orders != nil:
		s.ended(inc, inc.supervise())
		return nil
	}
	s.inc = inc
	switch {
	case inc.tree.opts.ProfileLabels:
		s.labelled(spec.Run)
	case s.wary:
		s.guarded(spec.Run)
	default:
		return spec.Run
	}
	return nil
}

// labelled is not inlined, so that its frame is on no stack that needs it not.
//
//go:noinline
func (s *slot) labelled(run RunFunc) {
	pprof.Do(s.inc.ctx, pprof.Labels("path", s.inc.child.path), func(context.Context) { s.guarded(run) })
}

// guarded calls a worker so that its panic ends nothing but this.
func (s *slot) guarded(run RunFunc) {
	defer s.fell()
	s.returned(run(s.inc.ctx, s.inc.ready))
}

// returned reports the end of the slot's worker.
func (s *slot) returned(err error) {
	inc := s.inc
	s.inc = nil
	s.ended(inc, err)
}

// fell reports the end of the slot's worker if it did not return: it panicked,
// or ended the goroutine. Where Serve had called it, suture calls that again, in
// another goroutine. What panics once may do so often, so the slot is wary then.
func (s *slot) fell() {
	if s.inc == nil {
		return
	}
	err := errGoexit
	if value := recover(); value != nil {
		err, s.wary = Recovered(value), true
	}
	s.returned(err)
}

// takes has inc run next in the goroutine of the slot, which makes the steps and
// need not be woken, if it has nothing to run yet. There may be no slot.
func (s *slot) takes(inc *incarnation) bool {
	if s == nil || s.next != nil {
		return false
	}
	s.next = inc
	return true
}

// wakeful is how many turns of others a slot waits for before it sleeps.
const wakeful = 16

// soon returns what the slot is to do next, unless it must wait for that. After
// a failure that somebody else sees to, just now, others go first for some
// turns: to sleep, and to be woken by who makes the steps, would take both of
// them longer than all else does.
func (s *slot) soon() (next *incarnation, ok bool) {
	if inc := s.next; inc != nil {
		s.next = nil
		return inc, true
	}
	left := s.left
	s.left = nil
	for turn := 0; turn < wakeful && left.isDriven(); turn++ {
		select {
		case inc := <-s.rack.engine.work:
			return inc, true
		default:
			runtime.Gosched()
		}
	}
	return nil, false
}

// ended reports the incarnation's end, whose goroutine may end with it.
func (s *slot) ended(inc *incarnation, err error) {
	inc.stop(ErrReplaced)
	inc.heartStops()
	s.deep = s.deep || !inc.told.Load()
	if err != nil && !plain(err) {
		s.judged(inc, err)
		return
	}
	s.over(inc, judge(inc, err))
}

// judged is ended with an error whose methods may end the goroutine. It is not
// inlined, so that its frame is on no stack of one that stops as it was told to:
// such a stack would outgrow its first size for it.
//
//go:noinline
func (s *slot) judged(inc *incarnation, err error) {
	end := ending{err: errUnreadable}
	defer func() { s.over(inc, end) }()
	end = judge(inc, err)
}

func (s *slot) over(inc *incarnation, end ending) {
	if !inc.end(s, end) {
		s.lost = true
		s.rack.engine.found()
	}
}
