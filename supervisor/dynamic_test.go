package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// TestDynamicCalls: what each call answers, by the state of the child.
func TestDynamicCalls(t *testing.T) { // S30
	ready := func(trio) {}
	stopped := func(w trio) { _ = w.Stop(context.Background(), "app/b") }
	backing := func(w trio) { w.b.Fail(errCrash) }
	gone := func(w trio) { _ = w.Remove(context.Background(), "app/b") }
	add := func(w trio) error {
		_, err := w.Add(context.Background(), "app", suptest.NewWorker().Spec("b"))
		return err
	}
	call := func(f func(*supervisor.Supervisor, context.Context, string) error) func(trio) error {
		return func(w trio) error { return f(w.Supervisor, context.Background(), "app/b") }
	}
	start, stop := call((*supervisor.Supervisor).Start), call((*supervisor.Supervisor).Stop)
	restart, remove, del := call((*supervisor.Supervisor).Restart), call((*supervisor.Supervisor).Remove), call((*supervisor.Supervisor).Delete)
	for _, c := range []struct {
		name  string
		bring func(trio)
		call  func(trio) error
		want  error
		state supervisor.State // after; -1: no such node
	}{
		{"add to ready", ready, add, supervisor.ErrAlreadyStarted, supervisor.Ready},
		{"add to stopped", stopped, add, supervisor.ErrAlreadyPresent, supervisor.Stopped},
		{"add to backing off", backing, add, supervisor.ErrAlreadyPresent, supervisor.BackingOff},
		{"add to none", gone, add, nil, supervisor.Ready},
		{"start ready", ready, start, supervisor.ErrRunning, supervisor.Ready},
		{"start stopped", stopped, start, nil, supervisor.Ready},
		{"start backing off", backing, start, supervisor.ErrRestarting, supervisor.BackingOff},
		{"start none", gone, start, supervisor.ErrNotFound, -1},
		{"stop ready", ready, stop, nil, supervisor.Stopped},
		{"stop stopped", stopped, stop, nil, supervisor.Stopped},
		{"stop backing off", backing, stop, nil, supervisor.Stopped},
		{"stop none", gone, stop, supervisor.ErrNotFound, -1},
		{"restart ready", ready, restart, nil, supervisor.Ready},
		{"restart stopped", stopped, restart, nil, supervisor.Ready},
		{"restart backing off", backing, restart, nil, supervisor.Ready},
		{"restart none", gone, restart, supervisor.ErrNotFound, -1},
		{"remove ready", ready, remove, nil, -1},
		{"remove stopped", stopped, remove, nil, -1},
		{"remove backing off", backing, remove, nil, -1},
		{"remove none", gone, remove, supervisor.ErrNotFound, -1},
		{"delete ready", ready, del, supervisor.ErrRunning, supervisor.Ready},
		{"delete stopped", stopped, del, nil, -1},
		{"delete backing off", backing, del, supervisor.ErrRestarting, supervisor.BackingOff},
		{"delete none", gone, del, supervisor.ErrNotFound, -1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.OneForOne, nil)
			c.bring(w)
			err := c.call(w)
			if !errors.Is(err, c.want) || err != nil && !strings.HasPrefix(err.Error(), "app/b: ") {
				t.Errorf("%s: %v, want %v with the path", c.name, err, c.want)
			}
			snap, err := w.Find("app/b")
			if c.state == -1 && !errors.Is(err, supervisor.ErrNotFound) || c.state != -1 && snap.State != c.state {
				t.Errorf("%s: then it is %v (%v), want %v", c.name, snap.State, err, c.state)
			}
		})
	}
}

// TestRemoveIsNotUndoneByWhoComesLater.
func TestRemoveIsNotUndoneByWhoComesLater(t *testing.T) { // S30
	for name, call := range map[string]func(*supervisor.Supervisor, context.Context, string) error{
		"Stop": (*supervisor.Supervisor).Stop, "Restart": (*supervisor.Supervisor).Restart, "Start": (*supervisor.Supervisor).Start,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.OneForOne, nil)
			w.b.StopsAfter(time.Second, nil)
			removed := make(chan error, 1)
			go func() { removed <- w.Remove(t.Context(), "app/b") }()
			synctest.Wait()
			_ = call(w.Supervisor, t.Context(), "app/b")
			if err := <-removed; err != nil {
				t.Errorf("Remove, and then %s: %v", name, err)
			}
			w.Sleep(time.Minute)
			if _, err := w.Find("app/b"); !errors.Is(err, supervisor.ErrNotFound) {
				t.Errorf("after Remove and %s it is still there", name)
			}
		})
	}
}

