package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

var errFailed = errors.New("failed")

func failByError() error { return errFailed }
func failByPanic() error { panic(errFailed) }

// A gate opens once so many have passed. A nil gate counts nobody.
type gate struct {
	need   int64
	passed atomic.Int64
	opened chan struct{}
}

func newGate(need int) *gate {
	g := &gate{need: int64(need), opened: make(chan struct{})}
	if need == 0 {
		close(g.opened)
	}
	return g
}

func (g *gate) pass() {
	if g != nil && g.passed.Add(1) == g.need {
		close(g.opened)
	}
}

func (g *gate) wait()      { <-g.opened }
func (g *gate) count() int { return int(g.passed.Load()) }

// A child is what is supervised. It idles; once goOn is closed it fails, so
// many times in a row, and idles again. It notes how long each restart took.
// One that never fails is not written to, and may be run many times at once.
type child struct {
	up   *gate // passed at the first start
	over *gate // passed when it has failed as often as it should
	gone *gate // passed when it has stopped because it was told to

	goOn  <-chan struct{}
	fail  func() error
	times int // that it still has to fail

	failed time.Time // when it failed last
	took   []time.Duration
}

// began notes a start. It reports whether to fail at once.
func (c *child) began() bool {
	if c.failed.IsZero() {
		c.up.pass()
		return false
	}
	c.took = append(c.took, time.Since(c.failed))
	if c.times > 0 {
		return true
	}
	c.goOn = nil
	c.over.pass()
	return false
}

func (c *child) fails() error {
	c.times--
	c.failed = time.Now()
	return c.fail()
}

// serve is the child as a function: what all contestants but the actors run.
// One that never fails waits in the shallowest way there is: how deep a stack
// gets decides what a goroutine costs.
func (c *child) serve(ctx context.Context) error {
	if c.began() || c.told(ctx) {
		return c.fails()
	}
	<-ctx.Done()
	c.gone.pass()
	return ctx.Err()
}

// told waits for the word to fail, if there is one to wait for.
func (c *child) told(ctx context.Context) bool {
	if c.goOn == nil {
		return false
	}
	select {
	case <-c.goOn:
		return true
	case <-ctx.Done():
		return false
	}
}

// caught is serve for those who have nobody to recover panics for them.
func (c *child) caught(ctx context.Context) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = errFailed
		}
	}()
	return c.serve(ctx)
}

// idlers are n children that never fail. They are one value, so that a child
// costs what its supervisor makes of it.
func idlers(n int) (children []*child, up, gone *gate) {
	up, gone = newGate(n), newGate(n)
	one := &child{up: up, gone: gone}
	for range n {
		children = append(children, one)
	}
	return children, up, gone
}

// A crew is children that fail when they are told to.
type crew struct {
	children []*child
	up, over *gate
	goOn     chan struct{}
}

// newCrew returns n children each of which fails so many times in a row.
func newCrew(n, times int, fail func() error) *crew {
	c := &crew{up: newGate(n), over: newGate(n), goOn: make(chan struct{})}
	for range n {
		c.children = append(c.children, &child{up: c.up, over: c.over, goOn: c.goOn, fail: fail,
			times: times, took: make([]time.Duration, 0, times)})
	}
	return c
}

// fail has all of them fail, and returns when they run again for good.
func (c *crew) fail(t tree) time.Duration {
	began := time.Now()
	if t, ok := t.(teller); ok {
		t.tell()
	} else {
		close(c.goOn)
	}
	c.over.wait()
	t.settle()
	return time.Since(began)
}

// restarts returns how long each restart took.
func (c *crew) restarts() (took []time.Duration) {
	for _, ch := range c.children {
		took = append(took, ch.took...)
	}
	return took
}
