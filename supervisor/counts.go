package supervisor

import "math/bits"

// This file keeps what the core must know of all its children together, so
// that no step looks at each of them.

// counts are over the children of one supervisor: how many have a stake in
// each.
type counts [stakes]int

// A stake says what one child counts for, a bit for each of the counts.
type stake uint16

const (
	running     = iota // incarnations: Starting, Ready, Stopping
	moving             // Starting and Stopping
	halting            // Stopping in order
	gating             // not yet ready in order: later starts wait
	awaited            // the supervisor's readiness waits for them
	significant        // Significant ones that are not over
	working            // Up or Degraded
	missing            // Down and not Optional
	lesser             // Degraded, or Down and Optional

	// The children that are not Up, by status, and by the list they are in.
	allDown
	allDegraded
	illWorkers
	illSupervisors
	illPending

	stakes
)

// in is the stake of one that counts if it holds.
func in(count int, holds bool) stake {
	if holds {
		return 1 << count
	}
	return 0
}

// worth is what ch counts for as it is now.
func (ch *child) worth() stake {
	status := ch.status()
	starting, stopping, inOrder := ch.state == Starting, ch.state == Stopping, ch.wave != alone
	s := standing(status, ch.spec.Optional) |
		in(running, starting || stopping || ch.state == Ready) |
		in(moving, starting || stopping) |
		in(halting, stopping && inOrder) |
		in(gating, inOrder && (starting || ch.state == BackingOff || ch.state == Fenced)) |
		in(awaited, ch.awaited()) |
		in(significant, ch.spec.Significant && ch.state != Stopped && ch.state != Failed)
	if status == Up {
		return s
	}
	pending, supervisor := ch.state == Pending, ch.spec.isSupervisor()
	return s | in(allDown, status == Down) |
		in(allDegraded, status == Degraded) |
		in(illPending, pending) |
		in(illSupervisors, supervisor && !pending) |
		in(illWorkers, !supervisor && !pending)
}

// standing is what a child of that status does to its supervisor's.
func standing(status Status, optional bool) stake {
	return in(working, status != Down) |
		in(missing, status == Down && !optional) |
		in(lesser, status == Degraded || status == Down && optional)
}

// move takes a child from what it was counted for to what it is.
func (c *counts) move(was, is stake) {
	for left := was ^ is; left != 0; left &= left - 1 {
		if n := bits.TrailingZeros16(uint16(left)); is&(1<<n) != 0 {
			c[n]++
		} else {
			c[n]--
		}
	}
}

// status of a supervisor with these children.
func (c *counts) status(quorum int) Status {
	switch {
	case quorum > 0 && c[working] < quorum:
		return Down
	case quorum == 0 && c[missing] > 0:
		return Down
	case c[missing]+c[lesser] > 0:
		return Degraded
	}
	return Up
}

// ill are the children that are not Up, the latest first: those that only wait
// for others apart, for they are not to blame.
type ill struct{ workers, supervisors, pending *child }

const lists = 1<<illWorkers | 1<<illSupervisors | 1<<illPending

// list returns the one that a child with that stake is in, nil for none.
func (l *ill) list(s stake) **child {
	switch {
	case s&(1<<illWorkers) != 0:
		return &l.workers
	case s&(1<<illSupervisors) != 0:
		return &l.supervisors
	case s&(1<<illPending) != 0:
		return &l.pending
	}
	return nil
}

// move takes ch from the list it was in to the one it belongs to.
func (l *ill) move(ch *child, was, is stake) {
	if (was^is)&lists == 0 {
		return
	}
	if first := l.list(was); first != nil {
		ch.leaveIll(first)
	}
	if first := l.list(is); first != nil {
		ch.joinIll(first)
	}
}

func (ch *child) joinIll(first **child) {
	ch.prevIll, ch.nextIll = nil, *first
	if *first != nil {
		(*first).prevIll = ch
	}
	*first = ch
}

func (ch *child) leaveIll(first **child) {
	if ch.prevIll == nil {
		*first = ch.nextIll
	} else {
		ch.prevIll.nextIll = ch.nextIll
	}
	if ch.nextIll != nil {
		ch.nextIll.prevIll = ch.prevIll
	}
	ch.prevIll, ch.nextIll = nil, nil
}
