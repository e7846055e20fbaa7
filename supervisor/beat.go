package supervisor

import (
	"context"
	"fmt"
	"time"
)

// Beat says that the worker that ctx was given to makes progress; the next Beat,
// or Idle, is due within Spec.BeatTimeout. Without that, and before ready, it
// does nothing. It costs one atomic store, and panics if ctx is no worker's.
func Beat(ctx context.Context) {
	if h := heartOf(ctx, "Beat"); h != nil {
		h.owesAnew(h.now())
	}
}

// Idle says that the worker that ctx was given to waits for work: no Beat is
// due until the next one. It costs one atomic store, and panics if ctx is no
// worker's.
func Idle(ctx context.Context) {
	if h := heartOf(ctx, "Idle"); h != nil {
		h.owesNothing()
	}
}

// BeatError is the failure of a worker that took longer than Spec.BeatTimeout
// to its next Beat or Idle. It counts against the Intensity: a worker that
// hangs is a bug, also when what it hangs on is an outage.
type BeatError struct {
	Timeout time.Duration
	stack   string
}

// Error says how long there was no beat.
func (e *BeatError) Error() string { return fmt.Sprintf("no beat for %v", e.Timeout) }

// Stack returns the stack of the worker's goroutine, taken before it was told
// to stop; "" if 10,000 goroutines ran, or one was taken within the last 10 s.
func (e *BeatError) Stack() string { return e.stack }

// A heart is what one incarnation of a worker with a BeatTimeout owes. It beats
// from ready to the first beat missed, or the end.
type heart struct {
	lookout
	inc *incarnation
}

// newHeart returns nil for an incarnation that owes no beats.
func newHeart(inc *incarnation) *heart {
	timeout := inc.spec().BeatTimeout
	if timeout == 0 {
		return nil
	}
	h := &heart{inc: inc}
	h.init(timeout, h.missed)
	return h
}

func heartOf(ctx context.Context, asked string) *heart {
	switch inc := incarnationFrom(ctx); {
	case inc == nil:
		panic("supervisor: " + asked + ": ctx is no worker's")
	case !inc.readied.Load():
		return nil
	default:
		return inc.heart
	}
}

// missed has the worker restarted. Where it hangs must be looked up before it
// is told to stop, for it may obey.
func (h *heart) missed(late bool) {
	if !late || h.inc.ctx.Err() != nil {
		return
	}
	h.ended = true
	h.inc.unhealthy(ending{err: &BeatError{Timeout: h.patience, stack: h.inc.tree.feed.stackOf(h.inc)}})
}

func (inc *incarnation) heartBegins() {
	if inc.heart != nil {
		inc.heart.owesAnew(inc.heart.now())
	}
}

func (inc *incarnation) heartStops() {
	if inc.heart != nil {
		inc.heart.stop()
	}
}
