package supervisor

// This file keeps track of what belongs together: a failure, those that it
// takes down, their restarts, and what it leads to above. A child is involved
// in at most one incident, from its failure, or that of a sibling which takes
// it down, until it is ready again or rests for another reason.

// troubled involves a child in the incident of its failure. Who starts one by
// hand is told of its failure, and nobody else need be.
//
// That is the one that came up from below, the child's last one if it has not
// settled since (at first the one in which the supervisor was started), or else
// a new one.
func (c *core) troubled(ch *child, end ending) {
	switch {
	case ch.manual != nil:
	case end.incident != nil:
		c.involve(ch, end.incident)
	case ch.incident != nil && (ch.involved || !c.settled(ch)):
		c.involve(ch, ch.incident)
	default:
		ch.incident, ch.involved = c.newIncident(), true
	}
}

func (c *core) involve(ch *child, incident *trouble) {
	if ch.involved && ch.incident == incident {
		return
	}
	c.dismiss(ch, false)
	ch.incident, ch.involved = incident, true
	c.act(join, ch)
}

// dismiss ends the child's part in its incident, if it has one: well says that
// it is ready again.
func (c *core) dismiss(ch *child, well bool) {
	if ch.involved {
		c.act(leave, ch).well = well
		ch.involved = false
	}
}

// hold keeps the incident over which the supervisor fails from ending before
// the supervisor above has taken it over.
func (c *core) hold() {
	c.held = true
	if c.incident == nil {
		c.incident = c.newIncident()
	} else {
		c.act(join, nil)
	}
}

// incidentNow returns what an action about ch, or about the supervisor itself
// for nil, belongs to.
func (c *core) incidentNow(ch *child) *trouble {
	if ch != nil && ch.involved {
		return ch.incident
	}
	return c.incident
}
