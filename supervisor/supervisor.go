package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what the whole tree shares. The zero value is useful.
type Options struct {
	// Observer, if set, is called with every event, in order, one call at a
	// time, from a goroutine of its own. One that is slower than the events
	// loses some, oldest first; see Dropped. At its end Run waits a second for
	// it; after Run it is not called again.
	Observer func(Event)

	// EventBuffer is how many events wait for the Observer before it loses
	// some. Zero means DefaultEventBuffer.
	EventBuffer int

	// DrainDelay is how long after the end of Run's context the first child is
	// stopped. Draining holds from the start of it, so that load balancers can
	// take the process out while it still serves. Zero is none.
	DrainDelay time.Duration

	// GracePeriod is how long after the end of Run's context the process will
	// be killed (terminationGracePeriodSeconds): stops are cut short to what
	// is left of it. Zero means that there is no hurry.
	GracePeriod time.Duration

	// MaxAbandoned is how many abandoned incarnations the tree bears; with
	// more its root gives up. Zero means DefaultMaxAbandoned, negative no
	// limit.
	MaxAbandoned int

	// ProfileLabels sets the pprof label "path" on workers' goroutines.
	ProfileLabels bool
}

// Defaults of Options' zero fields.
const (
	DefaultEventBuffer  = 4096
	DefaultMaxAbandoned = 16
)

// Supervisor runs the tree that a Spec describes. All methods may be called
// concurrently, and from workers; none holds a lock across user code.
type Supervisor struct {
	opts  Options
	root  *child    // in no core: it has no siblings
	since time.Time // it was made
	base  context.Context

	feed      feed
	incidents incidents
	ghosts    ghosts
	turns     turns
	answers   sync.Pool // channels that calls were answered by: chan error, empty; none of another synctest bubble
	changed   broadcast // rings after every change of a node, while somebody listens

	status   atomic.Int32 // the root's, by its own children
	stuck    atomic.Int64 // loops that are
	phase    atomic.Int32
	started  atomic.Bool // was ready once
	draining atomic.Bool
	hopeless atomic.Bool           // too many abandoned
	gaveUp   atomic.Pointer[error] // why the root did
}

// Phases of a tree.
const (
	phaseNew int32 = iota
	phaseRunning
	phaseEnded
)

// New validates spec and opts, and returns a supervisor for them that does not
// run yet. The error holds every fault, each with the path of its node.
func New(spec Spec, opts Options) (*Supervisor, error) {
	if err := errors.Join(spec.Validate(), opts.validate(spec)); err != nil {
		return nil, err
	}
	spec = spec.clone()
	opts.EventBuffer = orDefault(opts.EventBuffer, DefaultEventBuffer)
	opts.MaxAbandoned = orDefault(opts.MaxAbandoned, DefaultMaxAbandoned)
	s := &Supervisor{opts: opts, root: &child{spec: &spec, path: spec.Name, bonds: &loose}, since: time.Now()}
	s.root.unit.spec.Store(&spec)
	return s, nil
}

func (o Options) validate(spec Spec) error {
	var v validator
	options := place{name: "Options"}
	v.duration(options, "DrainDelay", o.DrainDelay)
	v.duration(options, "GracePeriod", o.GracePeriod)
	if o.EventBuffer < 0 {
		v.fault(options, "EventBuffer is %d; zero means its default", o.EventBuffer)
	}
	v.root(&spec)
	return v.result()
}

// Run runs the tree until ctx is done, and returns nil, or until its root
// gives up, and returns why: the chain of errors leads from the root to the
// first failure. Its values reach the workers. Goroutines that were abandoned
// and still run, checks and remedies that hang among them, are named in the
// error, which wraps ErrAbandoned; everything else has ended when Run returns. A tree runs once; then Run returns ErrRan.
func (s *Supervisor) Run(ctx context.Context) error {
	if !s.phase.CompareAndSwap(phaseNew, phaseRunning) {
		return ErrRan
	}
	s.base = context.WithoutCancel(ctx)
	s.feed.start(s.opts.Observer, s.opts.EventBuffer)
	s.root.incarnation = 1
	inc := newIncarnation(s, nil, s.root)
	s.warn(s.root.spec)
	s.emit(EventStarted, nil, nil)
	if ctx.Err() != nil {
		s.draining.Store(true)
		inc.halt(ErrShutdown)
	}
	released := s.stopWith(ctx, inc)
	err := inc.supervise()
	inc.stop(ErrReplaced)
	<-released
	s.phase.Store(phaseEnded)
	s.changed.ring()
	if err == nil {
		s.emit(EventStopped, nil, nil)
	} else {
		s.emit(EventExited, err, inc.orders.fell)
	}
	s.turns.rest(lastChance)
	s.feed.stop(time.Second)
	return s.verdict(err)
}

