// Package periodic runs a function every so often as a supervised worker.
//
// Runs never overlap, in one place of a tree: a run that is abandoned, as it
// outlived its worker's stop, fences the next worker until it has ended. A run
// that fails leaves the worker impaired, with the error as the reason, until
// one succeeds; Config.FailuresToRestart in a row fail the worker, so that it
// is restarted with backoff, and what depends on it with it. A panic fails the
// worker at once.
package periodic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// grace is what a run has to return after its time is up, before the worker
// counts as impaired.
const grace = time.Second

var errOverrun = errors.New("periodic: the run has overrun its Timeout")

// A Task is a function to run periodically. New makes one. It has no state
// between incarnations: a restart begins a new series.
type Task struct {
	cfg   Config
	fault error
}

// New returns a task, which runs where its Spec stands in a tree. It never
// fails; faults in cfg are reported by supervisor.New.
func New(cfg Config) *Task {
	return &Task{cfg: cfg.withDefaults(), fault: cfg.validate()}
}

// Spec returns a worker that runs the task. It is ready at once, before the
// first run. It is Exclusive, or a restart would begin a run beside one that
// ignores its context.
func (t *Task) Spec(name string) supervisor.Spec {
	return supervisor.Spec{Name: name, Run: supervisor.Func(t.run), Fault: t.fault, Exclusive: true}
}

// run is one incarnation.
func (t *Task) run(ctx context.Context) error {
	pause := t.cfg.interval()
	if t.cfg.Immediately {
		pause = 0
	}
	for failures := 0; sleep(ctx, pause); {
		begin, interval := time.Now(), t.cfg.interval()
		err := t.once(ctx)
		if ctx.Err() != nil {
			return err
		}
		failures++
		if err == nil {
			failures = 0
		}
		if failures >= t.cfg.FailuresToRestart {
			return fmt.Errorf("periodic: %d runs in a row failed, the last: %w", failures, err)
		}
		supervisor.Impaired(ctx, err)
		pause = interval - time.Since(begin)%interval
	}
	return nil
}

// once makes one run. Nobody can end a run that ignores that its time is up,
// but the worker can say so.
func (t *Task) once(ctx context.Context) error {
	run, cancel := context.WithTimeoutCause(ctx, t.cfg.Timeout, errOverrun)
	defer cancel()
	told := make(chan struct{})
	tell := time.AfterFunc(max(t.cfg.Timeout, t.cfg.Timeout+grace), func() {
		defer close(told)
		supervisor.Impaired(ctx, errOverrun)
	})
	err := t.cfg.Run(run)
	if !tell.Stop() {
		<-told // or it might speak after this run's own result
	}
	if err != nil && context.Cause(run) == errOverrun {
		return fmt.Errorf("%w: %w", errOverrun, err)
	}
	return err
}

// sleep reports whether d passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
