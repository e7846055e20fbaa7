package workerpool

import (
	"context"
	"runtime/debug"
	"slices"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// An entry is a job on its way to its one end. It is in p.queue, in p.retrying
// or held by one worker, never in two of them.
type entry[J any] struct {
	job    J
	failed int // attempts
}

// run is one incarnation of a worker.
func (p *Pool[J]) run(ctx context.Context, ready func()) error {
	ready()
	var e *entry[J]
	for p.work.await(ctx, func() bool { e = p.next(); return e != nil }) {
		p.attempt(ctx, e)
	}
	return nil
}

// next gives the first job of the queue, if there is one, to the caller.
func (p *Pool[J]) next() *entry[J] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil
	}
	e := p.queue[0]
	p.queue[0] = nil // let go of it
	p.queue = p.queue[1:]
	p.stats.InFlight++
	p.room.ring()
	return e
}

// attempt runs e once and settles it, in whichever way Run ends. The job's
// context outlives the worker's by DrainTimeout.
func (p *Pool[J]) attempt(ctx context.Context, e *entry[J]) {
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
	err = p.cfg.Run(job, e.job)
}

// settle takes e back from the worker that held it. It is called once for each
// job that next gave away, by the goroutine that ran it: late, if that was
// abandoned, but never twice.
func (p *Pool[J]) settle(e *entry[J], err error, stack string, interrupted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.InFlight--
	switch last := e.failed+1 >= p.cfg.Attempts; {
	case err == nil:
		p.stats.Done++
	case last && !interrupted:
		p.bury(DeadJob[J]{Job: e.job, Err: err, Stack: stack, Attempts: e.failed + 1})
	case p.closed:
		p.handedBack = append(p.handedBack, e.job)
	case interrupted:
		p.put(0, e)
	default:
		e.failed++
		p.retrying[e] = true
		time.AfterFunc(p.cfg.Backoff.Delay(e.failed), func() { p.retry(e) })
	}
}

// bury adds d to the dead letters. The caller holds p.mu.
func (p *Pool[J]) bury(d DeadJob[J]) {
	p.stats.Dead++
	p.dead = append(p.dead, d)
	if len(p.dead) > p.cfg.DeadLetters {
		p.stats.Forgotten++
		p.dead = slices.Delete(p.dead, 0, 1)
	}
}

// retry queues e for its next attempt, unless Close was quicker.
func (p *Pool[J]) retry(e *entry[J]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retrying[e] {
		delete(p.retrying, e)
		p.put(len(p.queue), e)
	}
}

// put makes e the i-th of the queue. The caller holds p.mu.
func (p *Pool[J]) put(i int, e *entry[J]) {
	p.queue = slices.Insert(p.queue, i, e)
	p.work.ring()
}

// A bell tells those who wait for something that there may be some. It holds
// one token, which wakes one of them; as each rings when he leaves, with what
// he waited for or without it, that is enough to wake all that are needed.
type bell chan struct{}

// ring leaves a token, unless there is one.
func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// await reports whether try, called now and whenever b is rung, said that it
// had what it wanted before ctx was done.
func (b bell) await(ctx context.Context, try func() bool) bool {
	defer b.ring()
	for ctx.Err() == nil {
		if try() {
			return true
		}
		select {
		case <-b:
		case <-ctx.Done():
		}
	}
	return false
}
