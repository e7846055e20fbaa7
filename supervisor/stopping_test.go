package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

func TestStopsInReverseOneAtATime(t *testing.T) { // S23
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		for _, worker := range []*suptest.Worker{w.a, w.b, w.c} {
			worker.StopsAfter(3*time.Second, nil)
		}
		w.Forget()
		start := time.Now()
		if err := w.Shutdown(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 9*time.Second {
			t.Errorf("it took %v, want 3s for each", d)
		}
		want := []string{"app/c", "app/b", "app/a"}
		var got []string
		for _, e := range w.Events() {
			if e.Kind == supervisor.EventStopped && !e.Supervisor {
				got = append(got, e.Path)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("stopped %v, want %v", got, want)
		}
	})
}

func TestConcurrentStartsAndStopsAtOnce(t *testing.T) { // S23
	synctest.Test(t, func(t *testing.T) {
		spec := supervisor.Spec{Name: "pool", Concurrent: true}
		for i := range 5 {
			w := suptest.NewWorker().AlwaysStarts(suptest.Attempt{After: 2 * time.Second}).StopsAfter(3*time.Second, nil)
			spec.Children = append(spec.Children, w.Spec(fmt.Sprint(i)))
		}
		tree := suptest.Start(t, spec, supervisor.Options{})
		tree.Sleep(2 * time.Second)
		tree.RequireState("pool", supervisor.Ready)
		start := time.Now()
		if err := tree.Shutdown(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("five stops at once took %v, want 3s", d)
		}
	})
}

// TestCauses: why each worker's context ended.
func TestCauses(t *testing.T) { // S24
	for name, c := range map[string]struct {
		do   func(w trio)
		want error
	}{
		"shutdown":  {func(w trio) { w.Cancel() }, supervisor.ErrShutdown},
		"sibling":   {func(w trio) { w.a.Fail(errCrash) }, supervisor.ErrSibling},
		"restart":   {func(w trio) { _ = w.Restart(context.Background(), "app/c") }, supervisor.ErrRestart},
		"removed":   {func(w trio) { _ = w.Remove(context.Background(), "app/c") }, supervisor.ErrRemoved},
		"stopped":   {func(w trio) { _ = w.Stop(context.Background(), "app/c") }, supervisor.ErrStopped},
		"by itself": {func(w trio) { w.c.Fail(errCrash) }, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.RestForOne, nil)
			ctx := w.c.Context()
			c.do(w)
			w.Sleep(time.Second)
			if got := w.c.Causes(); len(got) == 0 || !errors.Is(got[0], c.want) {
				t.Errorf("%s: the cause is %v, want %v", name, got, c.want)
			}
			if ctx.Err() == nil {
				t.Errorf("%s: the context outlives its incarnation", name)
			}
		})
	}
}

func TestWorkersBelowAreToldTheSupervisorsCause(t *testing.T) { // S24
	synctest.Test(t, func(t *testing.T) {
		first, deep := suptest.NewWorker(), suptest.NewWorker()
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
			first.Spec("first"), {Name: "sub", Children: []supervisor.Spec{deep.Spec("deep")}},
		}}, supervisor.Options{})
		first.Fail(errCrash)
		tree.Sleep(time.Second)
		if got := deep.Causes(); len(got) != 1 || !errors.Is(got[0], supervisor.ErrSibling) {
			t.Errorf("the causes are %v, want ErrSibling", got)
		}
	})
}

func TestExitDuringAStopIsRecorded(t *testing.T) { // S25
	synctest.Test(t, func(t *testing.T) {
		errFlush := errors.New("flush: disk full")
		w := startTrio(t, supervisor.RestForOne, nil)
		w.b.StopsAfter(time.Second, errFlush)
		w.c.StopsAfter(time.Second, context.Canceled) // says nothing
		w.a.Fail(errCrash)
		w.Sleep(10 * time.Second)
		if got := mustFind(t, w.Tree, "app/b").LastErr; got != errFlush {
			t.Errorf("the last error is %v, want %v", got, errFlush)
		}
		if got := mustFind(t, w.Tree, "app/c").LastErr; got != nil {
			t.Errorf("a clean stop left the error %v", got)
		}
		if trace := w.Trace(); !strings.Contains(trace, "app/b#1 stopped: flush: disk full") {
			t.Errorf("the trace is\n%s", trace)
		}
		if got := mustFind(t, w.Tree, "app").Restarts; got != 1 {
			t.Errorf("%d restarts counted, want 1: it disturbs nothing", got)
		}
	})
}

