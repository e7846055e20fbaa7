package suptest

import (
	"context"
	"sync"

	"github.com/coppice-go/coppice/supervisor"
)

// A Check is a supervisor.Probe's Check, or a Remedy's Do, that does what the
// test tells it to. By default it is good. Its methods may be called from any
// goroutine.
type Check struct {
	mu    sync.Mutex // guards all below
	do    func(context.Context) error
	hang  chan struct{} // closed to end those that hang; nil if none does
	calls int
}

// NewCheck returns a check that can be told what to do.
func NewCheck() *Check { return &Check{} }

// Probe returns a Probe with this check and without jitter, for the test to
// change.
func (c *Check) Probe() *supervisor.Probe {
	return &supervisor.Probe{Check: c.Run, Jitter: supervisor.NoJitter}
}

// Run is a supervisor.Probe's Check.
func (c *Check) Run(ctx context.Context) error {
	c.mu.Lock()
	c.calls++
	do := c.do
	c.mu.Unlock()
	if do == nil {
		return nil
	}
	return do(ctx)
}

// Do makes each call from now on do as f does. Those that hang return.
func (c *Check) Do(f func(context.Context) error) { c.set(f, nil) }

// Pass makes it good.
func (c *Check) Pass() { c.Do(nil) }

// Fail makes it fail with err.
func (c *Check) Fail(err error) { c.Do(func(context.Context) error { return err }) }

// Hang makes it hang, whatever becomes of its context, until it is told
// something else.
func (c *Check) Hang() {
	hang := make(chan struct{})
	c.set(func(context.Context) error { <-hang; return nil }, hang)
}

func (c *Check) set(do func(context.Context) error, hang chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hang != nil {
		close(c.hang)
	}
	c.do, c.hang = do, hang
}

// Calls returns how often it was called.
func (c *Check) Calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}
