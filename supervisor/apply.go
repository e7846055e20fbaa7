package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A Change is what Apply would do to one node, and why.
type Change struct {
	Path string
	Kind ChangeKind
	Why  string // of restart and update
}

// ChangeKind says what Apply does to a node.
type ChangeKind string

// The kinds of changes.
const (
	ChangeStart   ChangeKind = "start"   // it is new
	ChangeStop    ChangeKind = "stop"    // it is there no more
	ChangeRestart ChangeKind = "restart" // its Revision, or its being a worker, has changed, or what it is grouped with restarts
	ChangeUpdate  ChangeKind = "update"  // its policy has changed, which needs no restart
)

// String is the change in one line: "restart shop/db: Revision was 1, is 2".
func (c Change) String() string {
	if c.Why == "" {
		return fmt.Sprintf("%s %s", c.Kind, c.Path)
	}
	return fmt.Sprintf("%s %s: %s", c.Kind, c.Path, c.Why)
}

// Apply makes the running tree what spec says, which describes the whole of it.
// Children that are not in it any more stop; new ones start, in their place;
// those whose Revision has changed, or that were a worker and are a supervisor
// now, restart with what their supervisor's strategy groups with them, as
// Restart does; all others keep running. What else has changed holds from now
// on, a new Run from the next start. Children that were added by Add stay, and
// what was stopped on request stays stopped.
//
// Apply returns once what had to stop has stopped and what had to start is
// ready, or has failed its first attempt: then with an error, and it is started
// again with backoff as ever. If ctx ends first it returns its cause, and the
// changes stand. An invalid spec changes nothing; the error, which wraps
// ErrInvalid, holds every fault. Calls of Apply take their turn.
func (s *Supervisor) Apply(ctx context.Context, spec Spec) error {
	if err := s.fits(spec); err != nil {
		return err
	}
	spec = spec.clone()
	s.warn(&spec)
	changes, err := s.applyAll(ctx, &spec)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range changes {
		errs = append(errs, c.outcome(ctx))
	}
	return errors.Join(errs...)
}

// Diff returns what Apply would do now, in the order of the tree, and does
// nothing. A restart of a supervisor does not list what is below it.
func (s *Supervisor) Diff(spec Spec) ([]Change, error) {
	if err := s.fits(spec); err != nil {
		return nil, err
	}
	r := s.root.unit.below.Load()
	if r == nil {
		return nil, ErrNotRunning
	}
	root := Change{Path: s.root.path}
	root.Kind, root.Why = compare(r.spec(), &spec)
	if root.Kind == "" {
		return r.diff(&spec), nil
	}
	return append([]Change{root}, r.diff(&spec)...), nil
}

// fits reports the faults of spec as one for this tree.
func (s *Supervisor) fits(spec Spec) error {
	var v validator
	v.node("", &spec, nil)
	if spec.Name != s.root.path {
		v.fault(spec.Name, "the root's Name is %q; a tree keeps its name", s.root.path)
	}
	if !spec.isSupervisor() {
		v.fault(spec.Name, "the root must be a supervisor; put it into the Children of one")
	}
	return v.result()
}