func TestDrainDelayComesBeforeTheFirstStop(t *testing.T) { // S26
	synctest.Test(t, func(t *testing.T) {
		a := suptest.NewWorker()
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{a.Spec("a")}}, supervisor.Options{DrainDelay: 5 * time.Second})
		if tree.Draining() {
			t.Error("draining before its time")
		}
		tree.Cancel()
		if !tree.Draining() || tree.Alive() != nil {
			t.Errorf("at once: draining is %v, alive says %v", tree.Draining(), tree.Alive())
		}
		tree.Sleep(5*time.Second - time.Nanosecond)
		tree.RequireState("app/a", supervisor.Ready)
		tree.Sleep(time.Nanosecond)
		if !tree.Ended() {
			t.Error("it did not stop after the delay")
		}
	})
}

func TestChildrenHealWhileDraining(t *testing.T) { // S26
	synctest.Test(t, func(t *testing.T) {
		a := suptest.NewWorker()
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{a.Spec("a")}}, supervisor.Options{DrainDelay: 5 * time.Second})
		tree.Cancel()
		a.Fail(errCrash)
		tree.Sleep(time.Second)
		tree.RequireState("app/a", supervisor.Ready)
	})
}

func TestGracePeriodCapsEveryStop(t *testing.T) { // S26
	synctest.Test(t, func(t *testing.T) {
		a, b, c := suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()
		b.StopsAfter(time.Minute, nil)
		c.StopsAfter(6*time.Second, nil)
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
			a.Spec("a"), {Name: "sub", Children: []supervisor.Spec{b.Spec("b")}}, c.Spec("c"),
		}}, supervisor.Options{GracePeriod: 10 * time.Second, DrainDelay: time.Second})
		start := time.Now()
		err := tree.Shutdown()
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("it took %v, want the grace period", d)
		}
		if !errors.Is(err, supervisor.ErrAbandoned) || !strings.HasSuffix(err.Error(), "still run: app/sub/b") {
			t.Errorf("Run returned %v, want it to name app/sub/b", err)
		}
		if got := a.Causes(); len(got) != 1 {
			t.Error("a, which comes last, was not stopped in the end")
		}
	})
}

func TestSupervisorsStopTimeoutCapsWhatIsBelow(t *testing.T) { // S23
	synctest.Test(t, func(t *testing.T) {
		b := suptest.NewWorker().StopsAfter(time.Minute, nil)
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
			{Name: "sub", StopTimeout: 2 * time.Second, Children: []supervisor.Spec{b.Spec("b")}},
		}}, supervisor.Options{})
		start := time.Now()
		_ = tree.Shutdown()
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("it took %v, want 2s", d)
		}
	})
}

// TestDeadlineCutsStopsThatAreUnderWay: one that comes later than the stop.
func TestDeadlineCutsStopsThatAreUnderWay(t *testing.T) { // S26
	for _, path := range []string{"app/w", "app/sub", "app/sub/w"} {
		synctest.Test(t, func(t *testing.T) {
			slow := func() supervisor.Spec {
				spec := suptest.NewWorker().StopsAfter(time.Hour, nil).Spec("w")
				spec.StopTimeout = 10 * time.Minute
				return spec
			}
			tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
				slow(), {Name: "sub", Children: []supervisor.Spec{slow()}},
			}}, supervisor.Options{GracePeriod: 10 * time.Second})
			go func() { _ = tree.Stop(context.Background(), path) }()
			tree.Sleep(time.Second)
			start := time.Now()
			_ = tree.Shutdown()
			if d := time.Since(start); d > 10*time.Second+100*time.Millisecond {
				t.Errorf("with a stop of %s under way, the shutdown took %v, want the grace period of 10s", path, d)
			}
		})
	}
}

// TestLaterDeadlineGivesNoMoreTime than an earlier one has left.
func TestLaterDeadlineGivesNoMoreTime(t *testing.T) { // S23, S26
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker().StopsAfter(time.Hour, nil)
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
			{Name: "sub", StopTimeout: 2 * time.Second, Children: []supervisor.Spec{w.Spec("w")}},
		}}, supervisor.Options{GracePeriod: 30 * time.Second})
		start := time.Now()
		go func() { _ = tree.Stop(context.Background(), "app/sub") }()
		synctest.Wait()
		_ = tree.Shutdown()
		if d := time.Since(start); d > 2100*time.Millisecond {
			t.Errorf("it took %v, want the supervisor's 2s", d)
		}
	})
}