// TestCallsReachASupervisorThatJustStarts: one is found as soon as it is there,
// and has begun by then.
func TestCallsReachASupervisorThatJustStarts(t *testing.T) { // S30
	sup, stop := run(t, supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited, Children: []supervisor.Spec{
		{Name: "sub", Children: []supervisor.Spec{{Name: "a", Run: supervisor.Func(idle)}}},
	}}, supervisor.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_ = sup.Stop(ctx, "app/sub/a")
				_ = sup.Start(ctx, "app/sub/a")
				path, err := sup.Add(ctx, "app/sub", supervisor.Spec{Name: fmt.Sprint("d", caller, "-", i), Run: supervisor.Func(idle)})
				if err == nil {
					_ = sup.Remove(ctx, path)
				}
			}
		})
	}
	for range scale(2000, 20) {
		if err := sup.Restart(ctx, "app/sub"); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	callers.Wait()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestManualStartThatFailsIsNotRetried(t *testing.T) { // S30
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		_ = w.Stop(t.Context(), "app/b")
		w.b.AlwaysStarts(suptest.Attempt{Err: errCrash})
		if err := w.Start(t.Context(), "app/b"); !errors.Is(err, errCrash) {
			t.Errorf("Start returned %v, want the worker's error", err)
		}
		w.Sleep(time.Hour)
		w.RequireState("app/b", supervisor.Stopped)
		if _, err := w.Add(t.Context(), "app", w.b.Spec("d")); !errors.Is(err, errCrash) {
			t.Errorf("Add returned %v, want the worker's error", err)
		}
		if _, err := w.Find("app/d"); !errors.Is(err, supervisor.ErrNotFound) {
			t.Errorf("an Add that failed left something: %v", err)
		}
		w.b.AlwaysStarts(suptest.Attempt{Err: supervisor.ErrIgnore})
		if err := w.Start(t.Context(), "app/b"); !errors.Is(err, supervisor.ErrIgnore) {
			t.Errorf("Start of one that ignores returned %v", err)
		}
	})
}

func TestCallsAreRefusedClearly(t *testing.T) { // S30, S42
	synctest.Test(t, func(t *testing.T) {
		sup, err := supervisor.New(supervisor.Spec{Name: "app", Children: []supervisor.Spec{suptest.NewWorker().Spec("a")}}, supervisor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if err := sup.Start(ctx, "app/a"); !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("before Run: %v", err)
		}
		w := startTrio(t, supervisor.OneForOne, nil)
		for path, want := range map[string]error{"app": supervisor.ErrRoot, "other": supervisor.ErrNotFound, "app/a/x": supervisor.ErrNotSupervisor, "": supervisor.ErrNotFound} {
			if err := w.Restart(ctx, path); !errors.Is(err, want) {
				t.Errorf("Restart(%q): %v, want %v", path, err, want)
			}
		}
		if _, err := w.Add(ctx, "app", supervisor.Spec{Name: "x/y"}); !errors.Is(err, supervisor.ErrInvalid) || !strings.Contains(err.Error(), "app/x/y") {
			t.Errorf("Add of an invalid Spec: %v", err)
		}
		_ = w.Shutdown()
		if err := w.Start(ctx, "app/a"); !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("after Run: %v", err)
		}
	})
}

func TestCallIsBoundedByItsContextButStands(t *testing.T) { // S30
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.b.StopsAfter(5*time.Second, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Stop(ctx, "app/b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop returned %v", err)
		}
		w.Sleep(5 * time.Second)
		w.RequireState("app/b", supervisor.Stopped)
	})
}

func TestRestartTakesItsGroupAlongAndIsNotCounted(t *testing.T) { // S42
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.RestForOne, nil)
		start := time.Now()
		for range 10 {
			if err := w.Restart(t.Context(), "app/b"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if a, b, c := w.a.Started(), w.b.Started(), w.c.Started(); a != 1 || b != 11 || c != 11 {
			t.Errorf("starts are %d, %d, %d, want 1, 11, 11", a, b, c)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("ten restarts waited %v", d)
		}
		if got := mustFind(t, w.Tree, "app").Restarts; got != 0 {
			t.Errorf("%d restarts counted", got)
		}
	})
}

