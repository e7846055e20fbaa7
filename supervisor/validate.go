package supervisor

import (
	"errors"
	"fmt"
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

func (v *validator) fault(path, format string, args ...any) {
	v.faults = append(v.faults, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
}

// node checks s, which stands below parent (nil for a root) in the supervisor
// at path above, and everything below it.
func (v *validator) node(above string, s, parent *Spec) {
	path := pathOf(above, s.Name)
	if s.Name == "" {
		path = pathOf(above, "(no name)")
	}
	v.name(path, s.Name)
	if s.Fault != nil {
		v.fault(path, "%w", s.Fault)
	}
	v.kind(path, s)
	v.common(path, s)
	v.health(path, s)
	if parent != nil {
		v.significance(path, s, parent)
	}
	v.needs(path, s, parent)
	v.children(path, s)
}

func (v *validator) root(s *Spec) {
	if !s.isSupervisor() {
		v.fault(s.Name, "the root must be a supervisor; put it into the Children of one")
	}
}

func (v *validator) name(path, name string) {
	switch {
	case name == "":
		v.fault(path, "Name is empty; give the node one")
	case strings.Contains(name, "/"):
		v.fault(path, "Name %q holds '/', which separates paths; use another character", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		v.fault(path, "Name %q holds a control character; remove it", name)
	}
}

// kind checks that s is a worker or a supervisor, and has no field of the other.
func (v *validator) kind(path string, s *Spec) {
	switch worker := s.Run != nil; {
	case worker && s.isSupervisor():
		v.fault(path, "both Run and Children are set; a node is a worker or a supervisor")
	case !worker && !s.isSupervisor():
		v.fault(path, "neither Run nor Children is set; []Spec{} is an empty supervisor")
	case worker && (s.Strategy != OneForOne || s.Intensity != Intensity{} || s.Concurrent || s.Quorum != 0 || s.AutoShutdown != Never || s.Strict):
		v.fault(path, "a worker has a supervisor's field (Strategy, Intensity, Concurrent, Quorum, AutoShutdown or Strict); set it on its parent")
	case !worker && s.Exclusive:
		v.fault(path, "a supervisor cannot be Exclusive; set it on its workers")
	case !worker && s.StartTimeout != 0:
		v.fault(path, "a supervisor has no StartTimeout; set it on its children")
	}
}

func (v *validator) common(path string, s *Spec) {
	v.enum(path, "Restart", int(s.Restart), int(Temporary))
	v.enum(path, "Strategy", int(s.Strategy), int(DependentsForOne))
	v.enum(path, "AutoShutdown", int(s.AutoShutdown), int(AllSignificant))
	if s.Strict && s.Strategy == DependentsForOne {
		v.fault(path, "Strict follows OTP, which has no DependentsForOne; use another strategy, or drop Strict")
	}
	v.duration(path, "StartTimeout", s.StartTimeout)
	v.duration(path, "StopTimeout", s.StopTimeout)
	v.duration(path, "Intensity.Within", s.Intensity.Within)
	if err := s.Backoff.Validate(); err != nil {
		v.fault(path, "%w", err)
	}
	if s.Intensity.Restarts > 0 && s.Intensity.Within == 0 {
		v.fault(path, "Intensity has Restarts but no Within; say within which time")
	}
	if s.Concurrent && s.Strategy != OneForOne {
		v.fault(path, "Concurrent goes with OneForOne only, not with %v", s.Strategy)
	}
	if s.Quorum < 0 || s.isSupervisor() && s.Quorum > len(s.Children) && len(s.Children) > 0 {
		v.fault(path, "Quorum is %d of %d children; use 0 to %[2]d", s.Quorum, len(s.Children))
	}
}

func (v *validator) enum(path, field string, got, last int) {
	if got < 0 || got > last {
		v.fault(path, "%s is %d, which means nothing; use one of its constants", field, got)
	}
}

func (v *validator) duration(path, field string, d time.Duration) {
	if d < 0 {
		v.fault(path, "%s is negative (%v); zero means its default", field, d)
	}
}

// significance is legal where OTP allows it.
func (v *validator) significance(path string, s, parent *Spec) {
	switch {
	case !s.Significant:
	case parent.AutoShutdown == Never:
		v.fault(path, "Significant, but its supervisor's AutoShutdown is Never; set that, or drop this")
	case s.Restart == Permanent:
		v.fault(path, "Significant, but Permanent: it is always restarted; make it Transient or Temporary")
	}
}

func (v *validator) children(path string, s *Spec) {
	seen := make(map[string]bool, len(s.Children))
	for i := range s.Children {
		child := &s.Children[i]
		if seen[child.Name] {
			v.fault(pathOf(path, child.Name), "two children have this name; rename one")
		}
		seen[child.Name] = true
		v.node(path, child, s)
	}
	if s.Strategy == DependentsForOne {
		v.dependencies(path, s)
	}
}