func TestStopBudgetDoesNotOverflow(t *testing.T) { // S26
	long := supervisor.Spec{Name: "w", Run: suptest.NewWorker().Run, StopTimeout: math.MaxInt64}
	spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{long, long}}
	if budget, _ := spec.StopBudget(); budget != math.MaxInt64 {
		t.Errorf("the budget is %v", budget)
	}
}

func TestStopBudgetNamesTheWorstPath(t *testing.T) { // S26
	w := suptest.NewWorker()
	worker := func(name string, stop time.Duration) supervisor.Spec {
		return supervisor.Spec{Name: name, Run: w.Run, StopTimeout: stop}
	}
	spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{
		worker("a", 0),
		{Name: "pool", Concurrent: true, Children: []supervisor.Spec{worker("1", 20*time.Second), worker("2", 25*time.Second)}},
		{Name: "capped", StopTimeout: time.Second, Children: []supervisor.Spec{worker("x", time.Hour)}},
	}}
	budget, worst := spec.StopBudget()
	if budget != 36*time.Second || worst != "app/pool/2" {
		t.Errorf("StopBudget is %v by %s, want 36s by app/pool/2", budget, worst)
	}
}

func TestAbandonedIsReplacedThenFenced(t *testing.T) { // S27
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.a.StopsAfter(time.Hour, nil)
		for want := 1; want <= 2; want++ {
			go func() { _ = w.Restart(t.Context(), "app/a") }()
			w.Sleep(10 * time.Second)
			if got := mustFind(t, w.Tree, "app/a").Abandoned; got != want {
				t.Fatalf("%d abandoned, want %d", got, want)
			}
		}
		w.RequireState("app/a", supervisor.Fenced) // the second time: it would hang again
		w.RequireStatus("app", supervisor.Down)
		if got, want := w.Why("app"), "app/a fenced, 2 abandoned incarnations still run"; got != want {
			t.Errorf("Why says %q, want %q", got, want)
		}
		w.Sleep(time.Hour)
		w.RequireState("app/a", supervisor.Ready)
		if got := mustFind(t, w.Tree, "app/a").Abandoned; got != 0 {
			t.Errorf("%d abandoned after all ended", got)
		}
	})
}

func TestFenceOutlivesTheSupervisorAndTheChild(t *testing.T) { // S27
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker().StopsAfter(time.Hour, nil)
		spec := db.Spec("db")
		spec.Exclusive = true
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
			{Name: "sub", Children: []supervisor.Spec{spec}},
		}}, supervisor.Options{})
		go func() { _ = tree.Restart(t.Context(), "app/sub") }() // it waits for db
		tree.Sleep(10 * time.Second)
		tree.RequireState("app/sub/db", supervisor.Fenced)
		if err := tree.Remove(t.Context(), "app/sub/db"); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = tree.Add(t.Context(), "app/sub", spec) }()
		tree.Sleep(time.Second)
		tree.RequireState("app/sub/db", supervisor.Fenced)
		if got := db.Started(); got != 1 {
			t.Fatalf("started %d times while the first still ran", got)
		}
		tree.Sleep(time.Hour)
		tree.RequireState("app/sub/db", supervisor.Ready)
	})
}

// TestEndAtTheVeryStopTimeout: the incarnation's end and the decision to
// abandon it come at one instant, in either order.
func TestEndAtTheVeryStopTimeout(t *testing.T) { // S27
	for range scale(300, 5) {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.OneForOne, nil)
			for _, worker := range []*suptest.Worker{w.a, w.b, w.c} {
				worker.StopsAfter(supervisor.DefaultStopTimeout, nil)
			}
			for _, path := range []string{"app/a", "app/b", "app/c"} {
				if err := w.Restart(t.Context(), path); err != nil {
					t.Fatal(err)
				}
			}
			w.Sleep(time.Second)
			for snap := range w.All("") {
				if snap.State != supervisor.Ready || snap.Abandoned != 0 {
					t.Fatalf("afterwards\n%v", w.Snapshot())
				}
			}
			if err := w.Shutdown(); err != nil && !errors.Is(err, supervisor.ErrAbandoned) {
				t.Fatal(err)
			}
		})
	}
}

