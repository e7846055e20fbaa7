package supervisor

import (
	"fmt"
	"iter"
	"strings"
	"time"
)

// This file reads the running tree, one supervisor's lock at a time.

// batch is how many children are read while a loop waits.
const batch = 100

// Snapshot returns the state of the whole tree. It costs in proportion to the
// tree's size, but holds no loop up for more than 100 children.
func (s *Supervisor) Snapshot() Snapshot {
	snap := s.rootSnapshot()
	snap.Children = childrenOf(s.root.unit.below.Load(), s.root.spec, snap.Path)
	return snap
}

// All yields the node at path and everything below it, parents first, without
// their Children. It reads on as it is asked, so that looking at a few nodes
// costs little however large the tree is. Nothing is locked while yield runs.
func (s *Supervisor) All(path string) iter.Seq[Snapshot] {
	return func(yield func(Snapshot) bool) {
		snap, err := s.Find(path)
		if err != nil || !yield(snap) || !snap.Supervisor {
			return
		}
		r, spec, _ := s.walk(snap.Path)
		allBelow(r, spec, snap.Path, yield)
	}
}

// Find returns the state of the node at path, without what is below it. The
// root's path may be given as "".
func (s *Supervisor) Find(path string) (Snapshot, error) {
	if path == "" || path == s.root.path {
		return s.rootSnapshot(), nil
	}
	if snap, ok := s.find(path); ok {
		return snap, nil
	}
	if snap, ok := s.ghosts.snapshot(path); ok {
		return snap, nil
	}
	return Snapshot{}, fmt.Errorf("%s: %w", path, ErrNotFound)
}

func (s *Supervisor) find(path string) (snap Snapshot, ok bool) {
	parent, name := split(path)
	switch r, spec, err := s.walk(parent); {
	case err != nil:
		return snap, false
	case r != nil:
		return r.find(name)
	default:
		if spec = spec.child(name); spec == nil {
			return snap, false
		}
		return planned(spec, path), true
	}
}

// StatusOf returns the status of the node at path: as if the nodes at the paths
// of without, and all below them, were Up. Paths that are not there, or not
// below path, change nothing. What is left out costs as much as its path is
// deep, however large the tree is.
func (s *Supervisor) StatusOf(path string, without ...string) (Status, error) {
	snap, err := s.Find(path)
	if err == nil && s.phase.Load() == phaseEnded {
		err = fmt.Errorf("%s: %w", snap.Path, ErrNotRunning)
	}
	if w := leftOut(snap.Path, without); err == nil && len(w) > 0 && snap.State == Ready {
		if r, _, _ := s.walk(snap.Path); r != nil {
			return r.statusWithout(w), nil
		}
	}
	return snap.Status, err
}

