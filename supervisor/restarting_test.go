package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

func TestGroupRestartStartsEveryRestartableChild(t *testing.T) { // S13
	synctest.Test(t, func(t *testing.T) {
		first, done, ignored, temp, halted := suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()
		ignored.Starts(suptest.Attempt{Err: supervisor.ErrIgnore})
		spec := supervisor.Spec{Name: "app", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
			first.Spec("first"), done.Spec("done"), ignored.Spec("ignored"), temp.Spec("temporary"), halted.Spec("halted")}}
		spec.Children[1].Restart = supervisor.Transient
		spec.Children[3].Restart = supervisor.Temporary
		tree := suptest.Start(t, spec, supervisor.Options{})
		done.Return()
		if err := tree.Stop(t.Context(), "app/halted"); err != nil {
			t.Fatal(err)
		}
		first.Fail(errCrash)
		tree.Sleep(time.Second)
		tree.RequireState("app/first", supervisor.Ready)
		tree.RequireState("app/done", supervisor.Ready)     // though it had ended normally
		tree.RequireState("app/ignored", supervisor.Ready)  // though it had been ignored
		tree.RequireState("app/halted", supervisor.Stopped) // an operator's intent outlives a sibling's crash
		if _, err := tree.Find("app/temporary"); !errors.Is(err, supervisor.ErrNotFound) {
			t.Errorf("the temporary bystander: %v, want it dropped", err)
		}
		if !errors.Is(temp.Causes()[0], supervisor.ErrSibling) {
			t.Errorf("it was stopped because of %v", temp.Causes()[0])
		}
	})
}

func TestBackoffDoublesAndStartsOver(t *testing.T) { // S15
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) {
			app.Intensity = supervisor.Unlimited
			app.Children[0].Backoff = supervisor.Backoff{Min: time.Second, Max: 5 * time.Second, Jitter: supervisor.NoJitter}
		})
		delays := func() (ds []time.Duration) {
			for _, e := range w.Events() {
				if e.Kind == supervisor.EventBackingOff {
					ds = append(ds, e.Delay)
				}
			}
			return ds
		}
		for range 5 {
			w.a.Fail(errCrash)
			w.Sleep(5 * time.Second) // ready for less than Max
		}
		want := []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}
		if got := delays(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the delays are %v, want %v", got, want)
		}
		w.Sleep(5 * time.Second) // ready for Max
		w.a.Fail(errCrash)
		if got := delays()[5]; got != time.Second {
			t.Errorf("the delay after a good while is %v, want 1s", got)
		}
	})
}

func TestNoBackoffRestartsAtOnce(t *testing.T) { // S15
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) {
			app.Intensity, app.Children[0].Backoff = supervisor.Unlimited, supervisor.NoBackoff
		})
		start := time.Now()
		for range scale(1000, 100) {
			w.a.Fail(errCrash)
		}
		w.RequireState("app/a", supervisor.Ready)
		if d := time.Since(start); d != 0 {
			t.Errorf("its restarts took %v", d)
		}
	})
}

// TestIntensityTable prints how long a worker that crashes as soon as it is
// ready takes to end the root, by the depth of the tree, with all defaults.
func TestIntensityTable(t *testing.T) { // S18, S20
	for depth, want := range map[int][2]time.Duration{
		1: {2 * time.Second, 5 * time.Second},
		2: {15 * time.Second, 30 * time.Second},
		3: {100 * time.Second, 180 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			crash := supervisor.Func(func(context.Context) error { return errCrash })
			spec := supervisor.Spec{Name: "worker", Run: crash, Backoff: supervisor.Backoff{Jitter: supervisor.NoJitter}}
			for range depth {
				spec = supervisor.Spec{Name: "sup", Backoff: supervisor.Backoff{Jitter: supervisor.NoJitter}, Children: []supervisor.Spec{spec}}
			}
			start := time.Now()
			tree := suptest.Start(t, spec, supervisor.Options{})
			err := tree.Wait()
			took := time.Since(start)
			t.Logf("depth %d: the root gives up after %v", depth, took)
			if took < want[0] || took > want[1] {
				t.Errorf("depth %d took %v, want %v to %v", depth, took, want[0], want[1])
			}
			if got := strings.Count(err.Error(), "more than 5 restarts in 5m0s"); got != depth || !errors.Is(err, errCrash) {
				t.Errorf("depth %d: the chain is %v", depth, err)
			}
		})
	}
}

