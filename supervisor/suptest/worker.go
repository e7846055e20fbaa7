package suptest

import (
	"context"
	"sync"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// A Worker does what the test tells it to. By default it is ready at once,
// waits for its context to end and returns nil. Its methods may be called from
// any goroutine; those that end an incarnation return once all is quiet, and
// panic if none runs.
type Worker struct {
	mu      sync.Mutex // guards all below
	plan    []Attempt
	start   Attempt
	stop    time.Duration
	stopErr error
	orders  chan func() error // to the incarnation that runs; nil if none does
	ctx     context.Context
	starts  int
	causes  []error
}

// An Attempt says how one incarnation starts. The zero value is ready at once.
type Attempt struct {
	After time.Duration // how long it takes to be ready, or to fail
	Err   error         // returned instead of being ready
	Panic any           // panicked with instead of being ready
	Hang  bool          // never ready; it waits for its context to end
}

// NewWorker returns a worker that can be told what to do.
func NewWorker() *Worker { return &Worker{} }

// Spec returns a Spec with this worker's Run, for the test to change.
func (w *Worker) Spec(name string) supervisor.Spec {
	return supervisor.Spec{Name: name, Run: w.Run, Backoff: supervisor.Backoff{Jitter: supervisor.NoJitter}}
}

// Starts says how each of the next incarnations starts; those after them are
// ready at once.
func (w *Worker) Starts(plan ...Attempt) *Worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plan = plan
	return w
}

// AlwaysStarts says how every incarnation starts once Starts' are used up.
func (w *Worker) AlwaysStarts(a Attempt) *Worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start = a
	return w
}

// StopsAfter makes it take d to return err once its context has ended.
func (w *Worker) StopsAfter(d time.Duration, err error) *Worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop, w.stopErr = d, err
	return w
}

// Run is a supervisor.RunFunc.
func (w *Worker) Run(ctx context.Context, ready func()) error {
	start, orders := w.begin(ctx)
	defer w.end(ctx)
	if start.After > 0 {
		select {
		case <-time.After(start.After):
		case <-ctx.Done():
			return w.stopping()
		}
	}
	switch {
	case start.Panic != nil:
		panic(start.Panic)
	case start.Err != nil:
		return start.Err
	case !start.Hang:
		ready()
	}
	select {
	case order := <-orders:
		return order()
	case <-ctx.Done():
		return w.stopping()
	}
}

func (w *Worker) begin(ctx context.Context) (Attempt, chan func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	start := w.start
	if len(w.plan) > 0 {
		start, w.plan = w.plan[0], w.plan[1:]
	}
	w.starts++
	w.ctx, w.orders = ctx, make(chan func() error, 1)
	return start, w.orders
}

func (w *Worker) end(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.causes = append(w.causes, context.Cause(ctx))
	if w.ctx == ctx {
		w.ctx, w.orders = nil, nil
	}
}

func (w *Worker) stopping() error {
	w.mu.Lock()
	stop, err := w.stop, w.stopErr
	w.mu.Unlock()
	if stop > 0 {
		time.Sleep(stop)
	}
	return err
}

// Do makes the incarnation that runs end as f does: with its error, its panic,
// or runtime.Goexit.
func (w *Worker) Do(f func() error) {
	w.mu.Lock()
	orders := w.orders
	w.mu.Unlock()
	if orders == nil {
		panic("suptest: the worker does not run")
	}
	orders <- f
	synctest.Wait()
}

// Fail makes it return err.
func (w *Worker) Fail(err error) { w.Do(func() error { return err }) }

// Return makes it return nil.
func (w *Worker) Return() { w.Fail(nil) }

// Panic makes it panic.
func (w *Worker) Panic(value any) { w.Do(func() error { panic(value) }) }

// Impaired makes it say that it is, or, with nil, that it is not.
func (w *Worker) Impaired(reason error) {
	w.mu.Lock()
	ctx := w.ctx
	w.mu.Unlock()
	supervisor.Impaired(ctx, reason)
	synctest.Wait()
}

// Progress makes it say how far it has got.
func (w *Worker) Progress(line string) { supervisor.Progress(w.Context(), line) }

// Context returns the context of the incarnation that runs, nil if none does.
func (w *Worker) Context() context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ctx
}

// Started returns how many incarnations have started.
func (w *Worker) Started() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.starts
}

// Causes returns, for each incarnation that has ended, the cause of its
// context; nil if it had not ended then.
func (w *Worker) Causes() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]error(nil), w.causes...)
}