// TestFenceOpensWhenTheLastHasEnded, not before.
func TestFenceOpensWhenTheLastHasEnded(t *testing.T) { // S27
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		for i := range 2 {
			w.a.StopsAfter(time.Duration(1+i)*time.Hour, nil)
			go func() { _ = w.Restart(t.Context(), "app/a") }()
			w.Sleep(10 * time.Second)
		}
		_ = w.Remove(t.Context(), "app/a")
		spec := suptest.NewWorker().Spec("a")
		spec.Exclusive = true
		go func() { _, _ = w.Add(t.Context(), "app", spec) }()
		w.Sleep(time.Hour)
		if got := mustFind(t, w.Tree, "app/a"); got.State != supervisor.Fenced || got.Abandoned != 1 {
			t.Errorf("with one of two ended it is %v, %d abandoned", got.State, got.Abandoned)
		}
		w.Sleep(time.Hour)
		w.RequireState("app/a", supervisor.Ready)
	})
}

func TestFencedOptionalChildHoldsNobodyUp(t *testing.T) { // S2, S27
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.RestForOne, func(app *supervisor.Spec) {
			app.Children[1].Exclusive, app.Children[1].Optional = true, true
		})
		w.b.StopsAfter(time.Hour, nil)
		w.a.Fail(errCrash)
		w.Sleep(20 * time.Second)
		w.RequireState("app/b", supervisor.Fenced)
		w.RequireState("app/c", supervisor.Ready)
		w.RequireStatus("app", supervisor.Degraded)
	})
}

func TestTooManyAbandonedDoNotMatterWhileDraining(t *testing.T) { // S27
	synctest.Test(t, func(t *testing.T) {
		var w trio
		w.a, w.b, w.c = suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()
		spec := supervisor.Spec{Name: "app"}
		for i, worker := range []*suptest.Worker{w.a, w.b, w.c} {
			spec.Children = append(spec.Children, worker.StopsAfter(time.Hour, nil).Spec(fmt.Sprint(i)))
		}
		w.Tree = suptest.Start(t, spec, supervisor.Options{MaxAbandoned: 1})
		w.Cancel()
		w.Sleep(25 * time.Second) // two are abandoned, the third is stopping
		if err := w.Alive(); err != nil {
			t.Errorf("Alive says %v", err)
		}
	})
}

// TestTooManyAbandonedGiveTheTreeUp: it bears MaxAbandoned of them, by default
// 16, and not one more.
func TestTooManyAbandonedGiveTheTreeUp(t *testing.T) { // S27
	for limit, bears := range map[int]int{1: 1, 0: 16} {
		synctest.Test(t, func(t *testing.T) {
			tree, hanging := startHanging(t, bears+2, limit)
			tree.abandon(t, 0, bears)
			if err := tree.Alive(); err != nil {
				t.Fatalf("MaxAbandoned %d: with %d abandoned Alive says %v", limit, bears, err)
			}
			tree.abandon(t, bears, bears+1)
			if err := tree.Alive(); !errors.Is(err, supervisor.ErrTooManyAbandoned) {
				t.Fatalf("MaxAbandoned %d: with %d abandoned Alive says %v", limit, bears+1, err)
			}
			err := tree.Wait()
			if !errors.Is(err, supervisor.ErrTooManyAbandoned) || !errors.Is(err, supervisor.ErrAbandoned) {
				t.Errorf("Run returned %v", err)
			}
			if len(hanging[bears+1].Causes()) != 0 {
				t.Error("the last, which hangs as well, ended already")
			}
		})
	}
}

func TestWithoutALimitAnyNumberOfAbandonedIsBorne(t *testing.T) { // S27
	synctest.Test(t, func(t *testing.T) {
		tree, _ := startHanging(t, 20, -1)
		tree.abandon(t, 0, 20)
		if err := tree.Alive(); err != nil || tree.Ended() {
			t.Errorf("with twenty abandoned Alive says %v", err)
		}
	})
}

// A hangingTree has workers 0, 1, … that take an hour to stop.
type hangingTree struct{ *suptest.Tree }

