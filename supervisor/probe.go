package supervisor

import (
	"context"
	"time"
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

	// Interval is the time from the end of one check to the start of the
	// next, spread by ±10 % so that the probes of many processes do not beat as
	// one. Zero means 10 s (kubelet's periodSeconds).
	Interval time.Duration

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
	// Zero means 10 s.
	Timeout time.Duration

	// Cooldown is how long it is not tried again, whether it helped or not,
	// and whichever incarnation is next. Zero means 1 min.
	Cooldown time.Duration

	// Attempts is how often it is tried in one incarnation. Zero means 3.
	Attempts int
}