// applyAll hands the spec to the supervisors of the tree, those above first: one
// that restarts meanwhile finds its new Spec with the one above.
func (s *Supervisor) applyAll(ctx context.Context, spec *Spec) ([]*call, error) {
	select {
	case s.applying <- struct{}{}:
		defer func() { <-s.applying }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	r, err := s.runnerAt(s.root.path)
	if err != nil {
		return nil, err
	}
	return r.apply(ctx, spec)
}

// apply hands spec to r, and what is below r's children in it to theirs. A
// supervisor that is not running, or ends, has nothing to do: it will start
// with its new Spec.
func (r *runner) apply(ctx context.Context, spec *Spec) (changes []*call, err error) {
	c := newCall(opApply, "")
	c.spec = spec
	if err := r.do(ctx, c); err != nil {
		return nil, err
	}
	changes = c.changes
	for i := range spec.Children {
		child := &spec.Children[i]
		below := r.supervisor(child.Name)
		if below == nil || !child.isSupervisor() || c.touches(child.Name) {
			continue
		}
		more, err := below.apply(ctx, child)
		if err != nil && !errors.Is(err, ErrNotRunning) {
			return nil, err
		}
		changes = append(changes, more...)
	}
	return changes, nil
}

// touches reports whether the child of that name is one of the changes.
func (c *call) touches(name string) bool {
	return slices.ContainsFunc(c.changes, func(change *call) bool { return change.name == name })
}

// supervisor returns the last incarnation of the child of that name, nil if it
// is none that was started as a supervisor.
func (r *runner) supervisor(name string) *runner {
	if ch := r.child(name); ch != nil {
		return ch.unit.below.Load()
	}
	return nil
}

// outcome waits for the end of a change. That there is nothing to run is none.
func (c *call) outcome(ctx context.Context) error {
	select {
	case err := <-c.answer:
		if errors.Is(err, ErrIgnore) {
			return nil
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", c.name, context.Cause(ctx))
	}
}

// diff lists what applying now would change below r.
func (r *runner) diff(now *Spec) (changes []Change) {
	was, dynamic := r.specs()
	with := restarts(was, now, dynamic)
	for i := range now.Children {
		spec := &now.Children[i]
		c := Change{Path: pathOf(r.core.path, spec.Name), Kind: ChangeStart}
		if old := was[spec.Name]; old != nil {
			c.Kind, c.Why = compare(old, spec)
		}
		if by := with[spec.Name]; by != "" && c.Kind != ChangeStart && c.Kind != ChangeRestart {
			c.Kind, c.Why = ChangeRestart, "with "+pathOf(r.core.path, by)
		}
		if c.Kind != "" {
			changes = append(changes, c)
		}
		if below := r.supervisor(spec.Name); below != nil && spec.isSupervisor() && (c.Kind == "" || c.Kind == ChangeUpdate) {
			changes = append(changes, below.diff(spec)...)
		}
	}
	return append(changes, r.others(was, dynamic, with, now)...)
}

// others lists what happens to the children that now does not name.
func (r *runner) others(was map[string]*Spec, dynamic []*Spec, with map[string]string, now *Spec) (changes []Change) {
	stays := now.byName()
	for _, spec := range dynamic {
		if by := with[spec.Name]; by != "" {
			changes = append(changes, Change{pathOf(r.core.path, spec.Name), ChangeRestart, "with " + pathOf(r.core.path, by)})
		}
		stays[spec.Name] = spec
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if stays[name] == nil {
			changes = append(changes, Change{Path: pathOf(r.core.path, name), Kind: ChangeStop})
		}
	}
	return changes
}

// specs returns the children's Specs that count from their next start, and
// apart those of them that were added by calls.
func (r *runner) specs() (all map[string]*Spec, dynamic []*Spec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all = map[string]*Spec{}
	for ch := r.core.first; ch != nil; ch = ch.next {
		if ch.goal == gone {
			continue
		}
		all[ch.spec.Name] = ch.latest()
		if ch.dynamic {
			dynamic = append(dynamic, ch.latest())
		}
	}
	return all, dynamic
}

// restarts returns the names of the children that restart because of another,
// and of which.
func restarts(was map[string]*Spec, now *Spec, dynamic []*Spec) map[string]string {
	var order []*Spec
	for i := range now.Children {
		order = append(order, &now.Children[i])
	}
	for _, spec := range dynamic {
		if now.child(spec.Name) == nil {
			order = append(order, spec)
		}
	}
	with := map[string]string{}
	for i, spec := range order {
		if old := was[spec.Name]; old != nil && mustRestart(old, spec) != "" {
			for _, sib := range groupOf(now.Strategy, order, i) {
				with[sib.Name] = orDefault(with[sib.Name], spec.Name)
			}
		}
	}
	return with
}

// groupOf returns the children that go down with the i-th.
func groupOf(strategy Strategy, children []*Spec, i int) (group []*Spec) {
	switch strategy {
	case OneForAll:
		return children
	case RestForOne:
		return children[i+1:]
	case DependentsForOne:
		down := map[string]bool{children[i].Name: true}
		for more := true; more; {
			more = false
			for _, spec := range children {
				if !down[spec.Name] && slices.ContainsFunc(spec.DependsOn, func(on string) bool { return down[on] }) {
					down[spec.Name], more = true, true
					group = append(group, spec)
				}
			}
		}
	}
	return group
}

// compare says what a new Spec of a running node means, and why; "" if nothing.
func compare(old, spec *Spec) (ChangeKind, string) {
	if why := mustRestart(old, spec); why != "" {
		return ChangeRestart, why
	}
	if fields := policyChanges(old, spec); len(fields) > 0 {
		return ChangeUpdate, strings.Join(fields, ", ")
	}
	return "", ""
}

// mustRestart says why a node cannot go on running with a new Spec; "" if it
// can.
func mustRestart(old, spec *Spec) string {
	switch {
	case old.Revision != spec.Revision:
		return fmt.Sprintf("Revision was %q, is %q", old.Revision, spec.Revision)
	case old.isSupervisor() && !spec.isSupervisor():
		return "it was a supervisor, is a worker"
	case !old.isSupervisor() && spec.isSupervisor():
		return "it was a worker, is a supervisor"
	}
	return ""
}

// policyChanges returns the names of the fields that differ. Functions cannot
// be compared.
func policyChanges(old, spec *Spec) (fields []string) {
	a, b := reflect.ValueOf(old).Elem(), reflect.ValueOf(spec).Elem()
	for i := range a.NumField() {
		switch name := a.Type().Field(i).Name; name {
		case "Name", "Run", "Children", "Fault", "Revision":
		case "Probe":
			if !reflect.DeepEqual(old.Probe.policy(), spec.Probe.policy()) {
				fields = append(fields, name)
			}
		default:
			if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				fields = append(fields, name)
			}
		}
	}
	return fields
}

// policy is the probe without its functions.
func (p *Probe) policy() *Probe {
	if p == nil {
		return nil
	}
	bare := *p
	bare.Check, bare.Remedies = nil, slices.Clone(p.Remedies)
	for i := range bare.Remedies {
		bare.Remedies[i].Do = nil
	}
	return &bare
}
