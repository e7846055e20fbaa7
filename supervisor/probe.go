package supervisor

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode"
)

// A Probe asks a worker, again and again while it is ready, whether it still
// does its work, mends it where it can, and has it restarted where it cannot:
//
//	check fails ──► impaired ──► Failures in a row ──► each Remedy, and a check after it ──► restart
//
// With the first check that fails the worker is impaired (its status is
// Degraded) until Successes checks in a row are good. After Failures in a row
// the remedies are tried in order, each followed by a check; if none has
// helped, the incarnation is stopped with ErrUnhealthy and has failed with the
// check's error: that says, by wrapping ErrUnavailable or not, whether the
// restart counts. The zero value of every field but Check is useful.
type Probe struct {
	// Check returns nil if the worker works. ctx carries the values of the
	// worker's context, and ends with it and after Timeout. A check should
	// return then; while one does not, no other is started, not even for a
	// later incarnation. A panic is a failure.
	Check func(ctx context.Context) error

	// Interval is the time from ready, and from the end of one check, to the
	// start of the next. Zero means 10 s (kubelet's periodSeconds).
	Interval time.Duration

	// Jitter is the share of the interval by which it may differ, so that the
	// probes of many processes do not beat as one. Zero means 0.1; NoJitter is
	// none.
	Jitter float64

	// Timeout is how long a check may take. Past it it has failed, as
	// ErrUnavailable, whether it returns or not. Zero means 1 s (kubelet's
	// timeoutSeconds).
	Timeout time.Duration

	// Failures is how many checks in a row must fail for the remedies, and
	// then the restart. Zero means 3 (kubelet's failureThreshold).
	Failures int

	// Successes is how many checks in a row must be good for the worker to
	// have recovered. Zero means 1 (kubelet's successThreshold).
	Successes int

	// Remedies are what may help short of a restart, the mildest first.
	Remedies []Remedy
}

// A Remedy mends a worker without restarting it: purge a cache, reload,
// reconnect.
type Remedy struct {
	// Name is what events call it: "purge".
	Name string

	// Do does it. ctx is as Probe.Check's. What it returns is told, but only
	// the check after it says whether it helped. A panic is an error.
	Do func(ctx context.Context) error

	// Timeout is how long it may take; past it, the check after it decides.
	// While it has not returned then, it is not run again. Zero means 10 s.
	Timeout time.Duration

	// Cooldown is how long after it was begun it is not tried again, whether it
	// helped or not, and whichever incarnation is next. Zero means 1 min.
	Cooldown time.Duration

	// Attempts is how often it is tried in one incarnation. Zero means 3.
	Attempts int
}

// ProbeState is what a worker's probe found last, and what comes next.
type ProbeState struct {
	At        time.Time     // when the last check ended
	Took      time.Duration // how long it took
	Err       error         // why it failed; nil if it was good
	Failures  int           // how many failed in a row, those after remedies too
	Threshold int           // with how many the remedies come
	Interval  time.Duration

	// Next is the next rung of the ladder: "check", "remedy purge", "restart".
	Next string
}

// Stale reports whether the last check is more than three intervals ago: then
// it says nothing of now, good or bad.
func (s ProbeState) Stale(now time.Time) bool { return now.Sub(s.At) > 3*s.Interval }

// withDefaults resolves the zero fields of p and its remedies.
func (p *Probe) withDefaults() Probe {
	d := *p.clone()
	d.Interval = orDefault(d.Interval, 10*time.Second)
	d.Jitter = max(0, orDefault(d.Jitter, 0.1))
	d.Timeout = orDefault(d.Timeout, time.Second)
	d.Failures = orDefault(d.Failures, 3)
	d.Successes = orDefault(d.Successes, 1)
	for i := range d.Remedies {
		r := &d.Remedies[i]
		r.Timeout = orDefault(r.Timeout, 10*time.Second)
		r.Cooldown = orDefault(r.Cooldown, time.Minute)
		r.Attempts = orDefault(r.Attempts, 3)
	}
	return d
}

// clone copies p, so that the caller may go on changing its own.
func (p *Probe) clone() *Probe {
	if p == nil {
		return nil
	}
	own := *p
	own.Remedies = slices.Clone(p.Remedies)
	return &own
}

// spread returns the interval, jittered; p has its defaults.
func (p *Probe) spread() time.Duration {
	return p.Interval + time.Duration(float64(p.Interval)*p.Jitter*(2*rand.Float64()-1))
}

// health checks the fields by which a worker is watched.
func (v *validator) health(at place, s *Spec) {
	v.duration(at, "BeatTimeout", s.BeatTimeout)
	if s.isSupervisor() && (s.Probe != nil || s.BeatTimeout != 0) {
		v.fault(at, "a supervisor has no Probe and no BeatTimeout; set them on its workers")
	}
	if s.Probe != nil {
		v.probe(at, s.Probe)
	}
}

func (v *validator) probe(at place, p *Probe) {
	if p.Check == nil {
		v.fault(at, "Probe.Check is nil; say how to check, or leave Probe nil")
	}
	if !(p.Jitter >= 0 && p.Jitter <= 1) && p.Jitter != NoJitter { // NaN is neither
		v.fault(at, "Probe.Jitter is %v; use a share from 0 to 1, or NoJitter", p.Jitter)
	}
	v.duration(at, "Probe.Interval", p.Interval)
	v.duration(at, "Probe.Timeout", p.Timeout)
	v.count(at, "Probe.Failures", p.Failures)
	v.count(at, "Probe.Successes", p.Successes)
	seen := make(map[string]bool, len(p.Remedies))
	for i := range p.Remedies {
		name := p.Remedies[i].Name
		if seen[name] {
			v.fault(at, "two remedies have the name %q; rename one", name)
		}
		seen[name] = true
		v.remedy(at, &p.Remedies[i])
	}
}

func (v *validator) remedy(at place, r *Remedy) {
	switch {
	case r.Name == "":
		v.fault(at, "a remedy has no Name; give it one")
	case strings.ContainsFunc(r.Name, unicode.IsControl):
		v.fault(at, "the name of remedy %q holds a control character; remove it", r.Name)
	}
	if r.Do == nil {
		v.fault(at, "remedy %q has no Do; say what it does", r.Name)
	}
	field := "remedy " + r.Name + "'s "
	v.duration(at, field+"Timeout", r.Timeout)
	v.duration(at, field+"Cooldown", r.Cooldown)
	v.count(at, field+"Attempts", r.Attempts)
}

func (v *validator) count(at place, field string, n int) {
	if n < 0 {
		v.fault(at, "%s is negative (%d); zero means its default", field, n)
	}
}

// probe warns of one that takes longer to hang than to wait.
func (w *warner) probe(at place, probe *Probe) {
	if probe == nil {
		return
	}
	if p := probe.withDefaults(); p.Timeout >= p.Interval {
		w.warn(at, "its probe's Timeout of %v is not below its Interval of %v: it takes up to %v to notice that it hangs (%d checks of %v, %v apart); shorten the Timeout",
			p.Timeout, p.Interval, time.Duration(p.Failures)*(p.Interval+p.Timeout), p.Failures, p.Timeout, p.Interval)
	}
}
