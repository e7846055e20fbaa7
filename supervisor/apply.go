package supervisor

import (
	"context"
	"errors"
	"fmt"
)

// Apply makes the running tree what spec says, which describes the whole of it.
// Children that are not in it any more stop; new ones start, in their place;
// those whose Revision has changed, or that were a worker and are a supervisor
// now, restart with what their supervisor's strategy groups with them, as
// Restart does; all others keep running. What else has changed holds from now
// on, a new Run and BeatTimeout from the next start. Children that were added by
// Add stay, what was stopped on request stays stopped, and a Temporary child
// that has ended runs again only with another Revision.
//
// Apply returns once what had to stop has stopped and what had to start is
// ready, or has failed its first attempt: then with an error, and it is started
// again with backoff as ever, or its supervisor fails, if that is Strict. If ctx ends first it returns its cause, and the
// changes stand. An invalid spec changes nothing; the error, which wraps
// ErrInvalid, holds every fault. Calls of Apply take their turn: the last one's
// spec holds, as a whole.
func (s *Supervisor) Apply(ctx context.Context, spec Spec) error {
	if err := s.fits(spec); err != nil {
		return err
	}
	r, err := s.running()
	if err != nil {
		return err
	}
	spec = spec.clone()
	s.warn(&spec)
	c := s.newCall(opApply, "")
	c.spec = &spec
	if err := r.do(ctx, c); err != nil {
		return err
	}
	return errors.Join(c.followUp(ctx, s.root.path)...)
}

// fits reports the faults of spec as one for this tree.
func (s *Supervisor) fits(spec Spec) error {
	var v validator
	v.node("", &spec, nil)
	v.root(&spec)
	switch root := s.root.spec; {
	case spec.Name != root.Name:
		v.fault(place{name: spec.Name}, "the root's Name is %q; a tree keeps its name", root.Name)
	case spec.Revision != root.Revision:
		v.fault(place{name: spec.Name}, "the root's Revision is %q, but was %q: the root does not restart; change those of its Children", spec.Revision, root.Revision)
	}
	return v.result()
}

// running returns the root's runner while Run is at work.
func (s *Supervisor) running() (*runner, error) {
	if s.phase.Load() == phaseEnded {
		return nil, fmt.Errorf("%s: %w", s.root.path, ErrNotRunning)
	}
	return s.runnerAt(s.root.path)
}

// handOn passes its new Spec on to a supervisor that runs. One that does not, or
// is about to end, starts with it.
func (r *runner) handOn(ch *child, c *call) {
	if below := ch.unit.below.Load(); below == nil || !below.post(&input{kind: asked, call: c}) {
		c.answer <- ErrNotRunning
	}
}

// renewed takes the Spec that counts now, if the supervisor above has handed one
// on. It is not the call's, for a later one may have overtaken it: see
// incarnation.supervise.
func (r *runner) renewed(c *call) {
	if c != nil && c.op == opApply && c.spec == nil {
		c.spec = r.self.spec()
	}
}

// followUp waits for what follows from applying a Spec to the supervisor at path,
// until ctx is done, and returns what went wrong. That there is nothing to run
// is no error.
func (c *call) followUp(ctx context.Context, path string) (errs []error) {
	for _, change := range c.changes {
		select {
		case err := <-change.answer:
			if err != nil && !saysIgnore(err) {
				errs = append(errs, err)
			}
		case <-ctx.Done():
			return append(errs, fmt.Errorf("%s: %w", pathOf(path, change.name), context.Cause(ctx)))
		}
	}
	for _, below := range c.below {
		select {
		case err := <-below.answer:
			if err == nil { // ErrNotRunning is none: see handOn
				errs = append(errs, below.followUp(ctx, pathOf(path, below.name))...)
			}
		case <-ctx.Done():
			return append(errs, fmt.Errorf("%s: %w", pathOf(path, below.name), context.Cause(ctx)))
		}
	}
	return errs
}

// saysIgnore reports whether the answer is that there is nothing to run. It asks
// no method of err, which may be the worker's own.
func saysIgnore(err error) bool {
	answer, ok := err.(*pathError)
	return ok && answer.err == ErrIgnore
}