func TestRestartSkipsTheBackoff(t *testing.T) { // S42
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.RestForOne, nil)
		w.b.Fail(errCrash)
		start := time.Now()
		if err := w.Restart(t.Context(), "app/b"); err != nil || time.Since(start) != 0 {
			t.Errorf("Restart returned %v after %v", err, time.Since(start))
		}
		w.RequireState("app/c", supervisor.Ready)
	})
}

func TestRestartOfOneThatIsStoppedForItsStartTimeout(t *testing.T) { // S42
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) { app.Children[1].StartTimeout = time.Second })
		w.b.Starts(suptest.Attempt{Hang: true}).StopsAfter(5*time.Second, nil)
		w.b.Fail(errCrash)
		w.Sleep(2 * time.Second) // it is being stopped
		start := time.Now()
		if err := w.Restart(t.Context(), "app/b"); err != nil || time.Since(start) > 5*time.Second {
			t.Errorf("Restart returned %v after %v", err, time.Since(start))
		}
	})
}

func TestRestartForgetsEarlierFailures(t *testing.T) { // S42
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		for range 4 {
			w.b.Fail(errCrash)
			w.Sleep(time.Second)
		}
		if err := w.Restart(t.Context(), "app/b"); err != nil {
			t.Fatal(err)
		}
		w.b.Fail(errCrash)
		if got := mustFind(t, w.Tree, "app/b").Attempt; got != 1 {
			t.Errorf("the next failure is attempt %d, want 1", got)
		}
	})
}

// TestTemporaryThatWaitsInAGroupIsDroppedWithIt: it ran once, and only the
// order to restart it would have run it again.
func TestTemporaryThatWaitsInAGroupIsDroppedWithIt(t *testing.T) { // S13, S42
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForAll, func(app *supervisor.Spec) { app.Children[2].Restart = supervisor.Temporary })
		w.b.Starts(suptest.Attempt{Err: errCrash})
		if err := w.Restart(t.Context(), "app/c"); !errors.Is(err, supervisor.ErrRemoved) {
			t.Errorf("Restart returned %v, want ErrRemoved", err)
		}
		w.Sleep(time.Minute)
		if _, err := w.Find("app/c"); !errors.Is(err, supervisor.ErrNotFound) || w.c.Started() != 1 {
			t.Errorf("it was started %d times, and then: %v", w.c.Started(), err)
		}
		w.RequireState("app/b", supervisor.Ready)
	})
}

// TestWorkerMayCallAboutItself: the request stands, and is done; the call
// returns when its own context ends.
func TestWorkerMayCallAboutItself(t *testing.T) { // S43
	for name, c := range map[string]struct {
		call   func(*supervisor.Supervisor, context.Context) error
		cause  error
		states map[string]supervisor.State // at last, of what is still there
		starts int
	}{
		"stop": {func(s *supervisor.Supervisor, ctx context.Context) error { return s.Stop(ctx, "app/sub/self") }, supervisor.ErrStopped,
			map[string]supervisor.State{"app/sub": supervisor.Ready, "app/sub/self": supervisor.Stopped}, 1},
		"restart": {func(s *supervisor.Supervisor, ctx context.Context) error { return s.Restart(ctx, "app/sub/self") }, supervisor.ErrRestart,
			map[string]supervisor.State{"app/sub": supervisor.Ready, "app/sub/self": supervisor.Ready}, 2},
		"remove": {func(s *supervisor.Supervisor, ctx context.Context) error { return s.Remove(ctx, "app/sub/self") }, supervisor.ErrRemoved,
			map[string]supervisor.State{"app/sub": supervisor.Ready}, 1},
		"remove parent": {func(s *supervisor.Supervisor, ctx context.Context) error { return s.Remove(ctx, "app/sub") }, supervisor.ErrRemoved,
			map[string]supervisor.State{}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := suptest.NewWorker()
			tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
				{Name: "sub", Children: []supervisor.Spec{w.Spec("self")}},
			}}, supervisor.Options{})
			var got error
			ctx := w.Context()
			w.Do(func() error { got = c.call(tree.Supervisor, ctx); return nil })
			tree.Sleep(time.Minute)
			if got == nil || context.Cause(ctx) == nil {
				t.Errorf("%s: the call returned %v, its context's cause is %v", name, got, context.Cause(ctx))
			}
			if causes := w.Causes(); len(causes) != 1 || !errors.Is(causes[0], c.cause) {
				t.Errorf("%s: the worker was stopped because of %v, want %v", name, causes, c.cause)
			}
			states := map[string]supervisor.State{}
			for snap := range tree.All("") {
				states[snap.Path] = snap.State
			}
			delete(states, "app")
			if !maps.Equal(states, c.states) || w.Started() != c.starts {
				t.Errorf("%s: then there are %v, started %d times; want %v and %d", name, states, w.Started(), c.states, c.starts)
			}
		})
	}
}

