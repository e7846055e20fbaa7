package supervisor

import "time"

// This file does what the core says, an action at a time.

func (r *runner) act(now time.Time, a *action) {
	switch a.do {
	case emit:
		r.emit(now, a)
	case start:
		r.start(a.child, a.within)
	case stop:
		r.stop(a)
	case hurry:
		r.hurry(a.child, a.until)
	case abandon:
		r.abandon(a.child)
	case release:
		r.release(a.child)
	case announce:
		r.announce()
	case reply:
		r.publish() // who is answered must not find the status from before
		a.call.answer <- a.err
	case join:
		a.within.join()
	case leave:
		r.leave(now, a)
	case respec:
		r.respec(a.child)
	case handOn:
		r.handOn(a.child, a.call)
	case finish:
		r.over, r.result = true, a.err
	}
}

func (r *runner) leave(now time.Time, a *action) {
	if !a.within.leave(now, a.well) {
		return
	}
	if number := r.tree.feed.number(); r.tree.feed.observed() {
		r.healed(now, number, a.within)
	}
}

// healed is not inlined, so that an event's size is not on the stack of every
// step.
//
//go:noinline
func (r *runner) healed(now time.Time, number uint64, t *trouble) {
	e := t.event(now)
	e.Seq = number
	r.tree.feed.put(&e, nil)
}

// announce publishes the status first: who sees the supervisor ready must not
// find it down.
func (r *runner) announce() {
	r.published = r.core.counts.status(r.core.spec.Quorum)
	r.self.report(r.published)
	r.self.ready()
}

func (r *runner) start(ch *child, incident *trouble) {
	u := &ch.unit
	if !u.slotted {
		r.engine.hold()
		u.slotted = true
	}
	u.renew(ch.spec)
	u.inc = newIncarnation(r.tree, r, ch)
	if o := u.inc.orders; o != nil {
		o.incident.Store(incident)
	}
	if !r.driver.takes(u.inc) {
		r.hand(u.inc)
	}
}

// hand hands an incarnation over to a slot, with those of the same round: one by
// one, who sends and who receives would keep each other from the channel.
func (r *runner) hand(inc *incarnation) {
	if r.started = append(r.started, inc); len(r.started) == handful {
		r.handOver()
	}
}

func (r *runner) handOver() {
	r.engine.start(r.started)
	clear(r.started)
	r.started = r.started[:0]
}

// respec shows the child's new Spec to those outside the loop. A probe that is
// new is begun; one that is at work takes what has changed.
func (r *runner) respec(ch *child) {
	spec := ch.spec
	ch.unit.spec.Store(spec)
	if ch.state == Ready && !ch.unit.care.Load().nudge(ch.incarnation) && spec.Probe != nil {
		r.attend(ch)
	}
}

func (r *runner) stop(a *action) {
	inc := a.child.unit.inc
	if inc.orders != nil {
		deadline := a.until // a is reused
		inc.orders.deadline.Store(&deadline)
		inc.orders.incident.Store(a.within)
	}
	inc.halt(a.err)
}

// hurry tells a supervisor that stops already that it has less time.
func (r *runner) hurry(ch *child, deadline time.Time) {
	orders := ch.unit.inc.orders
	if has := orders.latest(); !has.IsZero() && has.Before(deadline) {
		return
	}
	orders.deadline.Store(&deadline)
	if below := ch.unit.below.Load(); below != nil {
		below.post(&input{kind: hurried})
	}
}

// abandon registers the ghost before it decides: an incarnation that ends
// later finds it, and one that has ended just now takes it back.
func (r *runner) abandon(ch *child) {
	inc := ch.unit.inc
	r.tree.ghosts.add(ch, r)
	if inc.fate.CompareAndSwap(fateOpen, fateAbandoned) {
		r.engine.replace()
		r.tree.tooManyAbandoned()
		return
	}
	r.tree.ghosts.ended(ch.path, inc.number)
}

// emit tells the observers, and notes when a start is due for who asks. What
// became ready is probed from then on.
func (r *runner) emit(now time.Time, a *action) {
	if a.child != nil && !a.until.IsZero() {
		r.schedule(a.child, a.until)
	}
	if a.event == EventGaveUp && r.self.runner == nil {
		failure := a.err // a is reused
		r.tree.gaveUp.Store(&failure)
	}
	number, noted := r.tree.feed.number(), a.within.notes(a.event)
	if noted || r.tree.feed.observed() {
		r.tell(now, number, a, noted)
	}
	if a.event == EventReady && a.child.spec.Probe != nil {
		r.attend(a.child)
	}
}

// tell tells the incident of what has happened, and then the observers.
func (r *runner) tell(now time.Time, number uint64, a *action, noted bool) {
	e := Event{Seq: number, Time: now, Path: r.core.path, Supervisor: true, Kind: a.event, Incarnation: r.self.number, Delay: a.delay, Err: a.err, Incident: a.within.number()}
	if a.child != nil {
		e.Path, e.Incarnation, e.Supervisor = a.child.path, a.number, a.above
	}
	if a.event == EventBackingOff || a.event == EventParked {
		e.BudgetLeft = r.core.budget.left(now)
	}
	switch err := a.err.(type) {
	case *remedyError:
		e.Remedy, e.Err = err.name, err.error
	case *BeatError:
		if a.event == EventExited {
			e.Stack = err.stack
		}
	}
	if noted {
		r.tree.incidents.note(a.within, &e, a.child, a.failed)
	}
	var abandoned *incarnation
	if a.event == EventAbandoned {
		abandoned = a.child.unit.inc
	}
	r.tree.feed.put(&e, abandoned)
}

// schedule notes when ch, and what waits for it with its group, is due to start.
func (r *runner) schedule(ch *child, due time.Time) {
	at := due.UnixNano()
	ch.unit.next.Store(at)
	switch {
	case ch.wave == alone:
	case r.core.spec.Strategy == DependentsForOne: // there can be several groups
		for _, by := range dependents(ch) {
			by.unit.next.Store(max(at, by.unit.next.Load()))
		}
	default:
		r.groupNext.Store(at)
	}
}

func (r *runner) release(ch *child) {
	ch.unit.next.Store(0)
	if ch.unit.slotted {
		r.engine.release(r.tree.draining.Load())
		ch.unit.slotted = false
	}
}
