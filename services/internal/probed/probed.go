// Package probed runs services that are checked where nobody else waits: beside
// what they publish, such as a pool of connections, each incarnation has a
// connection of its own for its probe. A pool can be exhausted, and is not
// broken then.
package probed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coppice-go/coppice/services/internal/secret"
	"github.com/coppice-go/coppice/supervisor"
)

// A Check returns nil if the incarnation that it is of works.
type Check = func(ctx context.Context) error

// A Service is a worker that publishes a T, and is checked over another T that
// each incarnation has beside it. It belongs to one worker.
type Service[T any] struct {
	Live   *supervisor.Ref[T]                        // where the worker publishes
	Behind func(ctx context.Context, beside T) error // is what is behind the connection as it should be? May be nil
	Secret string                                    // no error tells it; "" is none

	checks supervisor.Ref[Check] // of the incarnation whose value is live
}

// Run adapts serve to a RunFunc, as Ref.Run does: calling ready publishes the
// value, and from then on the probe makes the check.
func (s *Service[T]) Run(serve func(ctx context.Context, ready func(T, Check)) error) supervisor.RunFunc {
	return s.Live.Run(func(ctx context.Context, publish func(T)) error {
		var value T
		run := s.checks.Run(func(ctx context.Context, arm func(Check)) error {
			return serve(ctx, func(v T, check Check) {
				value = v
				arm(check)
			})
		})
		return run(ctx, func() { publish(value) })
	})
}

// Probe returns a probe that makes the live incarnation's check.
func (s *Service[T]) Probe(interval, timeout time.Duration, failures int, remedies []supervisor.Remedy) *supervisor.Probe {
	remedies = slices.Clone(remedies)
	for i := range remedies {
		if do := remedies[i].Do; do != nil { // nil is for Validate to find
			remedies[i].Do = func(ctx context.Context) error { return secret.Hide(do(ctx), s.Secret) }
		}
	}
	return &supervisor.Probe{Check: s.check, Interval: interval, Timeout: timeout, Failures: failures, Remedies: remedies}
}

// check makes the live incarnation's.
func (s *Service[T]) check(ctx context.Context) error {
	check, ok := s.checks.Peek()
	if !ok {
		return fmt.Errorf("%w: it is not connected", supervisor.ErrUnavailable)
	}
	return check(ctx)
}

// Checked returns the check of an incarnation: that the connection beside
// answers, which is an outage if it does not, and then what Behind says. What
// is Mild impairs, and is no failure.
func (s *Service[T]) Checked(beside T, answers Check) Check {
	ails := false
	return func(ctx context.Context) error {
		err := answers(ctx)
		if IsMild(err) {
			supervisor.Impaired(ctx, secret.Hide(err, s.Secret))
			ails, err = true, nil
		} else if ails {
			supervisor.Impaired(ctx, nil) // what is severe the probe itself tells
			ails = false
		}
		if err != nil || s.Behind == nil {
			return s.Outage(err)
		}
		return secret.Hide(s.Behind(ctx, beside), s.Secret)
	}
}

// Outage returns err, which a connection met, as one that wraps
// supervisor.ErrUnavailable and does not tell the secret; nil if err is.
func (s *Service[T]) Outage(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", supervisor.ErrUnavailable, secret.Hide(err, s.Secret))
}

// every is of how many checks one makes a new connection, too.
const every = 10

// Newcomers returns the check answers, which from time to time, and each time
// while that fails, makes a new connection, too: a server may answer those that
// it has, and take no more, for it has too many, or another password by now.
// That is mild: a restart would lose what there is.
func Newcomers(answers, connect Check) Check {
	n := 0
	return func(ctx context.Context) error {
		if err := answers(ctx); err != nil {
			return err
		}
		if n++; n < every {
			return nil
		}
		if err := connect(ctx); err != nil {
			return Mild(fmt.Errorf("new connections fail: %w", err))
		}
		n = 0
		return nil
	}
}

// mild is an error that IsMild.
type mild struct{ error }

func (m mild) Unwrap() error { return m.error }

// Mild marks what a connection met as something that leaves the rest of its
// work to be done, and that a restart, which would take that away too, does not
// help against. Nil stays nil.
func Mild(err error) error {
	if err == nil {
		return nil
	}
	return mild{err}
}

// IsMild reports whether Mild has marked err.
func IsMild(err error) bool {
	_, is := errors.AsType[mild](err)
	return is
}
