package supervisor

import "fmt"

// A call is a request about one child, answered once its outcome is known.
type call struct {
	op       operation
	name     string // of the child
	spec     *Spec  // opAdd, opApply; nil for the one that the supervisor above has
	answer   chan error
	next     *call // that waits for the same child
	*outcome       // opChildren, opApply; nil for the others
}

// An outcome is what an answer has to say besides an error.
type outcome struct {
	children []Snapshot // opChildren
	changes  []*call    // opApply: what follows from it for the children
	below    []*call    // opApply: the same, handed on to supervisors
}

// change adds something about ch that follows from applying a Spec.
func (call *call) change(op operation, ch *child) *call {
	change := newCall(op, ch.spec.Name)
	call.changes = append(call.changes, change)
	return change
}

func newCall(op operation, name string) *call {
	return newCallFor(make(chan error, 1), op, name)
}

// newCallFor makes one that is answered there.
func newCallFor(answer chan error, op operation, name string) *call {
	c := &call{op: op, name: name, answer: answer}
	if op == opChildren || op == opApply {
		c.outcome = &outcome{}
	}
	return c
}

type operation uint8

const (
	opAdd operation = iota
	opStart
	opStop
	opRestart
	opRemove
	opDelete
	opChildren
	opApply
)

// wants is the goal that answers the call when the child reaches it.
func (call *call) wants() goal {
	if call.op == opStop || call.op == opRemove {
		return down
	}
	return up
}

// ask serves a call now, after those before it; a Strict supervisor first ends
// what it is doing.
func (c *core) ask(call *call) {
	switch {
	case c.closing:
		c.answer(call, ErrNotRunning)
	case len(c.deferred) > 0, !c.quiet():
		c.deferred = append(c.deferred, call)
	default:
		c.serve(call)
	}
}

func (c *core) serveDeferred() {
	call := c.deferred[0]
	c.deferred = c.deferred[1:]
	c.serve(call)
}

func (c *core) serve(call *call) {
	ch := c.named(call.name)
	switch {
	case call.op == opChildren:
		call.children = c.list()
		c.answer(call, nil)
	case call.op == opApply:
		c.apply(call)
	case call.op == opAdd && ch == nil && c.missing(call.spec) != "":
		c.answer(call, fmt.Errorf("depends on %q: %w", c.missing(call.spec), ErrNotFound))
	case call.op == opAdd && ch == nil:
		c.addChild(call)
	case call.op == opAdd:
		c.answer(call, present(ch))
	case ch == nil:
		c.answer(call, ErrNotFound)
	case call.op == opStart:
		c.startChild(ch, call)
	case call.op == opStop && !ch.temporary():
		c.stopChild(ch, call, down, ErrStopped)
	case call.op != opStop && len(ch.neededBy) > 0 && (call.op == opRemove || call.op == opDelete):
		c.answer(call, ErrNeeded)
	case call.op == opStop, call.op == opRemove:
		c.stopChild(ch, call, gone, ErrRemoved)
	case call.op == opRestart:
		c.restartChild(ch, call)
	case call.op == opDelete:
		c.deleteChild(ch, call)
	}
}

// missing returns what spec depends on and is not there, or will not stay; ""
// if nothing is.
func (c *core) missing(spec *Spec) string {
	for _, name := range spec.DependsOn {
		if on := c.named(name); on == nil || on.goal == gone || on.temporary() {
			return name
		}
	}
	return ""
}

func (c *core) addChild(call *call) {
	ch := c.adopt(&child{}, call.spec)
	ch.dynamic = true
	c.link(ch)
	c.wait(ch, call)
	ch.manual = call
	c.bring(ch)
}

// bring starts a Pending child because somebody asked for it: now, or when what
// it depends on is ready.
func (c *core) bring(ch *child) {
	if c.spec.Strategy == DependentsForOne {
		c.join(ch, firstStart)
	}
	c.launch(ch)
}

func (c *core) startChild(ch *child, call *call) {
	switch {
	case ch.state == Stopped:
		c.wait(ch, call)
		ch.manual = call
		c.aim(ch, up)
		c.become(ch, Pending)
		c.bring(ch)
	case ch.state == Stopping && ch.goal == down:
		c.wait(ch, call)
		ch.manual = call
		c.aim(ch, up)
	default:
		c.answer(call, occupied(ch))
	}
}

