package supervisor

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// A RunFunc runs one incarnation of a worker, top to bottom: set up, call
// ready once when the worker can be used, work until ctx is done, and clean up
// by defer. What it returns says how it ended:
//
//   - nil, after ctx was done or before: a normal end;
//   - ErrIgnore, before ready: there is nothing to run here;
//   - an error that wraps ErrUnavailable: something outside is down;
//   - an error that wraps ErrEscalate: restarting this worker would not help;
//   - any other error, a panic or runtime.Goexit: it failed.
//
// Each call is a fresh incarnation: nothing is handed over from the last one.
// But goroutines are used again, also for children that are added after others
// were removed: a worker that has locked its OS thread (runtime.LockOSThread)
// unlocks it before it returns, or ends by runtime.Goexit, which ends both; and
// one that has set profiler labels by pprof.SetGoroutineLabels takes them off,
// which pprof.Do does by itself.
// ready may be called from any goroutine; calls after the first, and calls
// after the incarnation has ended, do nothing. context.Cause(ctx) says why the
// worker is being stopped; see ErrShutdown and the causes beside it.
type RunFunc func(ctx context.Context, ready func()) error

// Func adapts a function that is ready as soon as it runs, such as the Serve
// method of an existing suture service. A nil run panics.
func Func(run func(ctx context.Context) error) RunFunc {
	if run == nil {
		panic("supervisor: Func(nil)")
	}
	return func(ctx context.Context, ready func()) error {
		ready()
		return run(ctx)
	}
}

// Spec describes one node of the tree, and so a tree: a worker has Run, a
// supervisor has Children. It is plain data; New copies it, and a copy may be
// used for several trees. The zero value of every field but Name is useful.
//
// Children start in the order in which they stand, each once the one before
// it is ready, and stop in reverse order, each once the one after it is gone.
type Spec struct {
	// Name is the node's part of its path ("db" in "shop/storage/db"): unique
	// among its siblings, without '/' or control characters.
	Name string

	// Run makes the node a worker.
	Run RunFunc

	// Children makes the node a supervisor; []Spec{} is one without children.
	Children []Spec

	// Restart says when a child that ended is started again. The zero value is
	// Permanent.
	Restart Restart

	// Optional children may be down without taking their supervisor's status
	// down: it is Degraded. Later siblings wait for their first attempt only.
	Optional bool

	// Exclusive children never run twice: while an abandoned incarnation still
	// lives, no new one is started at this path.
	Exclusive bool

	// Significant children take part in their supervisor's AutoShutdown.
	// Legal where that is set, for children that are not Permanent.
	Significant bool

	// Backoff spaces the restarts of this child. Zero fields take those of
	// DefaultBackoff; NoBackoff is none.
	Backoff Backoff

	// StartTimeout bounds the time from start to ready. A worker that takes
	// longer is stopped and has failed to start. Zero means
	// DefaultStartTimeout. A supervisor has none: its children have theirs.
	StartTimeout time.Duration

	// StopTimeout bounds the time from the end of the worker's context to its
	// return; what takes longer is abandoned. Zero means DefaultStopTimeout.
	// For a supervisor it caps the time that its children get together; zero
	// means as long as they need.
	StopTimeout time.Duration

	// Probe checks the worker while it is ready, and mends it where it can; nil
	// is none. For workers.
	Probe *Probe

	// BeatTimeout is how long the worker may take from ready, and from each
	// Beat, to the next Beat or Idle; one that takes longer is stuck: it is
	// stopped with ErrUnhealthy, and restarted. Zero expects no beats. For
	// workers.
	BeatTimeout time.Duration

	// DependsOn names the siblings that the node needs, in any order: it starts
	// when they are ready, stops before they do, and goes down with them. Legal
	// below a DependentsForOne supervisor.
	DependsOn []string

	// Revision is the version of what the node is made from: Apply restarts
	// the node if it has changed, and leaves it running if it has not.
	Revision string

	// Strategy says which siblings go down with a failed child. The zero value
	// is OneForOne. For supervisors.
	Strategy Strategy

	// Concurrent supervisors start and stop all their children at once, as
	// OTP's simple_one_for_one does. Legal with OneForOne.
	Concurrent bool

	// AutoShutdown ends the supervisor, normally, once Significant children
	// have ended by themselves. The zero value is Never. For supervisors.
	AutoShutdown AutoShutdown

	// Strict supervisors follow Erlang/OTP to the letter where the defaults
	// here differ: a child that fails its first start fails the supervisor,
	// restarts are repeated at once without backoff, and each attempt counts.
	Strict bool

	// Intensity bounds the restarts that a supervisor makes before it fails
	// itself. The zero value is DefaultIntensity. For supervisors.
	Intensity Intensity

	// Quorum is how many children must be up for the supervisor not to be
	// Down, whatever their Optional says. Zero means every child that is not
	// Optional. For pools.
	Quorum int

	// Fault is what is wrong with the configuration that this Spec was made
	// from, found by whoever made it (services/* do); nil if nothing is.
	// Validate reports it with the node's path.
	Fault error
}