func startHanging(t *testing.T, n, maxAbandoned int) (tree hangingTree, workers []*suptest.Worker) {
	t.Helper()
	spec := supervisor.Spec{Name: "app", Concurrent: true}
	for i := range n {
		w := suptest.NewWorker().StopsAfter(time.Hour, nil)
		workers = append(workers, w)
		spec.Children = append(spec.Children, w.Spec(fmt.Sprint(i)))
	}
	return hangingTree{suptest.Start(t, spec, supervisor.Options{MaxAbandoned: maxAbandoned})}, workers
}

// abandon stops those from the one number to before the other, at once.
func (tree hangingTree) abandon(t *testing.T, from, to int) {
	for i := from; i < to; i++ {
		go func() { _ = tree.Stop(t.Context(), fmt.Sprint("app/", i)) }()
	}
	tree.Sleep(supervisor.DefaultStopTimeout)
}

// TestAbandonedIsListedUntilItEnds, even when its child was removed.
func TestAbandonedIsListedUntilItEnds(t *testing.T) { // S27
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.a.StopsAfter(time.Hour, nil)
		if err := w.Remove(t.Context(), "app/a"); !errors.Is(err, supervisor.ErrAbandoned) {
			t.Errorf("Remove returned %v", err)
		}
		listed := func() int {
			snap, _ := w.Snapshot().Find("app/a")
			for lazy := range w.All("") {
				if lazy.Path == "app/a" && lazy.Abandoned != snap.Abandoned {
					t.Errorf("All lists %d, Snapshot %d", lazy.Abandoned, snap.Abandoned)
				}
			}
			return snap.Abandoned
		}
		if got := listed(); got != 1 {
			t.Errorf("%d are listed, want 1", got)
		}
		if snap, err := w.Find("app/a"); err != nil || snap.Status != supervisor.Up {
			t.Errorf("Find returns %v (%v), want it as in the snapshot, taking nobody down", snap.Status, err)
		}
		w.Sleep(time.Hour)
		if got := listed(); got != 0 {
			t.Errorf("%d are listed after it ended", got)
		}
	})
}

func TestAbandonedBelowARemovedSupervisorIsListed(t *testing.T) { // S27
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker().StopsAfter(time.Hour, nil)
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
			{Name: "sub", Children: []supervisor.Spec{w.Spec("w")}},
		}}, supervisor.Options{})
		if err := tree.Remove(t.Context(), "app/sub"); err != nil {
			t.Fatal(err)
		}
		if snap, ok := tree.Snapshot().Find("app/sub/w"); !ok || snap.Abandoned != 1 {
			t.Errorf("the snapshot is\n%v", tree.Snapshot())
		}
	})
}

func TestAbandonedDuringShutdownAreLeft(t *testing.T) { // S27, S28
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.a.StopsAfter(time.Minute, nil)
		err := w.Shutdown()
		if want := "supervisor: abandoned incarnations still run: app/a"; err == nil || err.Error() != want {
			t.Errorf("Run returned %v, want %s", err, want)
		}
	})
}

