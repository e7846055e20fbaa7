// Package attempt runs a job once on a supervised worker, and tells how that
// ended: by the job, or by what was done to it.
package attempt

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// Limits bound an attempt.
type Limits struct {
	Drain   time.Duration // for which it may go on once its worker is told to stop
	Timeout time.Duration // for which it may go on at all; zero is for ever
	Beat    time.Duration // the worker's BeatTimeout, to be told of
}

// Outcome is how an attempt ended.
type Outcome struct {
	Err         error  // nil: it is done
	Stack       string // of a panic or a Goexit; else ""
	Interrupted bool   // by its worker's stop or by cancel, and so for no fault of its own
}

var errGoexit = errors.New("called runtime.Goexit")

// Run calls job, and in whichever way that ends (it returns, panics or calls
// runtime.Goexit) settle, once. The job's context has the values of the worker's,
// outlives it by Drain, and ends with its cause; before that after Timeout, or
// with the cause given to cancel.
func (l Limits) Run(worker context.Context, job func(ctx context.Context, cancel context.CancelCauseFunc) error, settle func(Outcome)) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(worker))
	defer cancel(nil)
	defer context.AfterFunc(worker, func() {
		cause := context.Cause(worker)
		time.AfterFunc(l.patience(cause), func() { cancel(cause) })
	})()
	ctx, end := l.timed(ctx)
	defer end()
	o := Outcome{Err: errGoexit} // unless it returns or panics
	defer func() {
		if v := recover(); v != nil {
			panicked := supervisor.Recovered(v)
			o.Err, o.Stack = panicked, panicked.Stack()
		} else if o.Err == errGoexit {
			o.Stack = string(debug.Stack())
		} else {
			o = l.judge(ctx, o.Err)
		}
		settle(o)
	}()
	o.Err = job(ctx, cancel)
}

// patience is for how long a job's context outlives its worker's: one that is
// stuck has had its time.
func (l Limits) patience(cause error) time.Duration {
	if cause == supervisor.ErrUnhealthy {
		return 0
	}
	return l.Drain
}

func (l Limits) timed(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.Timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, l.Timeout)
}

// judge tells what err, which a job returned, comes to: that it is done counts
// most, and then what its context ended with.
func (l Limits) judge(ctx context.Context, err error) Outcome {
	switch cause := context.Cause(ctx); {
	case err == nil || cause == nil:
		return Outcome{Err: err}
	case cause == supervisor.ErrUnhealthy:
		return Outcome{Err: fmt.Errorf("no beat for %v: %w: %w", l.Beat, cause, err)}
	case ctx.Err() == context.DeadlineExceeded:
		return Outcome{Err: fmt.Errorf("no end after %v: %w", l.Timeout, err)}
	}
	return Outcome{Err: err, Interrupted: true}
}
