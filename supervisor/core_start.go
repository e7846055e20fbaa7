package supervisor

// This file brings children up, and hears how they are.

// begin starts the children, in order or all at once. The order to stop can
// have come first.
func (c *core) begin() {
	if c.closing {
		return
	}
	for ch := c.first; ch != nil; ch = ch.next {
		c.queueUp(ch)
		c.launch(ch)
	}
}

// queueUp makes a new child start in its turn, if there are turns.
func (c *core) queueUp(ch *child) {
	if !c.spec.Concurrent {
		c.join(ch, firstStart)
	}
}

// launch starts a Pending child: in its turn if it has one, and not before what
// it depends on.
func (c *core) launch(ch *child) {
	if ch.wave == alone && ch.mayStart() {
		c.start(ch)
	} else {
		c.starts.put(ch)
	}
}

func (c *core) start(ch *child) {
	if ch.fenced() {
		c.emit(ch, EventFenced, nil)
		c.optionalLeaves(ch)
		c.become(ch, Fenced)
		return
	}
	ch.incarnation++
	ch.ran, ch.readyAt, ch.unwell, ch.cause = true, 0, 0, nil
	c.become(ch, Starting)
	if !ch.spec.isSupervisor() {
		c.await(ch, ch.spec.startTimeout())
	}
	c.emit(ch, EventStarted, nil)
	c.act(start, ch)
}

func (c *core) becameUp(ch *child) {
	if ch.state != Starting || ch.doomed {
		return
	}
	ch.leave()
	ch.readyAt, ch.manual = c.now, nil
	c.join(ch, alone)
	c.become(ch, Ready)
	c.emit(ch, EventReady, nil)
	c.dismiss(ch, true)
	c.rouse(ch)
	c.resolve(ch, up, nil)
}

// reported takes a supervisor's status. Who needs it did not wait for it to
// start, but for it to be well.
func (c *core) reported(ch *child, s Status) {
	wasIll := ch.ailing()
	c.alter(ch, func(ch *child) { ch.reported = s })
	if wasIll && !ch.ailing() {
		c.rouse(ch)
	}
}

// impaired takes what a worker says of itself, or its probe of it. The same
// words again are no news. A reason's words are at hand: see
// incarnation.impaired.
func (c *core) impaired(ch *child, by source, reason error) {
	if ch.state != Ready {
		return
	}
	before := ch.impairment()
	c.alter(ch, func(ch *child) { ch.impair(by, reason) })
	switch now := ch.impairment(); {
	case now == nil && before != nil:
		ch.unwell = 0
		c.emit(ch, EventRecovered, nil)
		c.rouse(ch)
	case now != nil && (before == nil || before.Error() != now.Error()):
		ch.unwell = orDefault(ch.unwell, c.now)
		c.emit(ch, EventImpaired, now)
	}
}
