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
// that only wait for others come last. total is how many there are. What is Up
// costs nothing.
func (s *Supervisor) Ailing(worst Status, limit int) (nodes []Snapshot, total int) {
	return s.ailingBelow(s.root.path, worst, limit)
}

func (s *Supervisor) ailingBelow(path string, worst Status, limit int) (nodes []Snapshot, total int) {
	a := ailing{limit: limit, worst: worst}
	r, _, _ := s.walk(path) // nil if there is nothing to see
	a.walk(r)
	for _, r := range a.waiting {
		a.pending(r)
	}
	return a.nodes, a.total
}

// ailing collects nodes that are no better than worst.
type ailing struct {
	limit   int
	worst   Status
	nodes   []Snapshot
	total   int
	waiting []*runner // have Pending children that were not noted yet
}

func (a *ailing) walk(r *runner) {
	if r == nil {
		return
	}
	for _, below := range a.visit(r) {
		a.walk(below)
	}
}

// visit notes the children of r and returns the supervisors to go on with.
func (a *ailing) visit(r *runner) (below []*runner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.total += r.core.counts[allDown]
	if a.worst >= Degraded {
		a.total += r.core.counts[allDegraded]
	}
	if r.core.ill.pending != nil {
		a.waiting = append(a.waiting, r)
	}
	a.note(r.core, r.core.ill.workers)
	for ch := r.core.ill.supervisors; ch != nil; ch = ch.nextIll {
		if ch.state.running() && ch.status() <= a.worst {
			a.total-- // not itself to blame
			below = append(below, ch.unit.below.Load())
		} else {
			a.noteOne(r.core, ch)
		}
	}
	return below
}

func (a *ailing) pending(r *runner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.note(r.core, r.core.ill.pending)
}

func (a *ailing) note(c *core, ch *child) {
	for ; ch != nil && len(a.nodes) < a.limit; ch = ch.nextIll {
		a.noteOne(c, ch)
	}
}

func (a *ailing) noteOne(c *core, ch *child) {
	if len(a.nodes) < a.limit && ch.status() <= a.worst {
		a.nodes = append(a.nodes, ch.snapshot(c, time.Now()))
	}
}
