package supervisor

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A runner runs one incarnation of a supervisor: it feeds the core with what
// happens, and does what the core says. Steps are made one at a time, by its
// loop or by whoever has nothing else to do: who has just failed, or waits for a
// call's answer; nothing in them waits for user code.
type runner struct {
	tree    *Supervisor
	self    *incarnation
	engine  *engine // of the children
	lodging lodging
	watch   *watchdog
	probers sync.WaitGroup // of probed incarnations

	access access
	core   *core

	driver    *slot          // whose goroutine makes the steps; nil for the loop's, and others
	started   []*incarnation // in this round, and not handed over to slots yet
	timer     *time.Timer
	armed     time.Time    // when timer fires; zero if it is not set
	groupNext atomic.Int64 // when a group that waits for a backoff is due, as unit.next
	published Status
	numbered  uint64 // the last number given for a name; guarded by access
	over      bool
	result    error

	_     [64]byte // all write to the inbox: it shares no cache line with what the steps write
	inbox inbox
}

func newRunner(self *incarnation) *runner {
	r := &runner{tree: self.tree, self: self, watch: newWatchdog(&self.tree.stuck)}
	r.inbox.init()
	r.core = newCore(time.Now(), self.spec(), self.path(), surroundings{
		haunts:      func(ch *child) int { return r.tree.ghosts.claim(ch, r) },
		newIncident: r.tree.incidents.begin,
		incident:    self.orders.incident.Load(),
	})
	r.timer = time.AfterFunc(time.Hour, func() { r.post(&input{kind: woke}) })
	r.timer.Stop()
	r.engine = self.runner.lodge(self.tree.base, self.child, r.core.path, r.core.size)
	before := self.child.unit.below.Load()
	for ch := r.core.first; ch != nil; ch = ch.next {
		r.inherit(ch, before)
		ch.unit.slotted = true
	}
	r.post(&input{kind: began}) // before anybody can find r, and call
	return r
}

// inherit gives a child what its path had in the supervisor's last incarnation.
func (r *runner) inherit(ch *child, before *runner) {
	if before == nil {
		return
	}
	before.access.read()
	defer before.access.done()
	if old := before.core.named(ch.spec.Name); old != nil {
		ch.incarnation, ch.lastErr = old.incarnation, old.lastErr
		ch.unit.below.Store(old.unit.below.Load())
		ch.unit.care.Store(old.unit.care.Load())
		ch.unit.said.Store(old.unit.said.Load())
		ch.unit.fellIn = old.unit.fellIn
	}
}

// loop runs the supervisor until all its children have ended. It drives first.
func (r *runner) loop() error {
	if r.self.ctx.Err() != nil { // before anything starts
		r.step(time.Now(), r.toldStop())
	}
	for mine := true; !mine || !r.drive(nil, nil, math.MaxInt); mine = r.inbox.claim() {
		<-r.inbox.bell
	}
	r.end()
	return r.result
}

// toldStop is the word of the supervisor above.
func (r *runner) toldStop() *input {
	return &input{kind: toldStop, err: context.Cause(r.self.ctx)}
}

// spec returns the supervisor's Spec, to those outside the loop.
func (r *runner) spec() *Spec {
	r.access.read()
	defer r.access.done()
	return r.core.spec
}

// post hands an input to whoever drives. It reports false if the loop has ended.
func (r *runner) post(in *input) bool {
	r.watch.waiting()
	return r.inbox.put(in)
}

// see hands an input over as post does, and sees to it at once if nobody else
// drives: it spares two changes of goroutine. It can take as much stack as all
// steps need.
//
// by is the slot whose goroutine this is, and which can take its next
// incarnation without being woken; nil for another goroutine.
func (r *runner) see(in *input, by *slot) bool {
	first, ok := r.inbox.offer(in)
	if first == nil {
		if by != nil {
			by.left = &r.inbox
		}
		return ok
	}
	defer dieOfBug()
	if r.drive(by, first, fewRounds) {
		r.inbox.yield()
	}
	return true
}

// dieOfBug ends the process if the steps have panicked: in a worker's goroutine
// that would be taken for the worker's own panic, by us or by the worker.
func dieOfBug() {
	if value := recover(); value != nil {
		bug := Recovered(value)
		go panic(fmt.Sprintf("bug: %v\n%s", bug, stackIn(bug)))
		select {} // nothing goes on
	}
}

// fewRounds are as many as somebody else than the loop drives: who is asked to
// see to what others have to say has something else to do.
const fewRounds = 4

// handful is how many incarnations are handed over to slots at once: the first
// of them should not wait for a long round.
const handful = 32

// drive steps through the first inputs, if there are any, and then through those
// that wait, batch by batch, and shows what came of each. It returns true if the
// caller still drives, after so many rounds or because the supervisor is over:
// also then the first are seen to, for nobody else has them.
func (r *runner) drive(by *slot, first []input, rounds int) bool {
	r.driver = by
	for inputs := first; rounds > 0 && (inputs != nil || !r.over); rounds-- {
		if inputs == nil {
			inputs = r.inbox.take()
		}
		if len(inputs) == 0 {
			return false
		}
		r.round(inputs)
		inputs = nil
	}
	return true
}

func (r *runner) round(inputs []input) {
	now := time.Now()
	r.watch.busy(now)
	for i := range inputs {
		if r.admit(&inputs[i]) {
			r.step(now, &inputs[i])
		}
	}
	r.handOver()
	r.watch.idle()
	r.show()
}

// show publishes what came of the steps, and sees that the loop wakes in time.
func (r *runner) show() {
	r.publish()
	r.tree.changed.ring()
	r.arm()
}

// publish passes the status on, if it has changed.
func (r *runner) publish() {
	if s := r.core.counts.status(r.core.spec.Quorum); s != r.published && !r.self.isStopping() {
		r.published = s
		r.self.report(s)
	}
}

// admit reports whether the input is about a living incarnation. What is told
// by, or of, a dead one has no effect.
func (r *runner) admit(in *input) bool {
	if in.child == nil || in.kind == returned {
		return true
	}
	current := in.number == in.child.incarnation
	return current && (in.child.state.running() || in.child.state == Stopping)
}

func (r *runner) step(now time.Time, in *input) {
	switch in.kind {
	case woke:
		r.armed = time.Time{}
	case hurried:
		r.core.deadline = r.self.orders.latest()
	case toldStop:
		r.core.deadline = r.self.orders.latest()
		r.core.incident = orDefault(r.core.incident, r.self.orders.incident.Load())
	}
	r.renewed(in.call)
	r.access.step()
	actions := r.core.step(now, *in)
	r.access.stepped()
	for i := range actions {
		r.act(now, &actions[i])
	}
}

// arm sets the timer for the core's next wake-up. A timer that fires early is
// left alone: waking for nothing is rarer than moving it for every start.
func (r *runner) arm() {
	wake := r.core.wake()
	if r.over || wake.IsZero() || !r.armed.IsZero() && !wake.Before(r.armed) {
		return
	}
	r.armed = wake
	r.timer.Reset(time.Until(wake))
}

// end runs after the last step. Nobody is left waiting for an answer.
func (r *runner) end() {
	r.timer.Stop()
	for _, in := range r.inbox.close() {
		if in.call != nil {
			in.call.answer <- &pathError{pathOf(r.core.path, in.call.name), ErrNotRunning}
		}
	}
	r.watch.stop()
	r.probers.Wait()
	r.engine.leave()
}
