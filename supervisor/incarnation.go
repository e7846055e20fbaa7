package supervisor

import (
	"context"
	"sync/atomic"
	"time"
)

// A unit is the runner's side of a child: what outlives its incarnations.
type unit struct {
	spec    atomic.Pointer[Spec]     // what counts now, for those outside the loop; nil before the first start
	inc     *incarnation             // the last one
	below   atomic.Pointer[runner]   // of a supervisor: its last incarnation's
	next    atomic.Int64             // when the next start is due, Unix nanoseconds; 0 if none is scheduled
	care    atomic.Pointer[care]     // of a worker with a probe, once it was ready
	said    atomic.Pointer[progress] // by a worker, of what it is at; nil: nothing yet
	fellIn  *trouble                 // the last that took it down
	slotted bool                     // the engine has a slot for it
}

// renew makes it ready for another incarnation. It looks before it stores,
// which costs more and is seldom needed.
func (u *unit) renew(spec *Spec) {
	if u.spec.Load() != spec {
		u.spec.Store(spec)
	}
	if u.below.Load() != nil && !spec.isSupervisor() {
		u.below.Store(nil)
	}
	if u.next.Load() != 0 {
		u.next.Store(0)
	}
}

// An incarnation is one run of a child, from start to end. It is the parent of
// the context that the child gets, and so can be found from it: a context with
// the values of Run's, and never done.
type incarnation struct {
	tree   *Supervisor
	runner *runner // of the supervisor above; nil for the root
	child  *child
	number uint64
	orders *orders // to a supervisor; nil for a worker

	ctx  context.Context // the child's
	stop context.CancelCauseFunc

	heart   *heart               // nil if it owes no beats
	slot    atomic.Pointer[slot] // in whose goroutine it runs; nil before
	readied atomic.Bool
	told    atomic.Bool // to stop
	deep    bool        // its goroutine's stack is large enough to see to inputs; set before run
	fate    atomic.Int32
}

// orders are what an incarnation of a supervisor knows from the one above, and
// tells it at the end.
type orders struct {
	deadline atomic.Pointer[time.Time] // by when its children must have stopped; set before stop
	incident atomic.Pointer[trouble]   // in which it is started, or stopped; set before either
	fell     *trouble                  // the incident over which it gave up
}

// Fates of an incarnation. Of its end and the decision to abandon it, the
// second finds the first.
const (
	fateOpen int32 = iota
	fateEnded
	fateAbandoned
)

func newIncarnation(tree *Supervisor, above *runner, ch *child) *incarnation {
	inc := &incarnation{tree: tree, runner: above, child: ch, number: ch.incarnation}
	if ch.spec.isSupervisor() {
		inc.orders = &orders{}
	}
	// inc is never done, so this registers with no parent: no lock is
	// shared with siblings, and no order of cancelling but ours exists.
	inc.ctx, inc.stop = context.WithCancelCause(inc)
	inc.heart = newHeart(inc)
	return inc
}

// halt tells the incarnation to stop. A supervisor that does not run its loop
// yet finds its context done when it does.
func (inc *incarnation) halt(cause error) {
	inc.told.Store(true)
	inc.stop(cause)
	if inc.orders == nil {
		return
	}
	if r := inc.child.unit.below.Load(); r != nil {
		r.post(r.toldStop())
	}
}

// The methods of its context.

func (inc *incarnation) Deadline() (deadline time.Time, ok bool) { return }
func (inc *incarnation) Done() <-chan struct{}                   { return nil }
func (inc *incarnation) Err() error                              { return nil }

func (inc *incarnation) Value(key any) any {
	if key == (incarnationKey{}) {
		return inc
	}
	return inc.tree.base.Value(key)
}

// latest returns the deadline, zero if there is none.
func (o *orders) latest() time.Time {
	if d := o.deadline.Load(); d != nil {
		return *d
	}
	return time.Time{}
}

// supervise runs the children. Bugs of this package are not caught: a broken
// tree must not look alive.
func (inc *incarnation) supervise() error {
	r := newRunner(inc)
	inc.child.unit.below.Store(r)
	if inc.spec() != r.core.spec { // it came while r was made, and whoever brought it did not find r
		r.post(&input{kind: asked, call: newCall(opApply, "")})
	}
	err := r.loop()
	if r.core.held {
		inc.orders.fell = r.core.incident
	}
	return err
}

// ready tells the supervisor above, once.
func (inc *incarnation) ready() {
	if !inc.readied.CompareAndSwap(false, true) {
		return
	}
	if inc.runner == nil {
		inc.tree.rootReady()
		return
	}
	inc.heartBegins()
	inc.pass(&input{kind: becameUp}, inc.deep && inc.orders == nil, nil) // who says it for a supervisor has its steps to make
}

// report tells the supervisor above how this one is.
func (inc *incarnation) report(s Status) {
	if inc.runner == nil {
		inc.tree.status.Store(int32(s))
		return
	}
	inc.tell(&input{kind: reported, status: int8(s)})
}

// isStopping reports whether the supervisor above knows that this one is going
// down, whatever it says.
func (inc *incarnation) isStopping() bool { return inc.runner != nil && inc.told.Load() }

// impaired tells the supervisor above that the worker works badly, or well. The
// reason is put into words here, where its method may take its time.
func (inc *incarnation) impaired(by source, reason error) {
	if reason != nil {
		reason = &worded{reason, textOf(reason)}
	}
	inc.tell(&input{kind: impaired, by: by, err: reason})
}

// unhealthy tells the supervisor above that the worker has failed, which the
// worker itself did not notice.
func (inc *incarnation) unhealthy(end ending) {
	inc.tell(&input{kind: unhealthy, err: end.err, is: end.is})
}

// end tells the supervisor above how the incarnation ended, or the tree if it
// had been abandoned; then it reports false. A worker that ended unasked
// sees to what follows: its goroutine has nothing else to do.
func (inc *incarnation) end(s *slot, end ending) bool {
	if !inc.fate.CompareAndSwap(fateOpen, fateEnded) {
		inc.tree.ghosts.ended(inc.child.path, inc.number)
		return false
	}
	in := input{kind: exited, err: end.err, is: end.is}
	if inc.orders != nil {
		in.from = inc.orders.fell
	}
	inc.pass(&in, inc.orders == nil && !inc.told.Load(), s)
	return true
}

func (inc *incarnation) tell(in *input) { inc.pass(in, false, nil) }

// pass passes inputs by pointer, as post and put do: what a worker's goroutine
// calls decides whether its first stack is large enough.
func (inc *incarnation) pass(in *input, see bool, by *slot) {
	in.child, in.number = inc.child, inc.number
	if see {
		inc.runner.see(in, by)
	} else {
		inc.runner.post(in)
	}
}

// spec returns what counts for the child now: Apply can change it while the
// incarnation runs.
func (inc *incarnation) spec() *Spec { return inc.child.unit.spec.Load() }

func (inc *incarnation) path() string { return inc.child.path }

// retryAfter returns how long it takes until the child, or the first
// supervisor above that waits itself, is due to start.
func (inc *incarnation) retryAfter() time.Duration {
	var due int64
	for ; inc != nil; inc = inc.parent() {
		due = max(due, inc.child.unit.next.Load())
		if inc.runner != nil {
			due = max(due, inc.runner.groupNext.Load())
		}
	}
	if due == 0 {
		return 0
	}
	return max(0, time.Until(time.Unix(0, due)))
}

// parent returns the incarnation of the supervisor above, nil for the root.
func (inc *incarnation) parent() *incarnation {
	if inc.runner == nil {
		return nil
	}
	return inc.runner.self
}
