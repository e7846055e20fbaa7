package attempt

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

var (
	errBroken  = errors.New("broken")
	errStopped = errors.New("stopped")
	errUndone  = errors.New("undone")
)

var limits = Limits{Drain: 5 * time.Second, Timeout: time.Minute, Beat: 7 * time.Second}

// run makes one attempt, and returns how and after how long it ended. The worker
// is stopped after a second, if there is a cause.
func run(t *testing.T, stop error, job func(ctx context.Context, cancel context.CancelCauseFunc) error) (Outcome, time.Duration) {
	t.Helper()
	worker, end := context.WithCancelCause(t.Context())
	defer end(nil)
	if stop != nil {
		time.AfterFunc(time.Second, func() { end(stop) })
	}
	var outcomes []Outcome
	begin := time.Now()
	done := make(chan struct{})
	go func() { // as it may end its goroutine
		defer close(done)
		limits.Run(worker, job, func(o Outcome) { outcomes = append(outcomes, o) })
	}()
	<-done
	if len(outcomes) != 1 {
		t.Fatalf("settled %d times: %v", len(outcomes), outcomes)
	}
	return outcomes[0], time.Since(begin)
}

// wait waits for its context's end, and says err.
func wait(err error) func(context.Context, context.CancelCauseFunc) error {
	return func(ctx context.Context, _ context.CancelCauseFunc) error {
		<-ctx.Done()
		return err
	}
}

func TestAnAttemptsOutcome(t *testing.T) {
	for name, test := range map[string]struct {
		stop        error
		job         func(context.Context, context.CancelCauseFunc) error
		err         error
		says, stack string
		interrupted bool
		took        time.Duration
	}{
		"it is done": {job: func(context.Context, context.CancelCauseFunc) error { return nil }},
		"it fails":   {job: func(context.Context, context.CancelCauseFunc) error { return errBroken }, err: errBroken, says: "broken"},
		"it panics":  {job: func(context.Context, context.CancelCauseFunc) error { panic(errBroken) }, err: errBroken, stack: "TestAnAttemptsOutcome"},
		"it is gone": {job: func(context.Context, context.CancelCauseFunc) error { runtime.Goexit(); return nil }, err: errGoexit, stack: "Goexit"},

		"its worker is stopped":          {stop: errStopped, job: wait(errBroken), err: errBroken, interrupted: true, took: 6 * time.Second},
		"it is done all the same":        {stop: errStopped, job: wait(nil), took: 6 * time.Second},
		"it panics when it is stopped":   {stop: errStopped, job: func(ctx context.Context, _ context.CancelCauseFunc) error { <-ctx.Done(); panic(errBroken) }, err: errBroken, stack: "TestAnAttemptsOutcome", took: 6 * time.Second},
		"it is stuck":                    {stop: supervisor.ErrUnhealthy, job: wait(errBroken), err: supervisor.ErrUnhealthy, says: "no beat for 7s: supervisor: unhealthy: broken", took: time.Second},
		"it takes too long":              {job: wait(errBroken), err: errBroken, says: "no end after 1m0s: broken", took: time.Minute},
		"it takes too long, and is done": {job: wait(nil), took: time.Minute},
		"it is canceled": {job: func(ctx context.Context, cancel context.CancelCauseFunc) error {
			cancel(errUndone)
			return context.Cause(ctx)
		}, err: errUndone, interrupted: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			o, took := run(t, test.stop, test.job)
			if !errors.Is(o.Err, test.err) || (o.Err == nil) != (test.err == nil) || test.says != "" && o.Err.Error() != test.says {
				t.Errorf("%s: the error is %v, want %v: %s", name, o.Err, test.err, test.says)
			}
			if (o.Stack == "") != (test.stack == "") || !strings.Contains(o.Stack, test.stack) || o.Interrupted != test.interrupted || took != test.took {
				t.Errorf("%s: interrupted %v after %v, with the stack %q; want %v, %v, %q", name, o.Interrupted, took, o.Stack, test.interrupted, test.took, test.stack)
			}
		})
	}
}

// Libraries ask a context for its error, and know these two.
func TestAContextThatTimedOutSaysSo(t *testing.T) {
	for stop, want := range map[error]error{nil: context.DeadlineExceeded, errStopped: context.Canceled} {
		synctest.Test(t, func(t *testing.T) {
			run(t, stop, func(ctx context.Context, _ context.CancelCauseFunc) error {
				<-ctx.Done()
				if ctx.Err() != want {
					t.Errorf("the context's error is %v, want %v", ctx.Err(), want)
				}
				return nil
			})
		})
	}
}
