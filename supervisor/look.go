package supervisor

import (
	"fmt"
	"strings"
	"time"
)

// This file reads the running tree, one supervisor's lock at a time.

// batch is how many children are read while a loop waits.
const batch = 1000

// Snapshot returns the state of the whole tree. It costs in proportion to the
// tree's size, but holds no loop up for more than 1,000 children.
func (s *Supervisor) Snapshot() Snapshot {
	snap := s.rootSnapshot()
	snap.Children = childrenOf(s.root.spec, snap.Path, s.root.unit.below.Load())
	return snap
}

// Find returns the state of the node at path, without what is below it. The
// root's path may be given as "".
func (s *Supervisor) Find(path string) (Snapshot, error) {
	if path == "" || path == s.root.path {
		return s.rootSnapshot(), nil
	}
	parent, name := split(path)
	r, spec, err := s.walk(parent)
	if err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", path, ErrNotFound)
	}
	if r == nil {
		if spec = spec.child(name); spec != nil {
			return planned(spec, path), nil
		}
	} else if snap, ok := r.find(name); ok {
		return snap, nil
	}
	return Snapshot{}, fmt.Errorf("%s: %w", path, ErrNotFound)
}

// StatusOf returns the status of the node at path.
func (s *Supervisor) StatusOf(path string) (Status, error) {
	snap, err := s.Find(path)
	if err == nil && s.phase.Load() == phaseEnded {
		err = fmt.Errorf("%s: %w", snap.Path, ErrNotRunning)
	}
	return snap.Status, err
}

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
	if snap.Supervisor && snap.State == Ready {
		r, _, _ := s.walk(snap.Path)
		a := ailing{limit: 1, worst: snap.Status}
		a.walk(r)
		if len(a.nodes) > 0 {
			snap = a.nodes[0]
		}
	}
	return snap.Why()
}

// Ailing returns nodes that are not Up and are themselves to blame, workers
// and supervisors that do not run, at most limit of them, and how many nodes
// are not Up in all, the root aside. What is Up costs nothing.
func (s *Supervisor) Ailing(limit int) (nodes []Snapshot, total int) {
	a := ailing{limit: limit, worst: Degraded}
	if r := s.root.unit.below.Load(); r != nil {
		a.walk(r)
	}
	return a.nodes, a.total
}

// ailing collects nodes that are no better than worst.
type ailing struct {
	limit int
	worst Status
	nodes []Snapshot
	total int
}

func (a *ailing) walk(r *runner) {
	if r == nil {
		return
	}
	r.mu.Lock()
	a.total += r.core.ill.count
	var below []*runner
	for ch := r.core.ill.workers; ch != nil && len(a.nodes) < a.limit; ch = ch.nextIll {
		a.note(ch)
	}
	for ch := r.core.ill.supervisors; ch != nil; ch = ch.nextIll {
		if ch.state == Ready {
			below = append(below, ch.unit.below.Load())
		} else {
			a.note(ch)
		}
	}
	r.mu.Unlock()
	for _, r := range below {
		a.walk(r)
	}
}

func (a *ailing) note(ch *child) {
	if len(a.nodes) < a.limit && ch.status() <= a.worst {
		a.nodes = append(a.nodes, ch.snapshot())
	}
}

// walk returns the last incarnation of the supervisor at path; nil, and its
// Spec, if it was never started.
func (s *Supervisor) walk(path string) (*runner, *Spec, error) {
	names := strings.Split(path, "/")
	if names[0] != s.root.path {
		return nil, nil, fmt.Errorf("%s: %w", path, ErrNotFound)
	}
	r, spec := s.root.unit.below.Load(), s.root.spec
	for _, name := range names[1:] {
		if r == nil {
			spec = spec.child(name)
		} else if ch := r.child(name); ch == nil {
			spec = nil
		} else {
			r, spec = ch.unit.below.Load(), ch.spec
		}
		switch {
		case spec == nil:
			return nil, nil, fmt.Errorf("%s: %w", path, ErrNotFound)
		case !spec.isSupervisor():
			return nil, nil, fmt.Errorf("%s: %w", path, ErrNotSupervisor)
		}
	}
	return r, spec, nil
}