func TestIntensityCountsDecisionsWithinAnInclusiveWindow(t *testing.T) { // S18
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForAll, func(app *supervisor.Spec) {
			app.Intensity = supervisor.Intensity{Restarts: 2, Within: time.Minute}
		})
		w.a.Fail(errCrash) // three children restart: one decision
		w.Sleep(30 * time.Second)
		w.b.Fail(errCrash)
		w.Sleep(30*time.Second + time.Nanosecond) // the first is out of the window
		w.b.Fail(errCrash)
		w.Sleep(10 * time.Second)
		w.RequireState("app/a", supervisor.Ready)
		snap, _ := w.Find("app")
		if snap.Restarts != 2 || snap.BudgetLeft != 0 {
			t.Errorf("%d restarts, %d left, want 2 and 0", snap.Restarts, snap.BudgetLeft)
		}
		w.Sleep(20*time.Second - time.Nanosecond) // the second is at the very edge: it counts
		w.b.Fail(errCrash)
		if !w.Ended() {
			t.Error("the third within a minute did not end it")
		}
	})
}

func TestIntensityZeroAndUnlimited(t *testing.T) { // S18
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) { app.Intensity = supervisor.Intensity{Within: time.Minute} })
		w.a.Fail(errCrash)
		if !w.Ended() {
			t.Error("the first failure did not end a supervisor that allows none")
		}
		w = startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) { app.Intensity = supervisor.Unlimited })
		for range 100 {
			w.a.Fail(errCrash)
			w.Sleep(time.Minute)
		}
		w.RequireState("app/a", supervisor.Ready)
	})
}

// TestWhatCounts: which failures are spent from the budget.
func TestWhatCounts(t *testing.T) { // S19
	unavailable := fmt.Errorf("dial: %w", supervisor.ErrUnavailable)
	for name, c := range map[string]struct {
		end  func() error
		want int
	}{
		"error":                      {func() error { return errCrash }, 1},
		"unavailable":                {func() error { return unavailable }, 0},
		"panic":                      {func() error { panic("boom") }, 1},
		"panic wrapping unavailable": {func() error { panic(unavailable) }, 1},
		"nil of a permanent":         {func() error { return nil }, 1},
	} {
		for _, impairment := range []error{nil, errCrash} {
			synctest.Test(t, func(t *testing.T) {
				w := startTrio(t, supervisor.OneForOne, nil)
				w.a.Impaired(impairment)
				w.a.Do(c.end)
				snap, _ := w.Find("app")
				if snap.Restarts != c.want {
					t.Errorf("%s of one whose impairment is %v counts %d, want %d", name, impairment, snap.Restarts, c.want)
				}
			})
		}
	}
}

// TestSupervisorsFailureAlwaysCounts, whatever it wraps, and however the
// supervisor was before.
func TestSupervisorsFailureAlwaysCounts(t *testing.T) { // S19
	outage := fmt.Errorf("dial: %w", supervisor.ErrUnavailable)
	for name, c := range map[string]struct {
		start suptest.Attempt
		fail  func(db, cache *suptest.Worker)
	}{
		"ready":    {fail: func(db, _ *suptest.Worker) { db.Panic(outage) }},
		"degraded": {fail: func(db, cache *suptest.Worker) { cache.Impaired(errCrash); db.Panic(outage) }},
		"starting": {start: suptest.Attempt{Panic: outage}, fail: func(_, _ *suptest.Worker) {}},
	} {
		synctest.Test(t, func(t *testing.T) {
			db, cache := suptest.NewWorker().Starts(c.start), suptest.NewWorker()
			tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
				{Name: "storage", Intensity: supervisor.Intensity{Within: time.Minute}, Children: []supervisor.Spec{cache.Spec("cache"), db.Spec("db")}},
			}}, supervisor.Options{})
			c.fail(db, cache)
			snap, _ := tree.Find("app")
			if !errors.Is(mustFind(t, tree, "app/storage").LastErr, supervisor.ErrUnavailable) || snap.Restarts != 1 {
				t.Errorf("%s: %d restarts counted, want 1, whatever the failure wraps", name, snap.Restarts)
			}
		})
	}
}

