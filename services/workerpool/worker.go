package workerpool

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/coppice-go/coppice/services/internal/ledger"
	"github.com/coppice-go/coppice/supervisor"
)

var errGoexit = errors.New("called runtime.Goexit")

// run is one incarnation of a worker.
func (p *Pool[J]) run(ctx context.Context, ready func()) error {
	ready()
	var e *ledger.Entry[J]
	for p.work.Await(ctx, func() bool { e = p.next(); return e != nil }) {
		p.attempt(ctx, e)
	}
	return nil
}

// next gives the first job of the queue, if there is one, to the caller.
func (p *Pool[J]) next() *ledger.Entry[J] {
	e := p.jobs.Take()
	if e != nil {
		p.room.Ring()
	}
	return e
}

// attempt runs e once and settles it, in whichever way Run ends. The job's
// context outlives the worker's by DrainTimeout.
func (p *Pool[J]) attempt(ctx context.Context, e *ledger.Entry[J]) {
	job, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(p.cfg.DrainTimeout, func() { cancel(context.Cause(ctx)) })
	})()
	err, stack := errGoexit, "" // unless it returns or panics
	defer func() {
		if v := recover(); v != nil {
			panicked := supervisor.Recovered(v)
			err, stack = panicked, panicked.Stack()
		} else if err == errGoexit {
			stack = string(debug.Stack())
		}
		p.settle(e, err, stack, stack == "" && job.Err() != nil)
	}()
	err = p.cfg.Run(job, e.Job)
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
