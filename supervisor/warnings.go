package supervisor

import (
	"fmt"
	"math"
	"time"
)

// Warnings returns what is doubtful in s but stops nobody, each with the path
// of its node. They are also the first events of a run.
func (s Spec) Warnings() []error { return s.warnings(Options{}) }

func (s *Spec) warnings(opts Options) []error {
	var w warner
	w.node("", s)
	budget, worst := s.StopBudget()
	if budget += min(opts.DrainDelay, math.MaxInt64-budget); opts.GracePeriod > 0 && budget > opts.GracePeriod {
		w.warn(s.Name, "DrainDelay and stopping can take %v together, more than the GracePeriod of %v; shorten StopTimeouts (%s takes longest), or raise it", budget, opts.GracePeriod, worst)
	}
	return w.found
}

// warner collects warnings.
type warner struct{ found []error }

func (w *warner) warn(path, format string, args ...any) {
	w.found = append(w.found, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
}

func (w *warner) node(above string, s *Spec) {
	path := pathOf(above, s.Name)
	for i := range s.Children {
		child := &s.Children[i]
		w.restarts(pathOf(path, child.Name), child, s)
		w.probe(pathOf(path, child.Name), child.Probe)
		w.node(path, child)
	}
}

// restarts compares a child's backoff with its supervisor's intensity.
func (w *warner) restarts(path string, s, parent *Spec) {
	limit := parent.Intensity.withDefaults()
	switch {
	case limit.unlimited() || parent.Strict || s.Restart == Temporary:
	case limit.Restarts == 0:
	case s.Backoff.none:
	default:
		if n := s.Backoff.restartsWithin(limit.Within, limit.Restarts+1); n <= limit.Restarts {
			w.warn(path, "its backoff lets it restart at most %d times in %v: its supervisor's limit of %d is never reached by it alone", n, limit.Within, limit.Restarts)
		}
	}
}

// restartsWithin returns how many restarts of a child that crashes as soon as
// it is ready fall into a window of that length, counting no further than most.
func (b Backoff) restartsWithin(window time.Duration, most int) int {
	n := 1
	for at := time.Duration(0); n < most; n++ {
		if at += b.delay(n, 0.5); at > window {
			break
		}
	}
	return n
}
