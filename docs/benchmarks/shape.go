package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/coppice-go/coppice/docs/benchmarks/page"
	"github.com/coppice-go/coppice/supervisor"
)

// A shape is a tree that a host is to start: how many nodes are below each of
// a level, from the root down. One of its children then fails again and again.
type shape struct {
	Host     string
	Widths   []int
	Restarts int
}

// A yield is what a tree costs: nanoseconds for the whole start and stop, and
// for one restart; bytes for the whole tree.
type yield struct{ Start, Restart, Stop, Heap, Stack float64 }

func (y yield) start() float64   { return y.Start }
func (y yield) restart() float64 { return y.Restart }
func (y yield) stop() float64    { return y.Stop }
func (y yield) heap() float64    { return y.Heap }
func (y yield) stack() float64   { return y.Stack }

// doShape measures one tree from its start to its end.
func doShape(s shape) (y yield, err error) {
	n := leaves(s.Widths) - 1
	up, gone := newGate(n), newGate(n)
	one := newCrew(1, s.Restarts, failByError)
	heap, stack := inUse()
	began := time.Now()
	t := hostNamed(s.Host).nest(s.Widths, firstOf(one.children[0], &child{up: up, gone: gone}))
	up.wait()
	one.up.wait()
	t.settle()
	y.Start = float64(time.Since(began))
	y.Heap, y.Stack = inUse()
	y.Heap, y.Stack = y.Heap-heap, y.Stack-stack
	one.fail(t)
	took := one.restarts()
	runtime.GC()
	began = time.Now()
	t.stop()
	y.Stop = float64(time.Since(began))
	if gone.count() != n || len(took) != s.Restarts {
		return y, fmt.Errorf("stopped %d of %d, restarted %d times of %d", gone.count(), n, len(took), s.Restarts)
	}
	y.Restart = float64(page.Median(took))
	return y, nil
}

// firstOf gives one at first, and the other ever after.
func firstOf(one, other *child) func() *child {
	return func() *child {
		ch := one
		one = other
		return ch
	}
}

// doClimb returns how long it takes, in the median, from a worker's word that
// it is impaired, so many levels below the root, until the root says so.
func doClimb(depth int) (float64, error) {
	const times = 200
	worker := make(chan context.Context, 1)
	spec := supervisor.Spec{Name: "w", Run: func(ctx context.Context, ready func()) error {
		worker <- ctx
		ready()
		<-ctx.Done()
		return nil
	}}
	for range depth {
		spec = supervisor.Spec{Name: "s", Children: []supervisor.Spec{spec}}
	}
	g := grow(spec)
	defer g.stop()
	g.settle()
	ctx := <-worker
	var took []time.Duration
	for range times {
		took = append(took, until(g.sup, supervisor.Degraded, func() { supervisor.Impaired(ctx, errFailed) }))
		until(g.sup, supervisor.Up, func() { supervisor.Impaired(ctx, nil) })
	}
	if slices.Min(took) <= 0 {
		return 0, errors.New("the status was there before its reason")
	}
	return float64(page.Median(took)), nil
}

// until returns how long it took from what was said to the root's status.
func until(sup *supervisor.Supervisor, want supervisor.Status, say func()) time.Duration {
	began := time.Now()
	say()
	for sup.Status() != want {
		runtime.Gosched()
	}
	return time.Since(began)
}
