package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Validate reports every fault in s at once, each with the path of its node
// and what to do about it, a line each; nil if there is none. The error wraps
// ErrInvalid.
func (s Spec) Validate() error {
	var v validator
	v.node("", &s, nil)
	return v.result()
}

// validateBelow is Validate for a child of the supervisor at path above.
func (s Spec) validateBelow(above string, parent *Spec) error {
	var v validator
	v.node(above, &s, parent)
	return v.result()
}

// validator collects faults.
type validator struct{ faults []error }

// result joins the faults to one error that wraps ErrInvalid.
func (v *validator) result() error {
	if len(v.faults) == 0 {
		return nil
	}
	return &invalidError{errors.Join(v.faults...)}
}

// invalidError is ErrInvalid, worded as the faults alone.
type invalidError struct{ error }

func (e *invalidError) Unwrap() []error { return []error{ErrInvalid, e.error} }

func (v *validator) fault(at place, format string, args ...any) {
	v.faults = append(v.faults, fmt.Errorf("%v: "+format, append([]any{at}, args...)...))
}

// A place is a path that is put together only if there is something to say
// about it: most nodes have no fault.
type place struct{ above, name string }

func (p place) String() string { return pathOf(p.above, orDefault(p.name, "(no name)")) }

// node checks s, which stands below parent (nil for a root) in the supervisor
// at path above, and everything below it.
func (v *validator) node(above string, s, parent *Spec) {
	at := place{above, s.Name}
	v.name(at, s.Name)
	if s.Fault != nil {
		v.fault(at, "%w", s.Fault)
	}
	v.kind(at, s)
	v.common(at, s)
	v.health(at, s)
	if parent != nil {
		v.significance(at, s, parent)
	}
	v.needs(at, s, parent)
	v.children(at, s)
}

func (v *validator) root(s *Spec) {
	if !s.isSupervisor() {
		v.fault(place{name: s.Name}, "the root must be a supervisor; put it into the Children of one")
	}
}

func (v *validator) name(at place, name string) {
	switch {
	case name == "":
		v.fault(at, "Name is empty; give the node one")
	case strings.Contains(name, "/"):
		v.fault(at, "Name %q holds '/', which separates paths; use another character", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		v.fault(at, "Name %q holds a control character; remove it", name)
	}
}

// kind checks that s is a worker or a supervisor, and has no field of the other.
func (v *validator) kind(at place, s *Spec) {
	switch worker := s.Run != nil; {
	case worker && s.isSupervisor():
		v.fault(at, "both Run and Children are set; a node is a worker or a supervisor")
	case !worker && !s.isSupervisor():
		v.fault(at, "neither Run nor Children is set; []Spec{} is an empty supervisor")
	case worker && (s.Strategy != OneForOne || s.Intensity != Intensity{} || s.Concurrent || s.Quorum != 0 || s.AutoShutdown != Never || s.Strict):
		v.fault(at, "a worker has a supervisor's field (Strategy, Intensity, Concurrent, Quorum, AutoShutdown or Strict); set it on its parent")
	case !worker && s.Exclusive:
		v.fault(at, "a supervisor cannot be Exclusive; set it on its workers")
	case !worker && s.StartTimeout != 0:
		v.fault(at, "a supervisor has no StartTimeout; set it on its children")
	}
}

func (v *validator) common(at place, s *Spec) {
	v.enum(at, "Restart", int(s.Restart), int(Temporary))
	v.enum(at, "Strategy", int(s.Strategy), int(DependentsForOne))
	v.enum(at, "AutoShutdown", int(s.AutoShutdown), int(AllSignificant))
	if s.Strict && s.Strategy == DependentsForOne {
		v.fault(at, "Strict follows OTP, which has no DependentsForOne; use another strategy, or drop Strict")
	}
	v.duration(at, "StartTimeout", s.StartTimeout)
	v.duration(at, "StopTimeout", s.StopTimeout)
	v.duration(at, "Intensity.Within", s.Intensity.Within)
	if err := s.Backoff.Validate(); err != nil {
		v.fault(at, "%w", err)
	}
	if s.Intensity.Restarts > 0 && s.Intensity.Within == 0 {
		v.fault(at, "Intensity has Restarts but no Within; say within which time")
	}
	if s.Concurrent && s.Strategy != OneForOne {
		v.fault(at, "Concurrent goes with OneForOne only, not with %v", s.Strategy)
	}
	if s.Quorum < 0 || s.isSupervisor() && s.Quorum > len(s.Children) && len(s.Children) > 0 {
		v.fault(at, "Quorum is %d of %d children; use 0 to %[2]d", s.Quorum, len(s.Children))
	}
}

func (v *validator) enum(at place, field string, got, last int) {
	if got < 0 || got > last {
		v.fault(at, "%s is %d, which means nothing; use one of its constants", field, got)
	}
}

func (v *validator) duration(at place, field string, d time.Duration) {
	if d < 0 {
		v.fault(at, "%s is negative (%v); zero means its default", field, d)
	}
}

// significance is legal where OTP allows it.
func (v *validator) significance(at place, s, parent *Spec) {
	switch {
	case !s.Significant:
	case parent.AutoShutdown == Never:
		v.fault(at, "Significant, but its supervisor's AutoShutdown is Never; set that, or drop this")
	case s.Restart == Permanent:
		v.fault(at, "Significant, but Permanent: it is always restarted; make it Transient or Temporary")
	}
}

func (v *validator) children(at place, s *Spec) {
	if len(s.Children) == 0 {
		return
	}
	path := at.String()
	v.names(path, s.Children)
	for i := range s.Children {
		v.node(path, &s.Children[i], s)
	}
	if s.Strategy == DependentsForOne {
		v.dependencies(path, s)
	}
}

// names finds children of the same name. Few are compared with each other: a
// map for each small supervisor would be most of what validating it costs.
func (v *validator) names(path string, children []Spec) {
	var seen map[string]bool
	if len(children) > few {
		seen = make(map[string]bool, len(children))
	}
	for i := range children {
		name := children[i].Name
		if seen[name] || seen == nil && slices.ContainsFunc(children[:i], func(s Spec) bool { return s.Name == name }) {
			v.fault(place{path, name}, "two children have this name; rename one")
		}
		if seen != nil {
			seen[name] = true
		}
	}
}
