package supervisor_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// A conn is an incarnation's value that knows whether it is still good.
type conn struct{ closed atomic.Bool }

func serveConn(ctx context.Context, ready func(*conn)) error {
	c := &conn{}
	defer c.closed.Store(true)
	ready(c)
	<-ctx.Done()
	return nil
}

func TestRefFollowsTheLiveIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ref supervisor.Ref[*conn]
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "db", Run: ref.Run(serveConn)}}}, supervisor.Options{})
		first, ok := ref.Peek()
		if !ok {
			t.Fatal("no value though it is ready")
		}
		if err := tree.Restart(t.Context(), "app/db"); err != nil {
			t.Fatal(err)
		}
		second, err := ref.Get(t.Context())
		if err != nil || second == first || second.closed.Load() {
			t.Errorf("Get returned %p (%v), the first was %p", second, err, first)
		}
		if err := tree.Stop(t.Context(), "app/db"); err != nil {
			t.Fatal(err)
		}
		if _, ok := ref.Peek(); ok {
			t.Error("the value of a stopped worker can be had")
		}
	})
}

func TestRefGetWaitsForAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ref supervisor.Ref[int]
		run := ref.Run(func(ctx context.Context, ready func(int)) error {
			time.Sleep(3 * time.Second)
			ready(7)
			<-ctx.Done()
			return nil
		})
		_ = suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "db", Run: run}}}, supervisor.Options{})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCrash)
		defer cancel()
		if _, err := ref.Get(ctx); err != errCrash {
			t.Errorf("Get in vain returned %v, want the context's cause", err)
		}
		start := time.Now()
		if v, err := ref.Get(t.Context()); v != 7 || err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("Get returned %d, %v after %v", v, err, time.Since(start))
		}
	})
}

func TestRefDoEndsWithTheIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ref supervisor.Ref[*conn]
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "db", Run: ref.Run(serveConn)}}}, supervisor.Options{})
		time.AfterFunc(time.Second, func() { _ = tree.Restart(context.Background(), "app/db") })
		err := ref.Do(t.Context(), func(ctx context.Context, c *conn) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if err != supervisor.ErrReplaced {
			t.Errorf("the cause is %v, want ErrReplaced", err)
		}
		if err := ref.Do(t.Context(), func(context.Context, *conn) error { return errCrash }); err != errCrash {
			t.Errorf("Do returned %v, want what f returned", err)
		}
	})
}

// TestRefOfAnAbandonedIncarnationIsWithdrawn: its value is gone when it is
// told to stop, and it cannot publish one later.
func TestRefOfAnAbandonedIncarnationIsWithdrawn(t *testing.T) { // S27
	synctest.Test(t, func(t *testing.T) {
		var ref supervisor.Ref[int]
		n := 0
		run := ref.Run(func(ctx context.Context, ready func(int)) error {
			n++
			mine := n
			ready(mine)
			<-ctx.Done()
			if mine == 1 {
				time.Sleep(time.Minute) // abandoned after ten seconds
				ready(mine)
			}
			return nil
		})
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "db", Run: run}}}, supervisor.Options{})
		go func() { _ = tree.Restart(t.Context(), "app/db") }()
		synctest.Wait()
		if v, ok := ref.Peek(); ok {
			t.Errorf("while it is told to stop, %d can be had", v)
		}
		tree.Sleep(10 * time.Second)
		for range 3 {
			if v, ok := ref.Peek(); v != 2 || !ok {
				t.Errorf("the value is %d (%v), want the second incarnation's", v, ok)
			}
			tree.Sleep(time.Minute)
		}
	})
}

func TestRefRetryAfter(t *testing.T) { // S45
	synctest.Test(t, func(t *testing.T) {
		var db, cache supervisor.Ref[*conn]
		fail := make(chan error)
		run := db.Run(func(ctx context.Context, ready func(*conn)) error {
			ready(&conn{})
			select {
			case err := <-fail:
				return err
			case <-ctx.Done():
				return nil
			}
		})
		if got := db.RetryAfter(); got != 0 {
			t.Errorf("before it ever ran: %v", got)
		}
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
			{Name: "db", Run: run, Backoff: supervisor.Backoff{Min: 4 * time.Second, Jitter: supervisor.NoJitter}},
			{Name: "storage", Children: []supervisor.Spec{{Name: "cache", Run: cache.Run(serveConn)}}},
		}}, supervisor.Options{})
		if got := db.RetryAfter(); got != 0 {
			t.Errorf("while it is live: %v", got)
		}
		fail <- errCrash
		tree.Sleep(time.Second)
		if got := db.RetryAfter(); got != 3*time.Second {
			t.Errorf("while it backs off: %v, want 3s", got)
		}
		if got := cache.RetryAfter(); got != 3*time.Second {
			t.Errorf("of one that waits for it: %v, want 3s", got)
		}
		tree.Sleep(3 * time.Second)
		if got := db.RetryAfter() + cache.RetryAfter(); got != 0 {
			t.Errorf("when both are back: %v", got)
		}
	})
}

