package supervisor

import (
	"fmt"
	"time"
)

// This file takes children down: one, or all of them for good.

// lastChance is how long a worker has to stop even when the deadline is past:
// most need less, and would be called abandoned for nothing.
const lastChance = 50 * time.Millisecond

// overdue is called when a child's wait for a time is over.
func (c *core) overdue(ch *child) {
	switch ch.state {
	case Starting:
		c.condemn(ch, ending{err: fmt.Errorf("did not call ready within %v", ch.spec.startTimeout())}, ErrStartTimeout)
	case Stopping:
		c.abandon(ch)
	case BackingOff, Parked:
		c.retry(ch)
	}
}

// unhealthy stops a worker that did not notice itself that it has failed. What
// would go down with it is not started meanwhile.
func (c *core) unhealthy(ch *child, end ending) {
	if ch.state != Ready || ch.doomed {
		return
	}
	if c.spec.Strategy != OneForOne {
		c.join(ch, groupMove)
	}
	c.condemn(ch, end, ErrUnhealthy)
}

// condemn stops a child that counts as failed, whatever it returns.
func (c *core) condemn(ch *child, verdict ending, cause error) {
	c.troubled(ch, verdict)
	ch.unwell = orDefault(ch.unwell, c.now)
	ch.verdict, ch.cause = &verdict, cause
	c.tell(ch)
}

// doom queues a running child to be stopped in its turn.
func (c *core) doom(ch *child, cause error) {
	ch.cause = cause
	c.alter(ch, func(ch *child) { ch.wave, ch.doomed = groupMove, true })
	c.stops.put(ch)
}

// tell tells a running child to stop.
func (c *core) tell(ch *child) {
	ch.leave()
	c.become(ch, Stopping)
	until := c.deadline
	if d := ch.spec.stopTimeout(); d > 0 {
		if own := c.clock.Add(d); until.IsZero() || own.Before(until) {
			until = own
		}
	}
	if !ch.spec.isSupervisor() {
		c.await(ch, max(lastChance, until.Sub(c.clock)))
	}
	c.emit(ch, EventStopping, ch.cause)
	a := c.act(stop, ch)
	a.err, a.until = ch.cause, until
}

// obeyed records how a child ended that was told to. One that says that its
// context ended has nothing to report; what else it says is not lost.
func (c *core) obeyed(ch *child, end ending) {
	err := end.err
	if end.has(obedient) {
		err = nil
	}
	if err != nil {
		ch.lastErr = err
	}
	c.emit(ch, EventStopped, err)
}

// halted decides what becomes of a child that was stopped, or abandoned.
func (c *core) halted(ch *child) {
	verdict := ch.verdict
	ch.verdict = nil
	switch {
	case ch.goal == gone:
		c.forget(ch)
	case ch.goal == down:
		c.stopped(ch, ErrStopped)
	case c.closing:
		c.stopped(ch, ErrNotRunning)
	case verdict != nil:
		c.failed(ch, *verdict)
	default:
		c.resolve(ch, down, nil)
		c.become(ch, Pending)
		c.launch(ch)
	}
}

// stopped puts ch to rest. Calls that wait for it to run are told why not.
func (c *core) stopped(ch *child, why error) {
	ch.leave()
	ch.manual, ch.open = nil, false
	c.become(ch, Stopped)
	c.join(ch, alone)
	c.dismiss(ch, false)
	ch.incident = nil
	c.act(release, ch)
	c.resolve(ch, down, nil)
	c.resolve(ch, up, why)
}

// forget drops ch and all memory of it.
func (c *core) forget(ch *child) {
	if ch.state != Stopped {
		c.stopped(ch, ErrRemoved)
	}
	c.dismiss(ch, false)
	c.isolate(ch)
	c.countAs(ch, 0)
	c.remove(ch)
}

// abandon goes on without a child that did not stop in time.
func (c *core) abandon(ch *child) {
	ch.ghosts++
	c.haunted = true
	c.emit(ch, EventAbandoned, nil)
	c.act(abandon, ch)
	c.resolve(ch, down, ErrAbandoned)
	c.halted(ch)
}

func (c *core) returned(ch *child, number uint64) {
	ch.ghosts--
	c.emit(ch, EventReturned, nil).number = number
	if ch.state == Fenced && !ch.fenced() {
		c.become(ch, Pending)
		c.launch(ch)
	}
}

// giveUp fails the supervisor.
func (c *core) giveUp(failure error) {
	if c.closing {
		return
	}
	c.hold()
	c.emit(nil, EventGaveUp, failure)
	c.close(ErrShutdown, failure)
}

// close stops all children for good; the supervisor then ends with failure.
func (c *core) close(cause, failure error) {
	if c.closing {
		return
	}
	c.closing, c.cause, c.failure = true, cause, failure
	c.each(c.first, c.shut)
	for _, call := range c.deferred {
		c.answer(call, ErrNotRunning)
	}
	c.deferred = nil
}

// shut marks one child for the supervisor's end.
func (c *core) shut(ch *child) {
	switch ch.state {
	case Starting, Ready:
		c.doom(ch, c.cause)
	case Stopping:
		c.join(ch, groupMove)
	case Pending, BackingOff, Fenced, Parked:
		c.stopped(ch, ErrNotRunning)
	}
}

// hasten cuts the stops that are under way short to a deadline that came later.
func (c *core) hasten() {
	if c.deadline.IsZero() {
		return
	}
	c.each(c.first, func(ch *child) {
		switch {
		case ch.state != Stopping:
		case ch.spec.isSupervisor():
			c.act(hurry, ch).until = c.deadline
		case c.at(c.deadline) < ch.due:
			c.await(ch, max(lastChance, c.deadline.Sub(c.clock)))
		}
	})
}