func TestAddNumbersNamelessChildren(t *testing.T) { // S44
	synctest.Test(t, func(t *testing.T) {
		tree := suptest.Start(t, supervisor.Spec{Name: "pool", Children: []supervisor.Spec{suptest.NewWorker().Spec("2")}}, supervisor.Options{})
		for _, want := range []string{"pool/1", "pool/3"} {
			if got, err := tree.Add(t.Context(), "pool", supervisor.Spec{Run: suptest.NewWorker().Run}); got != want || err != nil {
				t.Errorf("Add returned %q, %v, want %q", got, err, want)
			}
		}
	})
}

// TestRemovedPathsKeepNoMemory adds and removes 100,000 children.
func TestRemovedPathsKeepNoMemory(t *testing.T) { // S44
	n := scale(100_000, 200)
	sup, stop := run(t, supervisor.Spec{Name: "pool", Children: []supervisor.Spec{}}, supervisor.Options{})
	defer stop()
	idle := supervisor.Spec{Run: supervisor.Func(func(ctx context.Context) error { <-ctx.Done(); return nil })}
	churn := func(n int) {
		for range n {
			path, err := sup.Add(t.Context(), "pool", idle)
			if err == nil {
				err = sup.Remove(t.Context(), path)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	churn(scale(1000, 200))
	heap, goroutines := usage()
	churn(n)
	heap2, goroutines2 := usage()
	if grown := int64(heap2) - int64(heap); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes over %d children", grown, n)
	}
	if goroutines2 > goroutines+5 {
		t.Errorf("%d goroutines, %d before", goroutines2, goroutines)
	}
}

// run runs spec outside a bubble until stop is called.
func run(t testing.TB, spec supervisor.Spec, opts supervisor.Options) (sup *supervisor.Supervisor, stop func() error) {
	t.Helper()
	sup, err := supervisor.New(spec, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sup.Run(ctx) }()
	if err := sup.WaitReady(ctx, ""); err != nil {
		t.Fatal(err)
	}
	return sup, sync.OnceValue(func() error { cancel(); return <-ended })
}

func usage() (heap uint64, goroutines int) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}

// TestCallsFromManyGoroutines: a hundred callers at once, while children crash.
// Every call is answered, and the tree is whole afterwards.
func TestCallsFromManyGoroutines(t *testing.T) { // S30
	for _, strategy := range []supervisor.Strategy{supervisor.OneForOne, supervisor.OneForAll, supervisor.RestForOne} {
		spec := supervisor.Spec{Name: "app", Strategy: strategy, Intensity: supervisor.Unlimited}
		for i := range 5 {
			spec.Children = append(spec.Children, crashing(t, fmt.Sprint("s", i), 20))
		}
		sup, stop := run(t, spec, supervisor.Options{})
		var callers sync.WaitGroup
		for caller := range 100 {
			callers.Go(func() { callAtRandom(t, sup, uint64(caller)) })
		}
		callers.Wait()
		seen := map[string]bool{}
		for snap := range sup.All("") {
			if seen[snap.Path] {
				t.Errorf("%s is there twice", snap.Path)
			}
			seen[snap.Path] = true
			if strings.HasPrefix(snap.Name(), "s") && snap.State == supervisor.Stopped {
				if err := sup.Start(t.Context(), snap.Path); err != nil && !errors.Is(err, supervisor.ErrRunning) {
					t.Errorf("Start(%s): %v", snap.Path, err)
				}
			}
		}
		if err := sup.WaitReady(t.Context(), ""); err != nil {
			t.Errorf("%v: then it does not become ready: %v", strategy, err)
		}
		if err := stop(); err != nil {
			t.Errorf("%v: Run returned %v", strategy, err)
		}
	}
}

// crashing is a worker that crashes that many times, a while after it is ready,
// and must never run twice at once.
func crashing(t *testing.T, name string, times int64) supervisor.Spec {
	var crashed, live atomic.Int64
	return supervisor.Spec{Name: name, Backoff: supervisor.NoBackoff, Run: func(ctx context.Context, ready func()) error {
		if live.Add(1) != 1 {
			t.Errorf("%s runs twice at once", supervisor.PathFrom(ctx))
		}
		defer live.Add(-1)
		ready()
		if crashed.Add(1) > times {
			<-ctx.Done()
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(crashed.Load()%3) * time.Millisecond):
			return errCrash
		}
	}}
}

