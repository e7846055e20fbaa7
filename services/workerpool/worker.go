package workerpool

import (
	"context"
	"time"

	"github.com/coppice-go/coppice/services/internal/attempt"
	"github.com/coppice-go/coppice/services/internal/ledger"
	"github.com/coppice-go/coppice/supervisor"
)

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
		if !p.work.Await(ctx, func() bool { p.teller.Store(&ctx); e = p.next(); return e != nil }) {
			return nil
		}
		supervisor.Beat(ctx)
		p.tell()
		p.attempt(ctx, e)
	}
}

// tell says how far the pool has got, once a second at most, in the name of the
// worker that asked last for a job: who takes one does, and who submits one, as
// those who are busy take none. While nobody is, who takes it will. There is one
// that asked, as there is a job in flight.
func (p *Pool[J]) tell() {
	last, now := p.told.Load(), time.Now().UnixNano()
	if since := time.Duration(now - last); since >= 0 && since < time.Second {
		return // since is negative if the clock was set back
	}
	if s := p.Stats(); s.InFlight > 0 && p.told.CompareAndSwap(last, now) {
		supervisor.Progress(*p.teller.Load(), s.String())
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
	limits := attempt.Limits{Drain: p.cfg.DrainTimeout, Timeout: p.cfg.JobTimeout, Beat: p.cfg.BeatTimeout}
	limits.Run(ctx, func(job context.Context, cancel context.CancelCauseFunc) error {
		p.jobs.Stoppable(e, func() { cancel(ErrCanceled) })
		return p.cfg.Run(job, e.Job)
	}, func(o attempt.Outcome) { p.settle(e, o) })
}

// settle takes e back from the worker that held it. It is called once for each
// job that next gave away, by the goroutine that ran it: late, if that was
// abandoned, but never twice.
func (p *Pool[J]) settle(e *ledger.Entry[J], o attempt.Outcome) {
	switch {
	case o.Err == nil:
		p.jobs.Done(e)
	case o.Interrupted:
		p.jobs.Interrupted(e)
		p.work.Ring()
	case p.jobs.Failed(e, o.Err, o.Stack):
		time.AfterFunc(p.cfg.Backoff.Delay(e.Attempts), func() {
			p.jobs.Retry(e)
			p.work.Ring()
		})
	}
}