// TestRefUnderStress: while a worker is restarted as fast as it can be, its
// value is withdrawn by the end of its context, before it returns, and for good;
// and the context of a Do ends with its incarnation.
func TestRefUnderStress(t *testing.T) {
	var ref supervisor.Ref[*conn]
	serve := func(ctx context.Context, ready func(*conn)) error {
		c := &conn{}
		ready(c)
		<-ctx.Done()
		for v, ok := ref.Peek(); ok && v == c; v, ok = ref.Peek() {
			runtime.Gosched() // without end if it is not withdrawn: then the worker is abandoned, and Restart says so
		}
		c.closed.Store(true)
		return nil
	}
	sup, stop := run(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "db", Run: ref.Run(serve)}}}, supervisor.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			var last *conn
			for ctx.Err() == nil {
				over := last != nil && last.closed.Load()
				if c, ok := ref.Peek(); ok && (c == nil || over && c == last) {
					t.Errorf("Peek returned %p, the one of %p has ended: %v", c, last, over)
					return
				}
				err := ref.Do(ctx, func(ctx context.Context, c *conn) error {
					last = c
					if !c.closed.Load() {
						return nil
					}
					select {
					case <-ctx.Done():
						return nil
					case <-time.After(time.Minute):
						return errors.New("the context outlives the incarnation")
					}
				})
				if err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range scale(2000, 10) {
		if err := sup.Restart(ctx, "app/db"); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	users.Wait()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestRefTakesNoValueOfTheStopped: ready races with the end of the context, and
// the worker hangs on, as one that is abandoned does. Whichever is first, its
// value cannot be had once it is withdrawn.
func TestRefTakesNoValueOfTheStopped(t *testing.T) { // S27
	synctest.Test(t, func(t *testing.T) {
		var ref supervisor.Ref[int]
		run := ref.Run(func(ctx context.Context, ready func(int)) error {
			ready(1)
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil
		})
		for i := range scale(10_000, 100) {
			ctx, cancel := context.WithCancel(t.Context())
			worker := func() { _ = run(ctx, func() {}) }
			first, second := worker, func() { cancel() }
			if i%2 > 0 {
				first, second = second, first
			}
			go first()
			go second()
			synctest.Wait() // it is withdrawn
			if v, ok := ref.Peek(); ok {
				t.Errorf("in round %d the value %d of one that was stopped can be had", i, v)
			}
			time.Sleep(time.Second) // it ends
			if t.Failed() {
				return
			}
		}
	})
}

func TestRefPeekAllocatesNothing(t *testing.T) {
	var ref supervisor.Ref[*conn]
	_, stop := run(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "db", Run: ref.Run(serveConn)}}}, supervisor.Options{})
	if n := testing.AllocsPerRun(100, func() { _, _ = ref.Peek() }); n != 0 {
		t.Errorf("Peek allocates %v times", n)
	}
	_ = stop()
}

// TestRefRetryAfterOfADependent: with several groups under way each Ref tells
// of what its own worker waits for.
func TestRefRetryAfterOfADependent(t *testing.T) { // S12, S45
	synctest.Test(t, func(t *testing.T) {
		db, other := suptest.NewWorker(), suptest.NewWorker()
		var api supervisor.Ref[*conn]
		spec := supervisor.Spec{Name: "app", Strategy: supervisor.DependentsForOne, Children: []supervisor.Spec{
			db.Spec("db"), other.Spec("other"), {Name: "api", Run: api.Run(serveConn), DependsOn: []string{"db"}},
		}}
		spec.Children[0].Backoff.Min = 30 * time.Second
		tree := suptest.Start(t, spec, supervisor.Options{})
		db.Fail(errCrash)
		tree.Sleep(time.Second)
		other.Fail(errCrash)
		tree.Sleep(time.Second)
		if got := api.RetryAfter(); got != 28*time.Second {
			t.Errorf("while what it needs backs off: %v, want 28s", got)
		}
		tree.Sleep(28 * time.Second)
		if got := api.RetryAfter(); got != 0 {
			t.Errorf("when it is back: %v", got)
		}
	})
}
