package supervisor

// This file keeps what the core must know of all its children together, so
// that no step looks at each of them.

// counts are over the children of one supervisor.
type counts struct {
	live        int // incarnations: Starting, Ready, Stopping
	moving      int // Starting and Stopping
	stopping    int // Stopping in order
	gating      int // not yet ready in order: later starts wait
	awaited     int // that the supervisor's readiness waits for
	significant int // Significant ones that are not over
	health      health
}

// tally counts ch, by 1 or -1.
func (c *counts) tally(ch *child, by int) {
	count := func(n *int, holds bool) {
		if holds {
			*n += by
		}
	}
	inOrder := ch.wave != alone
	starting, stopping := ch.state == Starting, ch.state == Stopping
	count(&c.live, starting || stopping || ch.state == Ready)
	count(&c.moving, starting || stopping)
	count(&c.stopping, stopping && inOrder)
	count(&c.gating, inOrder && (starting || ch.state == BackingOff || ch.state == Fenced))
	count(&c.awaited, ch.awaited())
	count(&c.significant, ch.spec.Significant && ch.state != Stopped && ch.state != Failed)
	c.health.count(ch.status(), ch.spec.Optional, by)
}

// health counts the children of one supervisor by what they do to its status,
// so that no change needs a look at the siblings.
type health struct {
	up       int // children Up or Degraded
	down     int // children Down that are not Optional
	degraded int // children Degraded, and Optional ones Down
}

// count adds by (1 or -1) children of status s.
func (h *health) count(s Status, optional bool, by int) {
	switch {
	case s == Up:
		h.up += by
	case s == Degraded:
		h.up += by
		h.degraded += by
	case optional:
		h.degraded += by
	default:
		h.down += by
	}
}

// status of a supervisor with these children.
func (h *health) status(quorum int) Status {
	switch {
	case quorum > 0 && h.up < quorum:
		return Down
	case quorum == 0 && h.down > 0:
		return Down
	case h.down > 0 || h.degraded > 0:
		return Degraded
	}
	return Up
}

// ill are the children that are not Up, the latest first: those that only wait
// for others apart, for they are not to blame.
type ill struct {
	workers, supervisors, pending *child
	count                         [Up]int // by status
}

func (l *ill) list(ch *child) **child {
	switch {
	case ch.state == Pending:
		return &l.pending
	case ch.spec.isSupervisor():
		return &l.supervisors
	}
	return &l.workers
}

// add takes ch in unless it is Up.
func (l *ill) add(ch *child) {
	s := ch.status()
	if s == Up {
		return
	}
	l.count[s]++
	first := l.list(ch)
	ch.prevIll, ch.nextIll = nil, *first
	if *first != nil {
		(*first).prevIll = ch
	}
	*first = ch
}

// remove takes ch out again, before its status changes.
func (l *ill) remove(ch *child) {
	s := ch.status()
	if s == Up {
		return
	}
	l.count[s]--
	if ch.prevIll == nil {
		*l.list(ch) = ch.nextIll
	} else {
		ch.prevIll.nextIll = ch.nextIll
	}
	if ch.nextIll != nil {
		ch.nextIll.prevIll = ch.prevIll
	}
}
