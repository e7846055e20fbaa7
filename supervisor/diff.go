package supervisor

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// This file says what Apply would do.

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

// Diff returns what Apply would do now, in the order of the tree, and does
// nothing. A restart of a supervisor does not list what is below it.
func (s *Supervisor) Diff(spec Spec) ([]Change, error) {
	if err := s.fits(spec); err != nil {
		return nil, err
	}
	r, err := s.running()
	if err != nil {
		return nil, err
	}
	var changes []Change
	if fields := policyChanges(r.spec(), &spec); len(fields) > 0 {
		changes = append(changes, Change{s.root.path, ChangeUpdate, strings.Join(fields, ", ")})
	}
	return append(changes, r.diff(&spec)...), nil
}

// A diff finds what applying a Spec would change among the children of one
// supervisor.
type diff struct {
	path string
	now  *Spec
	old  map[string]*Spec  // the children in the Spec until now, by name
	was  map[string]*seen  // those that are there
	with map[string]string // those that are grouped with one that restarts, and with which
}

// diff lists what applying now would change below r.
func (r *runner) diff(now *Spec) (changes []Change) {
	children := r.readAll()
	d := diff{path: r.core.path, old: r.spec().byName(), now: now, was: map[string]*seen{}}
	for i := range children {
		d.was[children[i].Name()] = &children[i]
	}
	d.group(children)
	for i := range now.Children {
		spec := &now.Children[i]
		c := d.change(spec)
		if c.Kind != "" {
			changes = append(changes, c)
		}
		if was := d.was[spec.Name]; was.runsOn(spec, c.Kind) {
			changes = append(changes, was.below.diff(spec)...)
		}
		delete(d.was, spec.Name)
	}
	for i := range children {
		if c := d.unnamed(&children[i]); c.Kind != "" {
			changes = append(changes, c)
		}
	}
	return changes
}

// readAll returns the children, but for those that are being removed.
func (r *runner) readAll() (all []seen) {
	for ch := range r.children() {
		if ch.goal != gone {
			all = append(all, *ch)
		}
	}
	return all
}

// group finds what is grouped with children that restart, in the order that
// they will have.
func (d *diff) group(children []seen) {
	order := make([]*Spec, 0, len(children)+len(d.now.Children))
	for i := range d.now.Children {
		order = append(order, &d.now.Children[i])
	}
	byName := d.now.byName()
	for i := range children {
		if ch := &children[i]; ch.dynamic && byName[ch.Name()] == nil {
			order = append(order, ch.latest)
		}
	}
	d.with = grouped(d.now.Strategy, order, func(spec *Spec) bool {
		was := d.was[spec.Name]
		return was != nil && was.State.running() && mustRestart(was.latest, spec)
	})
}

// change is what applying means for a child that is in the Spec. One that was
// stopped on request stays so; see also core.spent and core.takeDown.
func (d *diff) change(spec *Spec) Change {
	c, was, by := Change{Path: pathOf(d.path, spec.Name)}, d.was[spec.Name], d.with[spec.Name]
	switch {
	case was == nil && spent(d.old[spec.Name], spec):
	case was == nil:
		c.Kind = ChangeStart
	case was.goal == up && mustRestart(was.latest, spec):
		c.Kind, c.Why = ChangeRestart, whyRestart(was.latest, spec)
	case by != "" && d.takesAlong(was):
		c.Kind, c.Why = ChangeRestart, "with "+pathOf(d.path, by)
	default:
		fields := policyChanges(was.latest, spec)
		if mustRestart(was.latest, spec) {
			fields = append(fields, whyRestart(was.latest, spec))
		}
		if len(fields) > 0 {
			c.Kind, c.Why = ChangeUpdate, strings.Join(fields, ", ")
		}
	}
	return c
}

// unnamed is what it means for one that is not.
func (d *diff) unnamed(was *seen) Change {
	c, by := Change{Path: was.Path}, d.with[was.Name()]
	switch {
	case d.was[was.Name()] == nil: // it is in the Spec
	case !was.dynamic:
		c.Kind = ChangeStop
	case by != "" && d.takesAlong(was):
		c.Kind, c.Why = ChangeRestart, "with "+pathOf(d.path, by)
	}
	return c
}

// takesAlong reports whether a group's restart restarts the child.
func (d *diff) takesAlong(was *seen) bool {
	return was.goal == up || was.State == Stopped && d.now.Strict
}

// runsOn reports whether the child is a supervisor that goes on running.
func (was *seen) runsOn(spec *Spec, change ChangeKind) bool {
	return was != nil && was.below != nil && spec.isSupervisor() && was.State.running() && change != ChangeRestart
}

// grouped returns the names of the children that a strategy groups with a
// culprit, and with which.
func grouped(strategy Strategy, order []*Spec, culprit func(*Spec) bool) map[string]string {
	with := map[string]string{}
	switch first := slices.IndexFunc(order, culprit); {
	case first < 0:
	case strategy == OneForAll:
		along(with, order, order[first])
	case strategy == RestForOne:
		along(with, order[first+1:], order[first])
	case strategy == DependentsForOne:
		neededBy := map[string][]*Spec{}
		for _, spec := range order {
			for _, on := range spec.DependsOn {
				neededBy[on] = append(neededBy[on], spec)
			}
		}
		for _, spec := range order[first:] {
			if culprit(spec) {
				dependentsGoAlong(with, neededBy, spec, spec)
			}
		}
	}
	return with
}

func along(with map[string]string, group []*Spec, culprit *Spec) {
	for _, spec := range group {
		with[spec.Name] = culprit.Name
	}
}

func dependentsGoAlong(with map[string]string, neededBy map[string][]*Spec, on, culprit *Spec) {
	for _, spec := range neededBy[on.Name] {
		if with[spec.Name] == "" {
			with[spec.Name] = culprit.Name
			dependentsGoAlong(with, neededBy, spec, culprit)
		}
	}
}

// mustRestart reports whether a node cannot go on running with a new Spec.
func mustRestart(old, spec *Spec) bool {
	return old.Revision != spec.Revision || old.isSupervisor() != spec.isSupervisor()
}

// whyRestart says why.
func whyRestart(old, spec *Spec) string {
	switch {
	case old.Revision != spec.Revision:
		return fmt.Sprintf("Revision was %q, is %q", old.Revision, spec.Revision)
	case old.isSupervisor():
		return "it was a supervisor, is a worker"
	}
	return "it was a worker, is a supervisor"
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
