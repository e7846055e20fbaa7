package supervisor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Ref is a handle to the live value of a worker (its pool, its client),
// whichever incarnation holds it. The zero value is ready to use; it must not
// be copied after first use, and belongs to one worker. All methods may be
// called concurrently. A value can fail at any time: take it again for each
// use rather than keep it.
type Ref[T any] struct {
	live atomic.Pointer[lease[T]] // nil while there is no value

	mu      sync.Mutex    // guards all below, and orders publishing and withdrawing
	changed chan struct{} // closed when live is set; nil while nobody waits
	owner   *incarnation  // the last to run; knows when the next is due
}

// A lease is one incarnation's right to the Ref, with the value that it is for
// and that never changes: readers take no lock. It is over when its context is
// done.
type lease[T any] struct {
	ctx   context.Context
	value T
}

// Run adapts serve to a RunFunc. Calling ready publishes the value and then
// marks the worker ready. The value is withdrawn, for good, when the
// incarnation's context is done or serve has returned, whichever is first: an
// incarnation that is stopping, or was abandoned, cannot be reached.
func (r *Ref[T]) Run(serve func(ctx context.Context, ready func(T)) error) RunFunc {
	return func(ctx context.Context, ready func()) error {
		leased, end := r.newLease(ctx)
		defer end()
		defer context.AfterFunc(ctx, end)()
		return serve(ctx, func(v T) {
			if r.publish(leased, v) {
				ready()
			}
		})
	}
}

// Get returns the live value, waiting for one until ctx is done; then it
// returns ctx's cause.
func (r *Ref[T]) Get(ctx context.Context) (T, error) {
	l, err := r.wait(ctx)
	if err != nil {
		var zero T
		return zero, err
	}
	return l.value, nil
}

// Peek returns the live value, or false while there is none. It never waits.
func (r *Ref[T]) Peek() (value T, ok bool) {
	if l := r.live.Load(); l != nil {
		return l.value, true
	}
	return value, false
}

// Do calls f with the live value, waiting for one until ctx is done. The
// context that f gets ends with ctx, and with the incarnation: then its cause
// is ErrReplaced. Do returns what f returns.
func (r *Ref[T]) Do(ctx context.Context, f func(ctx context.Context, value T) error) error {
	l, err := r.wait(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ctx, func() { cancel(ErrReplaced) })()
	return f(ctx, l.value)
}

// RetryAfter returns how long it takes until the next attempt to start the
// worker is due, for the Retry-After of a 503. It is zero while there is a
// value, and when no attempt is scheduled.
func (r *Ref[T]) RetryAfter() time.Duration {
	r.mu.Lock()
	owner, live := r.owner, r.live.Load() != nil
	r.mu.Unlock()
	if live || owner == nil {
		return 0
	}
	return owner.retryAfter()
}

// newLease returns the context of one incarnation's leases, which ends with ctx,
// and the function that ends it and takes the value back. A late end never
// touches a successor's value.
func (r *Ref[T]) newLease(ctx context.Context) (leased context.Context, end func()) {
	leased, cancel := context.WithCancelCause(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owner = incarnationFrom(ctx)
	return leased, func() {
		cancel(ErrReplaced)
		r.mu.Lock()
		defer r.mu.Unlock()
		if l := r.live.Load(); l != nil && l.ctx == leased {
			r.live.Store(nil)
		}
	}
}

// publish makes v the live value unless the lease is over. The check and the
// store are one step: a lease ends before its value is taken back, so whichever
// of publish and end comes second sees the other.
func (r *Ref[T]) publish(leased context.Context, v T) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if leased.Err() != nil {
		return false
	}
	r.live.Store(&lease[T]{leased, v})
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
	return true
}

// wait returns the live lease, waiting for one until ctx is done.
func (r *Ref[T]) wait(ctx context.Context) (*lease[T], error) {
	for {
		if l := r.live.Load(); l != nil {
			return l, nil
		}
		r.mu.Lock()
		l := r.live.Load()
		if l == nil && r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		if l != nil {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
