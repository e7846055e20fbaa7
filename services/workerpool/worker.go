package workerpool

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/coppice-go/coppice/services/internal/ledger"
	"github.com/coppice-go/coppice/supervisor"
)

var errGoexit = errors.New("called runtime.Goexit")

// stopMargin is what a job has, after its context ended, to return before its
// worker is abandoned.
const stopMargin = 5 * time.Second

func (p *Pool[J]) worker(name string) supervisor.Spec {
	return supervisor.Spec{
		Name: name, Run: p.run, BeatTimeout: p.cfg.BeatTimeout,
		StopTimeout: p.cfg.DrainTimeout + stopMargin,
		Backoff:     supervisor.Backoff{Min: 10 * time.Millisecond, Max: time.Second},
	}
}

// run is one incarnation of a worker.
func (p *Pool[J]) run(ctx context.Context, ready func()) error {
	ready()
	var e *ledger.Entry[J]
	for {
		supervisor.Idle(ctx)
		if !p.work.Await(ctx, func() bool { e = p.next(); return e != nil }) {
			return nil
		}
		supervisor.Beat(ctx)
		p.attempt(ctx, e)
	}
}

// next gives the first job of the queue, if there is one, to the caller.
func (p *Pool[J]) next() *ledger.Entry[J] {
	e := p.jobs.Take()
	if e != nil {
		p.room.Ring()
	}
	return e
}

// attempt runs e once and settles it, in whichever way Run ends.
func (p *Pool[J]) attempt(ctx context.Context, e *ledger.Entry[J]) {
	job, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		time.AfterFunc(p.patience(cause), func() { cancel(cause) })
	})()
	err, stack := errGoexit, "" // unless it returns or panics
	defer func() {
		if v := recover(); v != nil {
			panicked := supervisor.Recovered(v)
			err, stack = panicked, panicked.Stack()
		} else if err == errGoexit {
			stack = string(debug.Stack())
		}
		p.settle(e, err, stack, stack == "" && interrupted(job))
	}()
	err = p.blame(job, p.cfg.Run(job, e.Job))
}

// patience is for how long a job's context outlives its worker's: one that is
// stuck has had its time.
func (p *Pool[J]) patience(cause error) time.Duration {
	if cause == supervisor.ErrUnhealthy {
		return 0
	}
	return p.cfg.DrainTimeout
}

// blame adds to what a job returned that it was stuck, if it was.
func (p *Pool[J]) blame(job context.Context, err error) error {
	if err == nil || context.Cause(job) != supervisor.ErrUnhealthy {
		return err
	}
	return fmt.Errorf("no beat for %v: %w: %w", p.cfg.BeatTimeout, supervisor.ErrUnhealthy, err)
}

// interrupted reports whether the job's context ended, and not by its own
// fault.
func interrupted(job context.Context) bool {
	return job.Err() != nil && context.Cause(job) != supervisor.ErrUnhealthy
}

// settle takes e back from the worker that held it. It is called once for each
// job that next gave away, by the goroutine that ran it: late, if that was
// abandoned, but never twice.
func (p *Pool[J]) settle(e *ledger.Entry[J], err error, stack string, interrupted bool) {
	switch {
	case err == nil:
		p.jobs.Done(e)
	case interrupted:
		p.jobs.Interrupted(e)
		p.work.Ring()
	case p.jobs.Failed(e, err, stack):
		time.AfterFunc(p.cfg.Backoff.Delay(e.Attempts), func() {
			p.jobs.Retry(e)
			p.work.Ring()
		})
	}
}
