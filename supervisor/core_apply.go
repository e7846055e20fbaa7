package supervisor

// apply makes the Spec of a call the supervisor's own, and its children what
// that says. Those that were added by calls stay as they are. The call is
// answered at once: its changes are calls, each answered when it is done.
func (c *core) apply(call *call) {
	old, byName := c.spec, call.spec.byName()
	gone, changed := c.govern(call.spec, byName)
	added := c.admit(old)
	c.arrange(byName)
	c.relink()
	for _, ch := range gone {
		c.retire(ch, call.change(opRemove, ch))
	}
	for _, ch := range changed {
		c.aim(ch, up) // also what somebody removed, and is in the Spec again
	}
	own := make(map[*child]bool, len(changed))
	for _, ch := range changed {
		own[ch] = true
		c.restartChild(ch, call.change(opRestart, ch))
	}
	for ch := c.first; ch != nil; ch = ch.next {
		if !own[ch] && ch.restartsWithOthers() {
			c.wait(ch, call.change(opRestart, ch))
		}
		c.handOn(ch, call)
	}
	for _, ch := range added {
		c.wait(ch, call.change(opStart, ch))
		c.enter(ch)
	}
	c.answer(call, nil)
}

// govern puts spec in force. It returns the children that are not in it any
// more, and those that must be restarted for it, the running ones first: what
// has to stop does so before anything starts.
func (c *core) govern(spec *Spec, byName map[string]*Spec) (gone, changed []*child) {
	c.spec, c.budget.limit = spec, spec.Intensity.withDefaults()
	var idle []*child
	for ch := c.first; ch != nil; ch = ch.next {
		switch spec := byName[ch.spec.Name]; {
		case spec == nil && !ch.dynamic:
			gone = append(gone, ch)
		case spec == nil || !c.revise(ch, spec):
		case ch.state.running():
			changed = append(changed, ch)
		default:
			idle = append(idle, ch)
		}
	}
	c.each(c.first, c.recount)
	return gone, append(changed, idle...)
}

// admit adopts the children that are new in the Spec.
func (c *core) admit(old *Spec) (added []*child) {
	was := old.byName()
	for i := range c.spec.Children {
		spec := &c.spec.Children[i]
		if c.named(spec.Name) != nil || spec.Restart == Temporary && spent(was[spec.Name], spec) {
			continue
		}
		ch := c.adopt(&child{}, spec)
		c.queueUp(ch)
		added = append(added, ch)
	}
	return added
}

// spent reports whether a child that is not there has had its one run: it was
// Temporary under the Spec before, and nothing calls for another.
func spent(old, spec *Spec) bool {
	return old != nil && old.Restart == Temporary && spec.Restart == Temporary && !mustRestart(old, spec)
}

// revise gives a child a new Spec, and reports whether it must be restarted for
// it. What runs as a worker cannot be a supervisor before it has ended, or the
// other way round. The caller takes the counts anew.
func (c *core) revise(ch *child, spec *Spec) (restart bool) {
	restart = mustRestart(ch.latest(), spec) && ch.goal != down || ch.goal == gone
	if ch.live() && ch.spec.isSupervisor() != spec.isSupervisor() {
		ch.successor = spec
	} else {
		ch.spec, ch.successor = spec, nil
		c.act(respec, ch)
	}
	ch.dynamic = false
	return restart
}

// latest is the Spec that counts from the next start.
func (ch *child) latest() *Spec {
	if ch.successor != nil {
		return ch.successor
	}
	return ch.spec
}

// arrange puts the children into the order of the Spec. Those that are gone
// from it keep their place behind the one that they stood behind, and dynamic
// ones come last.
func (c *core) arrange(byName map[string]*Spec) {
	behind := map[*child][]*child{}
	var last *child
	var dynamic []*child
	for ch := c.first; ch != nil; ch = ch.next {
		switch {
		case ch.dynamic:
			dynamic = append(dynamic, ch)
		case byName[ch.spec.Name] != nil:
			last = ch
		default:
			behind[last] = append(behind[last], ch)
		}
	}
	order := behind[nil]
	for i := range c.spec.Children {
		if ch := c.named(c.spec.Children[i].Name); ch != nil {
			order = append(append(order, ch), behind[ch]...)
		}
	}
	c.line(append(order, dynamic...))
}

// relink makes the children depend on each other as their Specs say now.
func (c *core) relink() {
	for ch := c.first; ch != nil; ch = ch.next {
		ch.bonds = c.newBonds()
	}
	for ch := c.first; ch != nil; ch = ch.next {
		c.link(ch)
	}
	for _, q := range []*queue{&c.stops, &c.starts, &c.again} {
		q.reorderAll()
	}
}

// restartsWithOthers reports whether the child is on its way down and up again,
// or only up, in a group.
func (ch *child) restartsWithOthers() bool {
	return ch.goal == up && ch.wave == groupMove && (ch.doomed || ch.state == Pending)
}

// handOn passes on what is new below a child that goes on running. What does
// not will start with its new Spec.
func (c *core) handOn(ch *child, call *call) {
	if !ch.dynamic && ch.goal == up && ch.spec.isSupervisor() && ch.state.running() && !ch.doomed {
		below := newCall(opApply, ch.spec.Name)
		call.below = append(call.below, below)
		c.act(handOn, ch).call = below
	}
}

// retire stops, in its turn, a child that is in the Spec no more, and forgets
// it.
func (c *core) retire(ch *child, call *call) {
	c.wait(ch, call)
	c.aim(ch, gone)
	ch.verdict = nil
	switch {
	case ch.state == Stopping, ch.doomed:
		// Its end will find the goal.
	case ch.state.running():
		c.doom(ch, ErrRemoved)
	default:
		c.forget(ch)
		c.resolve(ch, down, nil)
	}
}

// enter starts a child that is new in the Spec, in its turn, unless the restart
// of others takes it along.
func (c *core) enter(ch *child) {
	if ch.queue == nil && ch.state == Pending {
		c.launch(ch)
	}
}
