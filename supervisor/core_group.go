package supervisor

// This file knows the strategies: who goes down with a failed child, and how
// they come up again.

// mark takes down what the strategy groups with ch, to start again with it.
func (c *core) mark(ch *child, cause error) {
	down := func(sib *child) {
		if sib != ch {
			c.takeDown(sib, ch, cause)
		}
	}
	if c.spec.Strategy != OneForOne {
		c.join(ch, groupMove)
	}
	switch c.spec.Strategy {
	case OneForAll:
		c.each(c.first, down)
	case RestForOne:
		c.each(ch.next, down)
	case DependentsForOne:
		for _, sib := range dependents(ch) {
			down(sib)
		}
	}
}

// takeDown makes a sibling part of a group restart. Whatever it was doing, it
// will be started in its turn. A failure has temporary ones that ran forgotten:
// they are never restarted, unless somebody asks for it.
func (c *core) takeDown(ch, culprit *child, cause error) {
	if ch.goal != up && (ch.state != Stopped || !c.spec.Strict) {
		if ch.state == Stopping {
			c.join(ch, groupMove)
		}
		return // an operator's intent outlives a sibling's crash
	}
	if culprit.involved {
		c.involve(ch, culprit.incident)
	}
	bystander := ch.temporary() && ch.ran && (cause != ErrRestart || ch.verdict != nil)
	ch.manual, ch.verdict, ch.open = nil, nil, false
	c.aim(ch, up)
	if bystander {
		c.aim(ch, gone)
	}
	switch {
	case ch.state.running():
		c.doom(ch, cause)
	case ch.state == Stopping:
		c.join(ch, groupMove)
	case bystander:
		c.forget(ch)
	default:
		c.rise(ch)
	}
}

// rise makes a child that does not run wait for its turn in a group's start.
func (c *core) rise(ch *child) {
	c.join(ch, groupMove)
	if ch.state != Pending {
		c.become(ch, Pending)
	}
	c.starts.put(ch)
}

// optionalLeaves lets later siblings pass an Optional child whose first
// attempt failed.
func (c *core) optionalLeaves(ch *child) {
	if ch.spec.Optional {
		c.join(ch, alone)
	}
}