// TestStackOfTheAbandoned runs outside a bubble: it looks at real goroutines.
func TestStackOfTheAbandoned(t *testing.T) { // S27
	stacks := make(chan string, 1)
	release := make(chan struct{})
	spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "stuck", StopTimeout: time.Millisecond,
		Run: func(ctx context.Context, ready func()) error {
			ready()
			hangHere(release)
			return nil
		}}}}
	sup, err := supervisor.New(spec, supervisor.Options{Observer: func(e supervisor.Event) {
		if e.Kind == supervisor.EventAbandoned {
			stacks <- e.Stack
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sup.Run(ctx) }()
	if err := sup.WaitReady(t.Context(), "app/stuck"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if stack := <-stacks; !strings.Contains(stack, "supervisor_test.hangHere") {
		t.Errorf("the stack is %q", stack)
	}
	if err := <-ended; !errors.Is(err, supervisor.ErrAbandoned) {
		t.Errorf("Run returned %v", err)
	}
	close(release)
}

//go:noinline
func hangHere(release chan struct{}) { <-release }

// TestAbandonedLeaveNoGoroutineBehind, once they have ended, however many
// siblings they had.
func TestAbandonedLeaveNoGoroutineBehind(t *testing.T) { // S27, S28
	synctest.Test(t, func(t *testing.T) {
		worker := suptest.NewWorker()
		spec := supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited}
		for i := range 40 {
			spec.Children = append(spec.Children, worker.Spec(fmt.Sprint(i)))
		}
		tree := suptest.Start(t, spec, supervisor.Options{})
		before := runtime.NumGoroutine()
		for i := range 10 {
			worker.StopsAfter(time.Minute, nil)
			go func() { _ = tree.Restart(t.Context(), fmt.Sprint("app/", i)) }()
			tree.Sleep(time.Hour)
		}
		if after := runtime.NumGoroutine(); after > before+2 {
			t.Errorf("%d goroutines, %d before", after, before)
		}
		worker.StopsAfter(0, nil)
	})
}

func TestNothingLeaks(t *testing.T) { // S28
	before := runtime.NumGoroutine()
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			w := startTrio(t, supervisor.OneForAll, nil)
			w.a.Do(func() error { runtime.Goexit(); return nil })
			w.Sleep(time.Second)
			w.b.Panic("boom")
			_ = w.Shutdown() // in the middle of a group restart
		}
	}) // a bubble that leaks a goroutine fails by itself
	for late := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(late) { // one that has returned is counted a moment longer
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// TestStopIsHonouredInEveryState: a stop request ends the node whatever it is
// doing, and it stays down.
func TestStopIsHonouredInEveryState(t *testing.T) { // S29
	for _, c := range []struct {
		state supervisor.State
		bring func(w trio) // b into it
	}{
		{supervisor.Ready, func(w trio) {}},
		{supervisor.Starting, func(w trio) { w.b.Starts(suptest.Attempt{Hang: true}); w.b.Fail(errCrash); w.Sleep(time.Second) }},
		{supervisor.BackingOff, func(w trio) { w.b.Fail(errCrash) }},
		{supervisor.Stopping, func(w trio) { w.b.StopsAfter(time.Second, nil); w.a.Fail(errCrash) }},
		{supervisor.Pending, func(w trio) { w.a.Starts(suptest.Attempt{Hang: true}); w.a.Fail(errCrash); w.Sleep(time.Second) }},
		{supervisor.Fenced, func(w trio) {
			w.b.StopsAfter(time.Hour, nil)
			w.a.Fail(errCrash)
			w.Sleep(20 * time.Second)
		}},
		{supervisor.Stopped, func(w trio) { _ = w.Stop(context.Background(), "app/b") }},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.RestForOne, func(app *supervisor.Spec) { app.Children[1].Exclusive = true })
			c.bring(w)
			w.RequireState("app/b", c.state)
			if err := w.Stop(t.Context(), "app/b"); err != nil {
				t.Errorf("Stop while %v returned %v", c.state, err)
			}
			w.RequireState("app/b", supervisor.Stopped)
			w.Sleep(10 * time.Minute)
			w.RequireState("app/b", supervisor.Stopped)
			w.RequireState("app/c", supervisor.Ready) // who came after goes on
		})
	}
}

func TestRunOfAnEndedContextStartsNothing(t *testing.T) { // S29
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	work := func(context.Context) error { t.Error("the worker ran"); return nil }
	for range scale(1000, 30) {
		sup, err := supervisor.New(supervisor.Spec{Name: "app", Children: []supervisor.Spec{
			{Name: "sub", Children: []supervisor.Spec{{Name: "w", Run: supervisor.Func(work)}}}}}, supervisor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := sup.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// TestShutdownIsHonouredInEveryState: so does the end of the tree.
func TestShutdownIsHonouredInEveryState(t *testing.T) { // S29
	for name, bring := range map[string]func(w trio){
		"starting":      func(w trio) { w.b.Starts(suptest.Attempt{Hang: true}); w.b.Fail(errCrash); w.Sleep(time.Second) },
		"backing off":   func(w trio) { w.b.Fail(errCrash) },
		"group restart": func(w trio) { w.c.StopsAfter(time.Second, nil); w.a.Fail(errCrash) },
		"stopping": func(w trio) {
			w.b.StopsAfter(time.Second, nil)
			go func() { _ = w.Stop(context.Background(), "app/b") }()
		},
		"stopped": func(w trio) { _ = w.Stop(context.Background(), "app/b") },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.RestForOne, nil)
			bring(w)
			start := time.Now()
			if err := w.Shutdown(); err != nil {
				t.Errorf("%s: Run returned %v", name, err)
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("%s: the shutdown took %v", name, d)
			}
		})
	}
}