// stopWith tells the root to stop once ctx is done and the drain delay over.
// The channel that it returns is closed when it will do no more.
func (s *Supervisor) stopWith(ctx context.Context, inc *incarnation) <-chan struct{} {
	released := make(chan struct{})
	go func() {
		defer close(released)
		select {
		case <-inc.ctx.Done():
			return
		case <-ctx.Done():
		}
		s.draining.Store(true)
		if s.opts.GracePeriod > 0 {
			end := time.Now().Add(s.opts.GracePeriod)
			inc.orders.deadline.Store(&end)
		}
		delay := time.NewTimer(s.opts.DrainDelay)
		defer delay.Stop()
		select {
		case <-inc.ctx.Done():
		case <-delay.C:
			inc.halt(ErrShutdown)
		}
	}()
	return released
}

// verdict is what Run returns when the root ended with err.
func (s *Supervisor) verdict(err error) error {
	if err == ErrAutoShutdown {
		err = nil
	}
	if paths := append(s.ghosts.paths(), s.turns.names()...); len(paths) > 0 {
		err = errors.Join(err, fmt.Errorf("%w still run: %s", ErrAbandoned, strings.Join(paths, ", ")))
	}
	return err
}

func (s *Supervisor) emit(kind EventKind, err error, within *trouble) {
	s.feed.emit(Event{Time: time.Now(), Path: s.root.path, Supervisor: true, Kind: kind, Incarnation: 1, Err: err, Incident: within.number()})
}

func (s *Supervisor) warn(spec *Spec) {
	for _, w := range spec.warnings(s.opts) {
		s.emit(EventWarning, w, nil)
	}
}

// rootReady is called when the root is ready, once.
func (s *Supervisor) rootReady() {
	s.emit(EventReady, nil, nil)
	s.started.Store(true)
}

// tooManyAbandoned gives the tree up if it bears no more of them. What does not
// stop while the tree is shut down is left for the process's end.
func (s *Supervisor) tooManyAbandoned() {
	n, bears := s.ghosts.total.Load(), int64(s.opts.MaxAbandoned)
	if bears < 0 || n <= bears || s.draining.Load() {
		return
	}
	if s.hopeless.CompareAndSwap(false, true) {
		err := fmt.Errorf("%s: %w: %d, MaxAbandoned is %d", s.root.path, ErrTooManyAbandoned, n, bears)
		s.root.unit.below.Load().post(&input{kind: mustFail, err: err})
	}
}

// Status returns the root's status; Down before it was ready and after Run.
// It costs the same however large the tree is.
func (s *Supervisor) Status() Status {
	if s.phase.Load() != phaseRunning || !s.started.Load() {
		return Down
	}
	return Status(s.status.Load())
}

// Started reports whether the root was ever ready.
func (s *Supervisor) Started() bool { return s.started.Load() }

// Draining reports whether Run's context has ended.
func (s *Supervisor) Draining() bool { return s.draining.Load() }

// failure returns why the root gave up, nil if it did not.
func (s *Supervisor) failure() error {
	if err := s.gaveUp.Load(); err != nil {
		return *err
	}
	return nil
}

// Alive returns nil while the tree can heal itself, whatever is down in it,
// and before Run; else why not: the root gave up, Run has returned, there are too many abandoned
// incarnations, or a loop of the tree is stuck (ErrStuck: then what reads the
// tree may wait for it). It costs the same however
// large the tree is.
func (s *Supervisor) Alive() error {
	switch {
	case s.phase.Load() == phaseEnded:
		return ErrNotRunning
	case s.failure() != nil:
		return fmt.Errorf("supervisor: the root gave up: %w", s.failure())
	case s.hopeless.Load():
		return ErrTooManyAbandoned
	case s.stuck.Load() > 0:
		return fmt.Errorf("%w: %d for over %v", ErrStuck, s.stuck.Load(), stuckAfter)
	}
	return nil
}

// Dropped returns how many events the Observer was too slow for.
func (s *Supervisor) Dropped() uint64 { return s.feed.dropped.Load() }

// WaitReady waits until the node at path is not Down; the root's path may be
// given as "". It returns an error if there is no such node, if Run has
// returned, or if ctx ends: then with its cause and why the node is Down.
func (s *Supervisor) WaitReady(ctx context.Context, path string) error {
	for {
		changed := s.changed.listen()
		status, err := s.StatusOf(path)
		if err != nil || status != Down {
			s.changed.leave()
			return err
		}
		select {
		case <-changed:
			s.changed.leave()
		case <-ctx.Done():
			s.changed.leave()
			return fmt.Errorf("%w: %s", context.Cause(ctx), s.Why(path))
		}
	}
}