// walk returns the last incarnation of the supervisor at path; nil, and its
// Spec, if it was never started.
func (s *Supervisor) walk(path string) (*runner, *Spec, error) {
	name, rest, deeper := strings.Cut(path, "/")
	if name != s.root.path {
		return nil, nil, fmt.Errorf("%s: %w", path, ErrNotFound)
	}
	r, spec := s.root.unit.below.Load(), s.root.spec
	for deeper {
		name, rest, deeper = strings.Cut(rest, "/")
		if r == nil {
			spec = spec.child(name)
		} else {
			r, spec = r.below(name)
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
	r.access.read()
	defer r.access.done()
	return r.core.named(name)
}

// below returns the last incarnation of the child of that name, nil if it never
// was a supervisor that was started, and its Spec, nil if there is no such child.
func (r *runner) below(name string) (*runner, *Spec) {
	r.access.read()
	defer r.access.done()
	if ch := r.core.named(name); ch != nil {
		return ch.unit.below.Load(), ch.spec
	}
	return nil, nil
}

func (r *runner) find(name string) (snap Snapshot, ok bool) {
	r.access.read()
	defer r.access.done()
	if ch := r.core.named(name); ch != nil {
		return ch.snapshot(r.core, time.Now()), true
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
	r, spec := s.root.unit.below.Load(), s.root.spec
	if r != nil {
		spec = r.spec()
	}
	snap := planned(spec, s.root.path)
	snap.Since, snap.Status, snap.LastErr = s.since, s.Status(), s.failure()
	if r != nil {
		snap.Incarnation = 1
		snap.budget(r)
	}
	snap.State = s.rootState()
	return snap
}

func (s *Supervisor) rootState() State {
	switch phase := s.phase.Load(); {
	case phase == phaseEnded && s.failure() != nil:
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
		Path: path, Supervisor: spec.isSupervisor(), Optional: spec.Optional, DependsOn: spec.DependsOn, Strategy: spec.Strategy, Quorum: spec.Quorum,
		BudgetLeft: spec.Intensity.withDefaults().Restarts,
	}
}

// snapshot is called with the lock of the child's supervisor held.
func (ch *child) snapshot(c *core, now time.Time) Snapshot {
	snap := planned(ch.spec, ch.path)
	snap.State, snap.Status, snap.Since = ch.state, ch.status(), c.time(ch.since, now)
	snap.Incarnation, snap.Attempt = ch.incarnation, int(ch.attempt)
	if ch.involved || ch.state == Parked {
		snap.Incident = ch.incident.number()
	}
	snap.LastErr, snap.Impairment, snap.Abandoned = ch.lastErr, ch.impairment(), int(ch.ghosts)
	snap.Progress, snap.ProgressAt = ch.unit.said.Load().shown()
	if ch.spec.Probe != nil { // Apply may have taken it away
		snap.Probe = ch.unit.care.Load().shown(ch.incarnation)
	}
	if ch.state == BackingOff || ch.state == Parked {
		snap.NextStart = c.time(ch.due, now)
	}
	return snap
}

// budget fills in what the supervisor itself knows.
func (s *Snapshot) budget(r *runner) {
	r.access.read()
	defer r.access.done()
	now := time.Now()
	s.Restarts, s.BudgetLeft = len(r.core.budget.within(now)), r.core.budget.left(now)
}

// A seen is a child that was read, and what it takes to look below it.
type seen struct {
	Snapshot
	spec    *Spec
	below   *runner
	latest  *Spec // counts from the next start
	goal    goal
	dynamic bool
}

// allBelow yields what is below the supervisor at path; false if it was told
// to stop.
func allBelow(r *runner, spec *Spec, path string, yield func(Snapshot) bool) bool {
	if r == nil {
		return allPlanned(spec, path, yield)
	}
	for ch := range r.children() {
		if !yield(ch.withBudget()) || ch.Supervisor && !allBelow(ch.below, ch.spec, ch.Path, yield) {
			return false
		}
	}
	for _, snap := range r.tree.ghosts.forgotten(r) {
		if !yield(snap) {
			return false
		}
	}
	return true
}

func allPlanned(spec *Spec, path string, yield func(Snapshot) bool) bool {
	for i := range spec.Children {
		child := &spec.Children[i]
		snap := planned(child, pathOf(path, child.Name))
		if !yield(snap) || !allPlanned(child, snap.Path, yield) {
			return false
		}
	}
	return true
}

// childrenOf returns the snapshots of what is below the supervisor at path.
func childrenOf(r *runner, spec *Spec, path string) []Snapshot {
	if r == nil {
		var snaps []Snapshot
		for i := range spec.Children {
			child := &spec.Children[i]
			snap := planned(child, pathOf(path, child.Name))
			snap.Children = childrenOf(nil, child, snap.Path)
			snaps = append(snaps, snap)
		}
		return snaps
	}
	snaps := make([]Snapshot, 0, r.size())
	for ch := range r.children() {
		snap := ch.withBudget()
		if ch.Supervisor {
			snap.Children = childrenOf(ch.below, ch.spec, ch.Path)
		}
		snaps = append(snaps, snap)
	}
	return append(snaps, r.tree.ghosts.forgotten(r)...)
}

func (ch *seen) withBudget() Snapshot {
	if ch.below != nil {
		ch.budget(ch.below)
	}
	return ch.Snapshot
}

func (r *runner) size() int {
	r.access.read()
	defer r.access.done()
	return r.core.size
}

// children yields the children, which it reads batch by batch: what it yields is
// good until the next.
func (r *runner) children() iter.Seq[*seen] {
	return func(yield func(*seen) bool) {
		var last *child
		read := make([]seen, 0, max(1, min(batch, r.size()))) // before the lock: who allocates may have to wait for the collector
		for more := true; more; {
			read, last, more = r.read(read[:0], last)
			for i := range read {
				if !yield(&read[i]) {
					return
				}
			}
		}
	}
}

// read returns as many children after last, nil for the first, as there is room
// for, where it stopped and whether there are more.
func (r *runner) read(room []seen, last *child) (children []seen, at *child, more bool) {
	r.access.read()
	defer r.access.done()
	now := time.Now()
	for ch := r.core.after(last); ch != nil; ch = ch.next {
		if len(room) == cap(room) {
			return room, last, true
		}
		room = append(room, seen{ch.snapshot(r.core, now), ch.spec, ch.unit.below.Load(), ch.latest(), ch.goal, ch.dynamic})
		last = ch
	}
	return room, last, false
}