func mustFind(t *testing.T, tree *suptest.Tree, path string) supervisor.Snapshot {
	t.Helper()
	snap, err := tree.Find(path)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// TestExhaustedTransientSupervisor comes back here; under Strict it stays
// away, as in OTP.
func TestExhaustedTransientSupervisor(t *testing.T) { // S20
	for strict, want := range map[bool]supervisor.State{false: supervisor.Ready, true: supervisor.Stopped} {
		synctest.Test(t, func(t *testing.T) {
			db := suptest.NewWorker()
			tree := suptest.Start(t, supervisor.Spec{Name: "app", Strict: strict, Children: []supervisor.Spec{
				{Name: "storage", Restart: supervisor.Transient, Intensity: supervisor.Intensity{Within: time.Minute}, Children: []supervisor.Spec{db.Spec("db")}},
			}}, supervisor.Options{})
			if _, err := tree.Add(t.Context(), "app/storage", suptest.NewWorker().Spec("dynamic")); err != nil {
				t.Fatal(err)
			}
			db.Fail(errCrash)
			tree.Sleep(time.Second)
			tree.RequireState("app/storage", want)
			if _, err := tree.Find("app/storage/dynamic"); !strict && !errors.Is(err, supervisor.ErrNotFound) {
				t.Errorf("the dynamic child: %v, want it gone", err)
			}
		})
	}
}

func TestRunReturnsTheChainOfCauses(t *testing.T) { // S21
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker()
		none := supervisor.Intensity{Within: time.Minute}
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Intensity: none, Children: []supervisor.Spec{
			{Name: "storage", Intensity: none, Children: []supervisor.Spec{db.Spec("db")}},
		}}, supervisor.Options{})
		db.Fail(errCrash)
		err := tree.Wait()
		want := "shop: more than 0 restarts in 1m0s: shop/storage: more than 0 restarts in 1m0s: shop/storage/db: crash"
		if err == nil || err.Error() != want || !errors.Is(err, errCrash) {
			t.Errorf("Run returned %v\nwant %s", err, want)
		}
		if err := tree.Run(t.Context()); err != supervisor.ErrRan {
			t.Errorf("the second Run returned %v, want ErrRan", err)
		}
		if err := tree.Alive(); !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("Alive returns %v, want ErrNotRunning", err)
		}
	})
}

func TestAutoShutdown(t *testing.T) { // S21, S22
	for _, c := range []struct {
		auto supervisor.AutoShutdown
		ends int // workers that return
		want bool
	}{
		{supervisor.AnySignificant, 1, true},
		{supervisor.AllSignificant, 1, false},
		{supervisor.AllSignificant, 2, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) {
				app.AutoShutdown = c.auto
				for i := range 2 {
					app.Children[i].Restart, app.Children[i].Significant = supervisor.Transient, true
				}
			})
			for _, worker := range []*suptest.Worker{w.a, w.b}[:c.ends] {
				worker.Return()
			}
			if got := w.Ended(); got != c.want {
				t.Fatalf("%v after %d ends: ended is %v, want %v", c.auto, c.ends, got, c.want)
			}
			if err := w.Shutdown(); err != nil {
				t.Errorf("Run returned %v, want nil", err)
			}
		})
	}
}

// TestFinishedChildThatStartsAgainIsNotUp before it is ready.
func TestFinishedChildThatStartsAgainIsNotUp(t *testing.T) { // S13, S37
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForAll, func(app *supervisor.Spec) { app.Children[2].Restart = supervisor.Transient })
		w.c.Return()
		w.RequireStatus("app", supervisor.Up)
		w.c.Starts(suptest.Attempt{After: 10 * time.Second})
		w.a.Fail(errCrash)
		w.Sleep(time.Second)
		w.RequireState("app/c", supervisor.Starting)
		w.RequireStatus("app", supervisor.Down)
	})
}

// TestStoppedSignificantChildIsNotWaitedFor by all_significant, as in OTP.
func TestStoppedSignificantChildIsNotWaitedFor(t *testing.T) { // S22
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) {
			app.AutoShutdown = supervisor.AllSignificant
			for i := range 2 {
				app.Children[i].Restart, app.Children[i].Significant = supervisor.Transient, true
			}
		})
		if err := w.Stop(t.Context(), "app/a"); err != nil || w.Ended() {
			t.Fatalf("Stop returned %v; ended: %v", err, w.Ended())
		}
		w.b.Return()
		if !w.Ended() {
			t.Error("it still runs")
		}
	})
}

func TestOptionalChildsFailedStartTakesNobodyDown(t *testing.T) { // S2, S14
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForAll, func(app *supervisor.Spec) { app.Children[1].Optional = true })
		w.b.AlwaysStarts(suptest.Attempt{Err: errCrash})
		w.a.Fail(errCrash)
		w.Sleep(time.Minute)
		w.RequireState("app/b", supervisor.BackingOff)
		if got := w.c.Started(); got != 2 {
			t.Errorf("c was started %d times, want 2: once more with the group", got)
		}
		w.RequireStatus("app", supervisor.Degraded)
	})
}