// Defaults of a Spec's zero fields.
const (
	DefaultStartTimeout = 30 * time.Second
	DefaultStopTimeout  = 10 * time.Second
)

// Restart says when a child that has ended by itself is started again. OTP's
// restart types.
type Restart int8

const (
	Permanent Restart = iota // always
	Transient                // unless it ended normally
	Temporary                // never; and it is forgotten
)

// String returns OTP's word for r.
func (r Restart) String() string { return name(r, "permanent", "transient", "temporary") }

// Strategy says which siblings go down, and are started again, with a failed
// child. OTP's supervisor strategies, and one of ours.
type Strategy int8

const (
	OneForOne        Strategy = iota // only the failed child
	OneForAll                        // every child
	RestForOne                       // the failed child and those after it
	DependentsForOne                 // the failed child and what needs it: see DependsOn
)

// String returns OTP's word for s; DependentsForOne, which OTP has not, is
// worded likewise.
func (s Strategy) String() string {
	return name(s, "one_for_one", "one_for_all", "rest_for_one", "dependents_for_one")
}

// AutoShutdown says whether a supervisor ends when Significant children have
// ended by themselves and are not restarted. OTP's auto_shutdown (since 24).
type AutoShutdown int8

const (
	Never          AutoShutdown = iota // it stays
	AnySignificant                     // when one of them has
	AllSignificant                     // when the last of them has
)

// String returns OTP's word for a.
func (a AutoShutdown) String() string { return name(a, "never", "any_significant", "all_significant") }

// name returns the word for v, or a number where there is none.
func name[T ~int8](v T, words ...string) string {
	if v < 0 || int(v) >= len(words) {
		return fmt.Sprintf("%T(%d)", v, int(v))
	}
	return words[v]
}

// StopBudget returns the longest time that stopping the node can take, and the
// path of the node below it that contributes most: the sum over children that
// stop one after the other, the longest of those that stop at once. Compare it
// with terminationGracePeriodSeconds (Options.GracePeriod).
func (s Spec) StopBudget() (budget time.Duration, worst string) {
	if !s.isSupervisor() {
		return s.stopTimeout(), s.Name
	}
	var longest time.Duration
	worst = s.Name
	for i := range s.Children {
		d, path := s.Children[i].StopBudget()
		if d > longest {
			longest, worst = d, pathOf(s.Name, path)
		}
		budget += min(d, math.MaxInt64-budget) // long waits do not add up to short ones
	}
	switch {
	case s.Concurrent:
		budget = longest
	case s.Strategy == DependentsForOne:
		budget = s.longestChain()
	}
	if s.StopTimeout > 0 {
		budget = min(budget, s.StopTimeout)
	}
	return budget, worst
}

func (s *Spec) isSupervisor() bool { return s.Children != nil }

func (s *Spec) startTimeout() time.Duration {
	return orDefault(s.StartTimeout, DefaultStartTimeout)
}

func (s *Spec) stopTimeout() time.Duration {
	if s.isSupervisor() {
		return s.StopTimeout
	}
	return orDefault(s.StopTimeout, DefaultStopTimeout)
}

// clone copies the tree, so that the caller may go on changing its own.
func (s Spec) clone() Spec {
	s.own()
	return s
}

// own makes a copy of a Spec independent of the one that it was copied from.
func (s *Spec) own() {
	s.Probe, s.DependsOn = s.Probe.clone(), slices.Clone(s.DependsOn)
	if s.Children == nil {
		return
	}
	children := make([]Spec, len(s.Children))
	for i := range children {
		children[i] = s.Children[i]
		children[i].own()
	}
	s.Children = children
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func pathOf(parent, name string) string {
	if parent == "" || name == "" {
		return parent + name
	}
	return parent + "/" + name
}
