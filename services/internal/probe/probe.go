// Package probe asks a dependency, again and again, whether it still answers.
package probe

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// Loop describes the probing of one dependency. All fields must be set.
type Loop struct {
	// Check returns nil if the dependency works. It should return when its
	// context is done; while one does not, no other is started.
	Check func(ctx context.Context) error

	// Interval is the time from the end of a check to the start of the next,
	// spread by ±10 %, so that the probes of many processes do not beat as one.
	Interval time.Duration

	// Timeout is how long a check may take. Past it it has failed, whether it
	// returns or not.
	Timeout time.Duration

	// Failures is how many checks in a row must fail for Run to give up.
	Failures int
}

// Run probes until ctx, which must be a worker's, is done, and returns nil; or
// until the dependency is given up, and returns an error that wraps
// supervisor.ErrUnavailable. From the first failed check to the next good one
// the worker is impaired. A check that hangs may outlive Run, in a goroutine
// of its own; there is at most one.
func (l Loop) Run(ctx context.Context) error {
	turn := make(chan struct{}, 1)
	for failures := 0; sleep(ctx, jitter(l.Interval)); {
		err := l.once(ctx, turn)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to stop: what the check said is the stop's doing
		}
		supervisor.Impaired(ctx, err)
		if err == nil {
			failures = 0
			continue
		}
		if failures++; failures >= l.Failures {
			return fmt.Errorf("%d probes in a row failed: %w: %w", failures, supervisor.ErrUnavailable, err)
		}
	}
	return nil
}

// once runs one check in its turn. The turn is given back when the check
// returns, which may be after once did.
func (l Loop) once(ctx context.Context, turn chan struct{}) error {
	tooSlow := fmt.Errorf("no answer within %v", l.Timeout)
	deadline := time.Now().Add(l.Timeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return tooSlow
	}
	result := make(chan error, 1)
	go func() {
		defer func() { <-turn }()
		result <- l.check(ctx)
	}()
	select {
	case err := <-result:
		if err != nil && !time.Now().Before(deadline) {
			return tooSlow // whatever the check makes of that
		}
		return err
	case <-ctx.Done():
		return tooSlow
	}
}

// check turns a panic into an error: on this goroutine nobody else would catch
// it.
func (l Loop) check(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the check panicked: %v", p)
		}
	}()
	return l.Check(ctx)
}

func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// sleep reports whether d passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
