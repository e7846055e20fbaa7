package supervisor

import (
	"math"
	"slices"
	"strings"
	"time"
)

// This file looks at the DependsOn of a Spec's children.

// needs checks the DependsOn of s by itself.
func (v *validator) needs(at place, s, parent *Spec) {
	if len(s.DependsOn) > 0 && (parent == nil || parent.Strategy != DependentsForOne) {
		v.fault(at, "DependsOn, but its supervisor's Strategy is not DependentsForOne; set that, or drop this")
	}
	for i, name := range s.DependsOn {
		if slices.Contains(s.DependsOn[:i], name) {
			v.fault(at, "DependsOn names %q twice; once is enough", name)
		}
	}
}

// dependencies must be there, and stay, and not lead back to themselves.
func (v *validator) dependencies(path string, s *Spec) {
	byName := s.byName()
	for i := range s.Children {
		child := &s.Children[i]
		for _, name := range child.DependsOn {
			switch on := byName[name]; {
			case on == nil:
				v.fault(place{path, child.Name}, "DependsOn %q, which is not there; name a sibling", name)
			case on.Restart == Temporary:
				v.fault(place{path, child.Name}, "DependsOn %q, which is Temporary and may be forgotten; make that Transient or Permanent", name)
			}
		}
	}
	for _, circle := range s.circles(byName) {
		v.fault(place{path, circle[0]}, "DependsOn is circular: %s; break the circle", strings.Join(circle, " → "))
	}
}

func (s *Spec) byName() map[string]*Spec {
	byName := make(map[string]*Spec, len(s.Children))
	for i := range s.Children {
		byName[s.Children[i].Name] = &s.Children[i]
	}
	return byName
}

// circles returns names of children each of which depends on the next, the
// first again at the end: of circles that hang together, one.
func (s *Spec) circles(byName map[string]*Spec) (circles [][]string) {
	done := make(map[string]bool, len(byName))
	for i := range s.Children {
		search := circleSearch{byName: byName, done: done}
		if circle := search.from(&s.Children[i]); circle != nil {
			circles = append(circles, circle)
		}
	}
	return circles
}

type circleSearch struct {
	byName map[string]*Spec
	done   map[string]bool
	trail  []string // each depends on the next
}

func (s *circleSearch) from(child *Spec) []string {
	if at := slices.Index(s.trail, child.Name); at >= 0 {
		return append(s.trail[at:], child.Name)
	}
	if s.done[child.Name] {
		return nil
	}
	s.done[child.Name] = true
	s.trail = append(s.trail, child.Name)
	for _, name := range child.DependsOn {
		if on := s.byName[name]; on != nil {
			if circle := s.from(on); circle != nil {
				return circle
			}
		}
	}
	s.trail = s.trail[:len(s.trail)-1]
	return nil
}

// longestChain returns the longest time that children take to stop of which
// each waits for the one before: those that it does not wait for stop
// meanwhile.
func (s *Spec) longestChain() (longest time.Duration) {
	byName, spent := s.byName(), make(map[string]time.Duration, len(s.Children))
	for i := range s.Children {
		longest = max(longest, chainOf(&s.Children[i], byName, spent))
	}
	return longest
}

// chainOf returns the longest chain of child and what it depends on, which is
// as long as the one in the order of stopping.
func chainOf(child *Spec, byName map[string]*Spec, spent map[string]time.Duration) time.Duration {
	if d, ok := spent[child.Name]; ok {
		return d
	}
	spent[child.Name] = 0 // what leads back here is a fault, and has no end
	var below time.Duration
	for _, name := range child.DependsOn {
		if on := byName[name]; on != nil {
			below = max(below, chainOf(on, byName, spent))
		}
	}
	own, _ := child.StopBudget()
	spent[child.Name] = own + min(below, math.MaxInt64-own)
	return spent[child.Name]
}