func (r *runner) child(name string) *child {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.core.byName[name]
}

func (r *runner) find(name string) (snap Snapshot, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ch := r.core.byName[name]; ch != nil {
		return ch.snapshot(), true
	}
	return snap, false
}

// child returns the planned child of that name, nil if there is none.
func (s *Spec) child(name string) *Spec {
	for i := range s.Children {
		if s.Children[i].Name == name {
			return &s.Children[i]
		}
	}
	return nil
}

// rootSnapshot makes up for the supervisor that the root does not have.
func (s *Supervisor) rootSnapshot() Snapshot {
	snap := planned(s.root.spec, s.root.path)
	snap.Since, snap.Status = s.root.since, s.Status()
	if r := s.root.unit.below.Load(); r != nil {
		snap.Incarnation = 1
		snap.budget(r)
	}
	snap.State = s.rootState()
	return snap
}

func (s *Supervisor) rootState() State {
	switch phase := s.phase.Load(); {
	case phase == phaseEnded && s.gaveUp.Load():
		return Failed
	case phase == phaseEnded:
		return Stopped
	case phase == phaseNew:
		return Pending
	case s.started.Load():
		return Ready
	}
	return Starting
}

// planned is the snapshot of a node that was never started.
func planned(spec *Spec, path string) Snapshot {
	return Snapshot{
		Path: path, Supervisor: spec.isSupervisor(), Optional: spec.Optional, Strategy: spec.Strategy,
		BudgetLeft: spec.Intensity.withDefaults().Restarts,
	}
}

// snapshot is called with the lock of the child's supervisor held.
func (ch *child) snapshot() Snapshot {
	snap := planned(ch.spec, ch.path)
	snap.State, snap.Status, snap.Since = ch.state, ch.status(), ch.since
	snap.Incarnation, snap.Attempt = ch.incarnation, ch.attempt
	snap.LastErr, snap.Impairment, snap.Abandoned = ch.lastErr, ch.impairment, ch.ghosts
	if ch.state == BackingOff {
		snap.NextStart = ch.due
	}
	return snap
}

// budget fills in what the supervisor itself knows.
func (s *Snapshot) budget(r *runner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	s.Restarts, s.BudgetLeft = len(r.core.budget.within(now)), r.core.budget.left(now)
}

// childrenOf returns the children of the supervisor at path, nil for a worker.
func childrenOf(spec *Spec, path string, r *runner) []Snapshot {
	if r == nil {
		return plannedChildren(spec, path)
	}
	var snaps []Snapshot
	var below []*runner // of those of snaps that are supervisors
	var specs []*Spec
	var last *child
	for more := true; more; {
		last, more = r.read(last, func(ch *child, snap Snapshot) {
			snaps, specs, below = append(snaps, snap), append(specs, ch.spec), append(below, ch.unit.below.Load())
		})
	}
	for i := range snaps {
		if snaps[i].Supervisor {
			if below[i] != nil {
				snaps[i].budget(below[i])
			}
			snaps[i].Children = childrenOf(specs[i], snaps[i].Path, below[i])
		}
	}
	return snaps
}

// read visits the next batch of children after last, nil for the first, and
// returns where it stopped and whether there are more.
func (r *runner) read(last *child, visit func(*child, Snapshot)) (at *child, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ch := r.core.first
	if last != nil {
		ch = last.next // its links stay, even if it was removed meanwhile
	}
	for n := 0; ch != nil; ch = ch.next {
		if n == batch {
			return last, true
		}
		if r.core.byName[ch.spec.Name] == ch {
			visit(ch, ch.snapshot())
		}
		last, n = ch, n+1
	}
	return last, false
}

func plannedChildren(spec *Spec, path string) []Snapshot {
	var snaps []Snapshot
	for i := range spec.Children {
		snap := planned(&spec.Children[i], join(path, spec.Children[i].Name))
		snap.Children = plannedChildren(&spec.Children[i], snap.Path)
		snaps = append(snaps, snap)
	}
	return snaps
}
