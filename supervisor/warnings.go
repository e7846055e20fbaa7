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
		w.warn(place{name: s.Name}, "DrainDelay and stopping can take %v together, more than the GracePeriod of %v; shorten StopTimeouts (%s takes longest), or raise it", budget, opts.GracePeriod, worst)
	}
	return w.found
}

// warner collects warnings.
type warner struct{ found []error }

func (w *warner) warn(at place, format string, args ...any) {
	w.found = append(w.found, fmt.Errorf("%v: "+format, append([]any{at}, args...)...))
}

func (w *warner) node(above string, s *Spec) {
	if len(s.Children) == 0 {
		return
	}
	path := pathOf(above, s.Name)
	for i := range s.Children {
		child := &s.Children[i]
		at := place{path, child.Name}
		w.policy(at, child, s)
		w.probe(at, child.Probe)
		w.node(path, child)
	}
}

// policy looks at how a child is restarted, and given up.
func (w *warner) policy(at place, s, parent *Spec) {
	switch {
	case parent.Strict:
		w.strict(at, s.Backoff)
	case s.Restart != Temporary:
		w.park(at, s)
		w.restarts(at, s.Backoff, parent.Intensity.withDefaults())
	}
}

func (w *warner) strict(at place, b Backoff) {
	if b.Min > 0 || b.Max > 0 || b.Settle > 0 || b.Attempts > 0 || b.Park > 0 {
		w.warn(at, "its Backoff (Min %v, Max %v, Settle %v, Attempts %d, Park %v) means nothing: its supervisor is Strict, and restarts at once; drop one of the two", b.Min, b.Max, b.Settle, b.Attempts, b.Park)
	}
}

func (w *warner) park(at place, s *Spec) {
	switch b := s.Backoff; {
	case b.Park == 0:
	case b.Attempts == 0:
		w.warn(at, "Park is %v, but Attempts is 0, no bound: it is never parked; set Attempts, or drop Park", b.Park)
	case !s.Optional:
		w.warn(at, "Park is %v, but it is not Optional: with failure %d in a row its supervisor fails; make it Optional, or drop Park", b.Park, b.Attempts+1)
	}
}

// restarts compares a child's backoff with its supervisor's intensity.
func (w *warner) restarts(at place, b Backoff, limit Intensity) {
	if limit.unlimited() || limit.Restarts == 0 {
		return
	}
	n := b.restartsWithin(limit.Within, limit.Restarts+1)
	switch reached := n > limit.Restarts; {
	case reached && b.Attempts >= limit.Restarts:
		w.warn(at, "crash %d within %v is over its supervisor's limit of %d: its Attempts of %d are used up only by failures that do not count, as failed starts; lower them below %[4]d, or raise the Intensity", n, limit.Within, limit.Restarts, b.Attempts)
	case !reached && b.Attempts == 0:
		w.warn(at, "its backoff lets it restart at most %d times in %v: its supervisor's limit of %d is never reached by it alone", n, limit.Within, limit.Restarts)
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
