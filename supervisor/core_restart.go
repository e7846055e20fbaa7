package supervisor

import (
	"math"
	"time"
)

// exited takes a child's end: as it was told to, or by itself.
func (c *core) exited(ch *child, end ending) {
	told := ch.state == Stopping || ch.doomed
	ch.leave()
	switch {
	case told:
		c.obeyed(ch, end)
		c.halted(ch)
	case ch.state == Starting && end.has(ignored):
		c.emit(ch, EventIgnored, nil)
		c.finished(ch, ErrIgnore)
	default:
		c.failed(ch, end)
	}
}

// failed takes the end of a child that was not told to, or was told because it
// had failed so.
func (c *core) failed(ch *child, end ending) {
	unready := ch.readyAt == 0
	if end.err == nil && unready && ch.spec.Restart == Permanent {
		end.err = errNeverReady
	}
	normal := c.normal(ch, end)
	failure := !normal || end.has(escalated) || ch.spec.Restart == Permanent && !end.has(overForGood)
	if failure {
		c.troubled(ch, end)
	}
	c.report(ch, end.err, failure)
	switch {
	case end.has(escalated):
		c.drop(ch, named(ch, end.err))
	case unready && ch.manual != nil:
		c.refused(ch)
	case unready && c.spec.Strict && ch.wave == firstStart:
		c.drop(ch, &StartError{Path: ch.path, Err: end.err})
	case ch.temporary(), end.has(overForGood), normal && ch.spec.Restart == Transient:
		c.finished(ch, end.err)
	case unready && c.spec.Strict:
		c.retryLater(ch, end)
	default:
		c.restart(ch, end)
	}
}

// report tells whoever wants to know how ch ended.
func (c *core) report(ch *child, err error, failure bool) {
	kind := EventExited
	if failure && ch.readyAt == 0 {
		kind = EventStartFailed
	}
	if err != nil {
		ch.lastErr = err
	}
	c.emit(ch, kind, err).failed = failure
	if ch.readyAt == 0 {
		c.resolve(ch, up, err)
	}
}

// normal reports whether a child ended normally. A Strict supervisor takes a
// supervisor's giving up for that, as OTP does.
func (c *core) normal(ch *child, end ending) bool {
	strictly := c.spec.Strict && ch.spec.isSupervisor() && end.has(exhausted)
	return end.err == nil || end.has(overForGood|autoShut) || strictly
}

// restart decides that ch runs again, with what its failure takes down, or
// that this was once too often.
func (c *core) restart(ch *child, end ending) {
	unready := ch.readyAt == 0
	if c.isCounted(ch, end) && !c.allow(ch, end.err) {
		return
	}
	tired := c.tires(ch)
	if tired && !ch.spec.Optional {
		c.drop(ch, &attemptsError{ch.spec.Backoff.Attempts, named(ch, end.err)})
		return
	}
	if unready {
		c.optionalLeaves(ch)
	}
	if !unready || ch.wave == groupMove {
		c.mark(ch, ErrSibling)
	}
	if tired {
		c.park(ch, end.err)
	} else {
		c.backOff(ch, c.delay(ch), end.err)
	}
}

// retryLater leaves the failed start of a Strict child open until the
// calls that wait have been served: they see it restarting, and the siblings
// after it stopped, as in OTP.
func (c *core) retryLater(ch *child, end ending) {
	for !c.starts.empty() {
		if sib := c.starts.peek(); sib.temporary() {
			c.forget(sib)
		} else {
			c.stopped(sib, ErrSibling)
		}
	}
	ch.open, ch.lastErr = true, end.err
	c.become(ch, BackingOff)
	c.again.put(ch)
}

// retry starts ch again once its backoff is over.
func (c *core) retry(ch *child) {
	if ch.open {
		ch.open = false
		if !c.allow(ch, ch.lastErr) {
			return
		}
		c.mark(ch, ErrSibling)
	}
	c.become(ch, Pending)
	c.launch(ch)
}