// stopChild makes ch stop, alone, whatever it is doing.
func (c *core) stopChild(ch *child, call *call, to goal, cause error) {
	if ch.goal == gone {
		to = gone // whoever comes later does not keep what somebody removes
	}
	c.wait(ch, call)
	c.aim(ch, to)
	ch.verdict = nil
	switch {
	case ch.state == Stopping, ch.doomed:
		// Its end will find the goal.
	case ch.state.running():
		ch.cause = cause
		c.tell(ch)
	case to == gone:
		c.forget(ch)
		c.resolve(ch, down, nil)
	case ch.state == Stopped:
		c.alter(ch, func(ch *child) { ch.over = false })
		c.resolve(ch, down, nil)
	default:
		c.stopped(ch, ErrStopped)
	}
}

// restartChild stops and starts ch with what its strategy groups with it: an
// order, so it neither waits for a backoff nor counts.
func (c *core) restartChild(ch *child, call *call) {
	if ch.goal == gone {
		c.answer(call, ErrNotFound)
		return
	}
	c.wait(ch, call)
	ch.attempt, ch.open, ch.verdict = 0, false, nil
	switch {
	case ch.state == Stopping, ch.doomed:
		c.aim(ch, up)
	case ch.state.running():
		c.stopForRestart(ch)
	case ch.state == Stopped:
		c.aim(ch, up)
		c.become(ch, Pending)
		c.bring(ch)
	case ch.state == BackingOff, ch.state == Parked:
		ch.leave()
		c.retry(ch)
	}
}

func (c *core) stopForRestart(ch *child) {
	c.mark(ch, ErrRestart)
	if ch.wave == alone {
		ch.cause = ErrRestart
		c.tell(ch)
	} else {
		c.doom(ch, ErrRestart)
	}
}

// list returns the children as they are between two moves.
func (c *core) list() []Snapshot {
	var snaps []Snapshot
	for ch := c.first; ch != nil; ch = ch.next {
		snaps = append(snaps, ch.snapshot(c, c.clock))
	}
	return snaps
}

func (c *core) deleteChild(ch *child, call *call) {
	if ch.state != Stopped {
		c.answer(call, occupied(ch))
		return
	}
	c.forget(ch)
	c.answer(call, nil)
}

// refused ends an Add or a Start whose child failed to start; it is not
// retried. The caller has the error.
func (c *core) refused(ch *child) {
	if ch.manual.op == opAdd || ch.temporary() {
		c.refuseDependents(ch)
		c.forget(ch)
		return
	}
	c.aim(ch, down)
	c.stopped(ch, ErrStopped)
}

// refuseDependents ends the Adds that wait for ch, which is not kept.
func (c *core) refuseDependents(ch *child) {
	for _, by := range dependents(ch) {
		if !by.ran {
			c.resolve(by, up, fmt.Errorf("depends on %q: %w", ch.spec.Name, ErrNotFound))
			c.forget(by)
		}
	}
}

// wait makes call the last of those that wait for ch.
func (c *core) wait(ch *child, call *call) {
	last := &ch.waiting
	for *last != nil {
		last = &(*last).next
	}
	*last = call
}

// resolve answers the calls that wait for ch to be up, or down.
func (c *core) resolve(ch *child, g goal, err error) {
	for at := &ch.waiting; *at != nil; {
		call := *at
		if call.wants() != g {
			at = &call.next
			continue
		}
		*at, call.next = call.next, nil
		c.answer(call, err)
	}
}

func (c *core) answer(call *call, err error) {
	if err != nil {
		err = &pathError{pathOf(c.path, call.name), err}
	}
	a := c.act(reply, nil)
	a.call, a.err = call, err
}

// present is OTP's answer to an Add of a name that is taken.
func present(ch *child) error {
	if ch.live() {
		return ErrAlreadyStarted
	}
	return ErrAlreadyPresent
}

// occupied is OTP's answer to a Start or Delete of a child that is not stopped.
func occupied(ch *child) error {
	if ch.live() {
		return ErrRunning
	}
	return ErrRestarting
}