func callAtRandom(t *testing.T, sup *supervisor.Supervisor, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range scale(30, 3) {
		path := fmt.Sprint("app/s", random.IntN(5))
		dynamic := fmt.Sprint("d", seed, "-", i)
		var err error
		switch random.IntN(7) {
		case 0:
			err = sup.Stop(ctx, path)
		case 1:
			err = sup.Start(ctx, path)
		case 2:
			err = sup.Restart(ctx, path)
		case 3:
			_, err = sup.Add(ctx, "app", crashing(t, dynamic, 0))
		case 4:
			err = sup.Remove(ctx, "app/"+dynamic)
		case 5:
			err = sup.Delete(ctx, path+"x")
		case 6:
			_, err = sup.Children(ctx, "app")
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call %d of %d was not answered: %v\n%v", i, seed, err, sup.Snapshot())
			return
		}
	}
}

// TestALateAnswerIsNobodyElses: who stops waiting for one leaves nothing behind
// that another could take for its own.
func TestALateAnswerIsNobodyElses(t *testing.T) { // S30
	synctest.Test(t, func(t *testing.T) {
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{}}, supervisor.Options{})
		takes := func(d time.Duration, err error) supervisor.Spec {
			return supervisor.Spec{Run: func(ctx context.Context, ready func()) error {
				time.Sleep(d)
				if err != nil {
					return err
				}
				ready()
				<-ctx.Done()
				return nil
			}}
		}
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := tree.Add(ctx, "app", takes(time.Second, errors.New("fails"))); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the first Add returned %v, want that its context ended", err)
			}
			cancel()
			began := time.Now()
			if _, err := tree.Add(t.Context(), "app", takes(2*time.Second, nil)); err != nil || time.Since(began) != 2*time.Second {
				t.Errorf("the second Add returned %v after %v, want nil after 2s", err, time.Since(began))
			}
		}
	})
}

// TestSparedGoroutinesAreFewAndUsedAgain: those of children that were removed
// wait for others that are added, up to 32 of them.
func TestSparedGoroutinesAreFewAndUsedAgain(t *testing.T) { // S30
	synctest.Test(t, func(t *testing.T) {
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{}}, supervisor.Options{})
		before, ctx := inBubble(), t.Context()
		change := func(n int, f func(name string) error) {
			for i := range n {
				if err := f(fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			tree.Settle()
		}
		add := func(name string) error {
			_, err := tree.Add(ctx, "app", suptest.NewWorker().Spec(name))
			return err
		}
		remove := func(name string) error { return tree.Remove(ctx, "app/"+name) }
		change(1000, add)
		if n := slots(); n < 1000 {
			t.Errorf("%d goroutines run a thousand children", n)
		}
		change(1000, remove)
		if n := slots(); n != 32 {
			t.Errorf("%d goroutines wait for children, want 32", n)
		}
		if n := inBubble() - before - slots(); n > 2 {
			t.Errorf("%d goroutines look after those 32", n)
		}
		change(20, add)
		if n := slots(); n != 32 {
			t.Errorf("twenty of 32 are used: %d goroutines, want as many as before", n)
		}
		change(20, remove)
	})
}

// slots counts the goroutines that run children, or wait for some, in all bubbles.
func slots() int {
	buf := make([]byte, 4<<20)
	return bytes.Count(buf[:runtime.Stack(buf, true)], []byte("supervisor.(*slot).Serve("))
}

// TestAGoroutineThatEndedIsNotUsedAgain: a worker took it along.
func TestAGoroutineThatEndedIsNotUsedAgain(t *testing.T) { // S30
	synctest.Test(t, func(t *testing.T) {
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{}}, supervisor.Options{})
		gone, next := suptest.NewWorker(), suptest.NewWorker()
		spec := gone.Spec("gone")
		spec.Restart = supervisor.Temporary
		if _, err := tree.Add(t.Context(), "app", spec); err != nil {
			t.Fatal(err)
		}
		gone.Do(func() error { runtime.Goexit(); return nil })
		if _, err := tree.Add(t.Context(), "app", next.Spec("next")); err != nil {
			t.Fatal(err)
		}
		tree.RequireState("app/next", supervisor.Ready)
	})
}