// isCounted reports whether a restart after err counts against the intensity. A
// supervisor's failure and a panic always do; a worker that could not start,
// and an outage outside, do not.
func (c *core) isCounted(ch *child, end ending) bool {
	switch {
	case c.spec.Strict, ch.spec.isSupervisor(), end.has(panicked):
		return true
	case ch.readyAt == 0:
		return false
	}
	return !end.has(unavailable)
}

// allow spends one restart of the budget; if there is none left, the
// supervisor gives up over ch.
func (c *core) allow(ch *child, err error) bool {
	if c.budget.spend(c.clock) {
		return true
	}
	c.drop(ch, &IntensityError{Path: c.path, Intensity: c.budget.limit, Err: named(ch, err)})
	return false
}

// drop gives up over ch.
func (c *core) drop(ch *child, failure error) {
	c.become(ch, Failed)
	c.resolve(ch, up, failure)
	c.act(release, ch)
	c.incident = c.incidentNow(ch)
	c.giveUp(failure)
	c.dismiss(ch, false)
}

// tires counts one more failure in a row, and reports whether these are too
// many. Strict supervisors do not count them.
func (c *core) tires(ch *child) bool {
	if c.spec.Strict {
		return false
	}
	if c.settled(ch) {
		ch.attempt = 0
	}
	if ch.attempt < math.MaxInt32 { // who crashes without a pause comes there within the hour
		ch.attempt++
	}
	return ch.spec.Backoff.exhausted(int(ch.attempt))
}

// settled reports whether the incarnation was ready and well for long enough to
// have nothing to do with what was before it. The time that it takes to give up
// on one that is impaired says nothing for it.
func (c *core) settled(ch *child) bool {
	if ch.readyAt == 0 {
		return false
	}
	well := orDefault(ch.unwell, c.now).sub(ch.readyAt)
	return ch.spec.Backoff.settled(well)
}

// delay returns how long ch waits for its next start.
func (c *core) delay(ch *child) time.Duration {
	if c.spec.Strict || ch.spec.Backoff.none {
		return 0
	}
	return ch.spec.Backoff.delay(int(ch.attempt), c.random())
}

func (c *core) backOff(ch *child, d time.Duration, err error) {
	if d == 0 && !c.spec.Strict { // Strict: in the order of OTP
		c.become(ch, Pending)
		c.launch(ch)
		return
	}
	c.become(ch, BackingOff)
	c.await(ch, d)
	if d > 0 {
		c.emitDelay(ch, EventBackingOff, d, err)
	}
}

// park gives up on an Optional child, but for a trial now and then. Nobody
// waits for it.
func (c *core) park(ch *child, err error) {
	d := ch.spec.Backoff.trial(c.random())
	c.join(ch, alone)
	c.become(ch, Parked)
	c.await(ch, d)
	c.emitDelay(ch, EventParked, d, err)
	c.dismiss(ch, false)
}

// finished takes the end of a child that ended by itself, for good.
func (c *core) finished(ch *child, how error) {
	within := c.incidentNow(ch)
	c.resolve(ch, up, how)
	if ch.temporary() {
		c.forget(ch)
	} else {
		c.stopped(ch, how)
		c.alter(ch, func(ch *child) { ch.over = true })
	}
	if how != ErrIgnore && ch.spec.Significant {
		c.autoShutdown(within)
	}
}

// autoShutdown ends the supervisor if that was the Significant end it waits
// for: within the incident of the child, if that failed.
func (c *core) autoShutdown(within *trouble) {
	last := c.spec.AutoShutdown == AllSignificant && c.counts[significant] == 0
	if c.closing || !last && c.spec.AutoShutdown != AnySignificant {
		return
	}
	if within != nil {
		c.incident = within
		c.hold()
	}
	c.close(ErrShutdown, ErrAutoShutdown)
}

// named says whose failure err is; a supervisor's says so itself.
func named(ch *child, err error) error {
	switch {
	case err == nil:
		return &pathError{ch.path, errReturned}
	case ch.spec.isSupervisor():
		return err
	}
	return &pathError{ch.path, err}
}
