package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// The smallest tree that heals: a connection that breaks once, and a server
// that needs it. Rest-for-one: the server is restarted with what it needs.
func Example() {
	var db supervisor.Ref[string]
	broken := make(chan error, 1)

	serveDB := func(ctx context.Context, ready func(string)) error {
		ready(fmt.Sprintf("connection %d", supervisor.IncarnationFrom(ctx)))
		select {
		case err := <-broken:
			return err
		case <-ctx.Done():
			return nil
		}
	}
	serveHTTP := func(ctx context.Context, ready func()) error {
		conn, err := db.Get(ctx)
		if err != nil {
			return err
		}
		fmt.Println("serving with", conn)
		ready()
		<-ctx.Done()
		fmt.Println("stopped:", context.Cause(ctx))
		return nil
	}

	sup, err := supervisor.New(supervisor.Spec{
		Name:     "shop",
		Strategy: supervisor.RestForOne,
		Children: []supervisor.Spec{
			{Name: "db", Run: db.Run(serveDB), Backoff: supervisor.Backoff{Min: 10 * time.Millisecond}},
			{Name: "http", Run: serveHTTP},
		},
	}, supervisor.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_ = sup.WaitReady(ctx, "shop")
		broken <- errors.New("connection reset")
		for supervisorIsUp := false; !supervisorIsUp; time.Sleep(time.Millisecond) {
			node, err := sup.Find("shop/http")
			supervisorIsUp = err == nil && node.Incarnation == 2 && node.State == supervisor.Ready
		}
	}()
	fmt.Println("ended:", sup.Run(ctx))
	// Output:
	// serving with connection 1
	// stopped: supervisor: a sibling failed
	// serving with connection 2
	// stopped: supervisor: shutting down
	// ended: <nil>
}

// A probe mends a worker where it can: here a purge of the cache helps, and so
// nothing is restarted.
func ExampleProbe() {
	var stale atomic.Bool
	stale.Store(true)
	check := func(context.Context) error {
		if stale.Load() {
			return errors.New("stale entries")
		}
		return nil
	}
	purge := func(context.Context) error { stale.Store(false); return nil }
	serve := func(ctx context.Context) error { <-ctx.Done(); return nil }

	ctx, cancel := context.WithCancel(context.Background())
	sup, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
		{Name: "cache", Run: supervisor.Func(serve), Probe: &supervisor.Probe{
			Check:    check,
			Interval: 300 * time.Millisecond,
			Timeout:  250 * time.Millisecond,
			Failures: 1,
			Remedies: []supervisor.Remedy{{Name: "purge", Do: purge}},
		}},
	}}, supervisor.Options{Observer: func(e supervisor.Event) {
		fmt.Println(e)
		if e.Kind == supervisor.EventRecovered {
			cancel()
		}
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = sup.Run(ctx)
	// Output:
	// shop#1 started
	// shop/cache#1 started
	// shop/cache#1 ready
	// shop#1 ready
	// shop/cache#1 impaired: stale entries
	// shop/cache#1 remedy purge: helped
	// shop/cache#1 recovered
	// shop/cache#1 stopping: supervisor: shutting down
	// shop/cache#1 stopped
	// shop#1 stopped
}

// An existing suture service, or any func(ctx) error, is a worker by Func.
func ExampleFunc() {
	type service struct{ Serve func(context.Context) error }
	svc := service{Serve: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}

	spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{
		{Name: "legacy", Run: supervisor.Func(svc.Serve)},
	}}
	fmt.Println(spec.Validate())
	// Output: <nil>
}

// Every fault is reported at once, with the path of its node.
func ExampleSpec_Validate() {
	fmt.Println(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
		{Name: "db"},
		{Name: "a/b", Children: []supervisor.Spec{}, StopTimeout: -time.Second},
	}}.Validate())
	// Output:
	// shop/db: neither Run nor Children is set; []Spec{} is an empty supervisor
	// shop/a/b: Name "a/b" holds '/', which separates paths; use another character
	// shop/a/b: StopTimeout is negative (-1s); zero means its default
}

// A new Spec for a running tree: look at what would change, then apply it.
func ExampleSupervisor_Apply() {
	serve := supervisor.Func(func(ctx context.Context) error { <-ctx.Done(); return nil })
	shop := func(children ...supervisor.Spec) supervisor.Spec {
		return supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: children}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sup, err := supervisor.New(shop(
		supervisor.Spec{Name: "db", Run: serve},
		supervisor.Spec{Name: "cache", Run: serve, Revision: "10.0.0.7:6379"},
		supervisor.Spec{Name: "web", Run: serve},
		supervisor.Spec{Name: "legacy", Run: serve},
	), supervisor.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = sup.Run(ctx) }()
	if err := sup.WaitReady(ctx, "shop"); err != nil {
		fmt.Println(err)
		return
	}

	next := shop(
		supervisor.Spec{Name: "db", Run: serve, StopTimeout: time.Minute},
		supervisor.Spec{Name: "cache", Run: serve, Revision: "10.0.0.8:6379"},
		supervisor.Spec{Name: "search", Run: serve},
		supervisor.Spec{Name: "web", Run: serve},
	)
	changes, err := sup.Diff(next)
	for _, c := range changes {
		fmt.Println(c)
	}
	fmt.Println("faults:", err)
	fmt.Println("applied:", sup.Apply(ctx, next))
	fmt.Print(sup.Snapshot())
	// Output:
	// update shop/db: StopTimeout
	// restart shop/cache: Revision was "10.0.0.7:6379", is "10.0.0.8:6379"
	// start shop/search
	// restart shop/web: with shop/cache
	// stop shop/legacy
	// faults: <nil>
	// applied: <nil>
	// shop       ready, up
	// ├─ db      ready
	// ├─ cache   ready #2
	// ├─ search  ready
	// └─ web     ready #2
}
