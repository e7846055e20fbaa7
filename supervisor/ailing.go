package supervisor

import "time"

// This file finds who is to blame.

// Why says in one line why the node at path is not Up, from the tree alone:
// "shop/storage/db backing off (attempt 4, next in 3.2s): connection refused".
// Of a supervisor it names a node below it that is to blame, one that is Down
// before one that is Degraded. It is "" if all is well, or there is no such
// node.
func (s *Supervisor) Why(path string) string {
	snap, err := s.Find(path)
	if err != nil || snap.Status == Up {
		return ""
	}
	if snap.Supervisor && snap.State.running() {
		if nodes, _ := s.ailingBelow(snap.Path, snap.Status, 1); len(nodes) > 0 {
			snap = nodes[0]
		}
	}
	return snap.Why()
}

// Ailing returns nodes that are no better than worst and are themselves to
// blame, at most limit of them: workers, and supervisors that do not run. Those
// that only wait for others come last. total is how many there are. The nodes at
// the paths of without, and all below them, are left out. What is Up costs
// nothing.
func (s *Supervisor) Ailing(worst Status, limit int, without ...string) (nodes []Snapshot, total int) {
	return s.ailingBelow(s.root.path, worst, limit, without...)
}

func (s *Supervisor) ailingBelow(path string, worst Status, limit int, without ...string) (nodes []Snapshot, total int) {
	a := ailing{limit: limit, worst: worst}
	r, _, _ := s.walk(path) // nil if there is nothing to see
	a.walk(r, leftOut(path, without))
	for _, p := range a.waiting {
		a.pending(p.runner, p.without)
	}
	return a.nodes, a.total
}

// ailing collects nodes that are no better than worst.
type ailing struct {
	limit   int
	worst   Status
	nodes   []Snapshot
	total   int
	waiting []partly // have Pending children that were not noted yet
}

func (a *ailing) walk(r *runner, w without) {
	if r == nil {
		return
	}
	for _, below := range a.visit(r, w) {
		a.walk(below.runner, below.without)
	}
}

// visit notes the children of r and returns the supervisors to go on with.
func (a *ailing) visit(r *runner, w without) (below []partly) {
	r.access.read()
	defer r.access.done()
	a.total += r.core.counts[allDown]
	if a.worst >= Degraded {
		a.total += r.core.counts[allDegraded]
	}
	a.total -= a.leftOut(r, w)
	if r.core.ill.pending != nil {
		a.waiting = append(a.waiting, partly{runner: r, without: w})
	}
	a.note(r.core, r.core.ill.workers, w)
	for ch := r.core.ill.supervisors; ch != nil; ch = ch.nextIll {
		switch {
		case w.whole(ch.spec.Name):
		case ch.state.running() && ch.status() <= a.worst:
			a.total-- // not itself to blame
			below = append(below, partly{runner: ch.unit.below.Load(), without: w[ch.spec.Name]})
		default:
			a.noteOne(r.core, ch)
		}
	}
	return below
}

// leftOut counts those children of r that would be in total.
func (a *ailing) leftOut(r *runner, w without) (n int) {
	for name := range w {
		if ch := r.core.named(name); ch != nil && w.whole(name) && ch.status() <= a.worst && ch.status() < Up {
			n++
		}
	}
	return n
}

func (a *ailing) pending(r *runner, w without) {
	r.access.read()
	defer r.access.done()
	a.note(r.core, r.core.ill.pending, w)
}

func (a *ailing) note(c *core, ch *child, w without) {
	for ; ch != nil && len(a.nodes) < a.limit; ch = ch.nextIll {
		if !w.whole(ch.spec.Name) {
			a.noteOne(c, ch)
		}
	}
}

func (a *ailing) noteOne(c *core, ch *child) {
	if len(a.nodes) < a.limit && ch.status() <= a.worst {
		a.nodes = append(a.nodes, ch.snapshot(c, time.Now()))
	}
}
