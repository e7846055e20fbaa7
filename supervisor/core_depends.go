package supervisor

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// This file knows what DependsOn means to the core. Each child counts the
// neighbours that keep it from moving, so that a step looks at the neighbours
// of what moved and at nobody else.

// A stance is what a child means to its neighbours at a moment.
type stance struct {
	gates bool // those that need it cannot start yet
	leans bool // those that it needs can neither stop nor start before it has gone
}

// A child that does not run passes on what it bears: those that need it need
// what it needs.
func (ch *child) stance() stance {
	return stance{
		gates: ch.gatesItself() || ch.gated > 0 && (ch.goal != up || ch.state == Stopped),
		leans: ch.doomed || ch.state == Stopping && ch.wave == groupMove || ch.leanedOn > 0 && !ch.live(),
	}
}

// gatesItself reports whether the child is still to be ready, or to stop first.
func (ch *child) gatesItself() bool {
	return ch.doomed || ch.goal == up && !ch.atRest() && (ch.wave != alone || !ch.spec.Optional)
}

// mayStop and mayStart report whether no neighbour keeps the child from it;
// those of a child without any never do. Who does not start with a group does
// not wait for one to stop.
func (ch *child) mayStop() bool  { return ch.leanedOn == 0 }
func (ch *child) mayStart() bool { return ch.gated == 0 && (ch.leanedOn == 0 || ch.wave != groupMove) }

// newBonds returns what a child has before it is linked.
func (c *core) newBonds() *bonds {
	if c.spec.Strategy != DependentsForOne {
		return &loose
	}
	return &bonds{neededBy: map[*child]bool{}}
}

// linked reports whether the child can have neighbours.
func (ch *child) linked() bool { return ch.bonds != &loose }

// shift makes the neighbours of ch bear its stance instead of the one before.
func (ch *child) shift(before stance) {
	now := ch.stance()
	if now.gates != before.gates {
		for by := range ch.neededBy {
			by.bear(sign(now.gates), 0)
		}
	}
	if now.leans != before.leans {
		for _, on := range ch.needs {
			on.bear(0, sign(now.leans))
		}
	}
}

// bear adds to what the child bears from its neighbours.
func (ch *child) bear(gated, leanedOn int32) {
	before := ch.stance()
	ch.gated += gated
	ch.leanedOn += leanedOn
	ch.reorder()
	ch.shift(before)
}

func sign(more bool) int32 {
	if more {
		return 1
	}
	return -1
}

// link makes ch depend on the siblings that its Spec names, where that means
// something. A dynamic one depends only on those before it: who took a name
// that it needs after it was added may depend on it.
func (c *core) link(ch *child) {
	if c.spec.Strategy != DependentsForOne {
		return
	}
	for _, name := range ch.latest().DependsOn {
		if on := c.named(name); on != nil && (!ch.dynamic || on.rank < ch.rank) {
			ch.needs = append(ch.needs, on)
			on.neededBy[ch] = true
			tie(ch, on, 1)
		}
	}
}

// unlink makes ch depend on nobody.
func (c *core) unlink(ch *child) {
	for _, on := range ch.needs {
		tie(ch, on, -1)
		delete(on.neededBy, ch)
	}
	ch.needs = nil
}

// isolate also makes nobody depend on ch.
func (c *core) isolate(ch *child) {
	if !ch.linked() {
		return
	}
	c.unlink(ch)
	for by := range ch.neededBy {
		tie(by, ch, -1)
		by.needs = slices.DeleteFunc(by.needs, func(on *child) bool { return on == ch })
		delete(ch.neededBy, by)
	}
}

// tie adds by to what ch and what it needs bear from each other.
func tie(ch, on *child, by int32) {
	if on.stance().gates {
		ch.bear(by, 0)
	}
	if ch.stance().leans {
		on.bear(0, by)
	}
}

// dependents returns what needs ch, and what needs that, in start order.
func dependents(ch *child) []*child {
	var all []*child
	seen := map[*child]bool{ch: true}
	for next := []*child{ch}; len(next) > 0; next = next[1:] {
		for by := range next[0].neededBy {
			if !seen[by] {
				seen[by] = true
				all, next = append(all, by), append(next, by)
			}
		}
	}
	return inOrder(all)
}

func inOrder(children []*child) []*child {
	slices.SortFunc(children, func(a, b *child) int { return cmp.Compare(a.rank, b.rank) })
	return children
}

// wakeWithin bounds the time over which the dependents of a child that can be
// used again are spread.
const wakeWithin = time.Second

// waiting says that a child in that state waits for its next start.
var waiting = map[State]EventKind{BackingOff: EventBackingOff, Parked: EventParked}

// rouse shortens the backoff of what needs ch, and waits for nothing else: with
// ch as it is now the next attempt may well succeed.
func (c *core) rouse(ch *child) {
	if len(ch.neededBy) == 0 {
		return
	}
	var sleepers []*child
	for by := range ch.neededBy {
		if waiting[by.state] != "" && !slices.ContainsFunc(by.needs, (*child).ailing) {
			sleepers = append(sleepers, by)
		}
	}
	for _, by := range inOrder(sleepers) {
		d := time.Duration(c.random() * float64(wakeWithin))
		if c.now.add(d) < by.due {
			c.await(by, d)
			c.emitDelay(by, waiting[by.state], d, fmt.Errorf("%s can be used again", ch.path))
		}
	}
}

// ailing reports whether the child cannot be used, or only badly.
func (ch *child) ailing() bool { return ch.status() != Up && ch.state != Stopped }
