package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

func TestReadinessGatesTheNextStart(t *testing.T) { // S1, S2
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		_ = w.Shutdown()
		w = trio{a: suptest.NewWorker(), b: suptest.NewWorker(), c: suptest.NewWorker()}
		w.a.Starts(suptest.Attempt{After: 3 * time.Second})
		w.b.Starts(suptest.Attempt{After: 2 * time.Second})
		w.Tree = suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{w.a.Spec("a"), w.b.Spec("b"), w.c.Spec("c")}}, supervisor.Options{})
		for _, want := range []struct {
			after   time.Duration
			a, b, c supervisor.State
			root    supervisor.State
		}{
			{0, supervisor.Starting, supervisor.Pending, supervisor.Pending, supervisor.Starting},
			{3 * time.Second, supervisor.Ready, supervisor.Starting, supervisor.Pending, supervisor.Starting},
			{2 * time.Second, supervisor.Ready, supervisor.Ready, supervisor.Ready, supervisor.Ready},
		} {
			w.Sleep(want.after)
			w.RequireState("app/a", want.a)
			w.RequireState("app/b", want.b)
			w.RequireState("app/c", want.c)
			w.RequireState("app", want.root)
		}
	})
}

func TestOneChildsBackoffNeverDelaysAnother(t *testing.T) { // S1
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.a.AlwaysStarts(suptest.Attempt{Err: errCrash})
		w.a.Fail(errCrash)
		w.Sleep(5 * time.Minute) // a backs off for 30 s by now
		w.RequireState("app/a", supervisor.BackingOff)
		w.c.Fail(errCrash)
		w.Sleep(100 * time.Millisecond)
		w.RequireState("app/c", supervisor.Ready)
	})
}

// TestAddAndStartWaitForNoSibling: not for one that starts, though what comes
// after it in the first start does, and not for one that backs off.
func TestAddAndStartWaitForNoSibling(t *testing.T) { // S1, S30
	for _, strategy := range []supervisor.Strategy{supervisor.OneForOne, supervisor.OneForAll, supervisor.RestForOne, supervisor.DependentsForOne} {
		synctest.Test(t, func(t *testing.T) {
			slow := suptest.NewWorker().Starts(suptest.Attempt{Hang: true}).AlwaysStarts(suptest.Attempt{Err: errCrash})
			first, last := slow.Spec("slow"), suptest.NewWorker().Spec("last")
			first.StartTimeout = time.Minute
			if strategy == supervisor.DependentsForOne {
				last.DependsOn = []string{"slow"}
			}
			tree := suptest.Start(t, supervisor.Spec{Name: "app", Strategy: strategy, Children: []supervisor.Spec{first, last}}, supervisor.Options{})
			for _, slows := range []supervisor.State{supervisor.Starting, supervisor.BackingOff} {
				tree.RequireState("app/slow", slows)
				ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
				path, err := tree.Add(ctx, "app", suptest.NewWorker().Spec(""))
				if err := errors.Join(err, tree.Stop(ctx, path), tree.Start(ctx, path)); err != nil {
					t.Errorf("%v: while a sibling is %v, Add, Stop and Start return %v", strategy, slows, err)
				}
				cancel()
				tree.RequireState("app/last", supervisor.Pending)
				tree.Sleep(time.Minute)
			}
		})
	}
}

func TestSupervisorIsReadyOncePerIncarnation(t *testing.T) { // S2
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.a.Fail(errCrash)
		w.RequireState("app", supervisor.Ready)
		w.RequireStatus("app", supervisor.Down)
		w.Sleep(time.Second)
		n := 0
		for _, e := range w.Events() {
			if e.Path == "app" && e.Kind == supervisor.EventReady {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the root became ready %d times, want once", n)
		}
	})
}

func TestReadinessAwaitsNeitherOptionalNorFinished(t *testing.T) { // S2
	synctest.Test(t, func(t *testing.T) {
		optional, once, job, last := suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()
		optional.AlwaysStarts(suptest.Attempt{After: time.Second, Err: errCrash})
		once.AlwaysStarts(suptest.Attempt{Err: supervisor.ErrIgnore})
		job.AlwaysStarts(suptest.Attempt{Err: errCrash})
		spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{optional.Spec("optional"), once.Spec("ignored"), job.Spec("temporary"), last.Spec("last")}}
		spec.Children[0].Optional = true
		spec.Children[2].Restart = supervisor.Temporary
		tree := suptest.Start(t, spec, supervisor.Options{})
		tree.RequireState("app/last", supervisor.Pending) // the Optional child's first attempt is waited for
		tree.Sleep(time.Second)
		tree.RequireState("app/last", supervisor.Ready)
		tree.RequireState("app/optional", supervisor.BackingOff)
		tree.RequireState("app", supervisor.Ready)
		tree.RequireStatus("app", supervisor.Degraded)
		if _, err := tree.Find("app/temporary"); !errors.Is(err, supervisor.ErrNotFound) {
			t.Errorf("a failed temporary child: %v, want it forgotten", err)
		}
	})
}

func TestReadinessDoesNotAwaitWhatIsBeingStopped(t *testing.T) { // S2
	synctest.Test(t, func(t *testing.T) {
		slow := suptest.NewWorker().Starts(suptest.Attempt{Hang: true}).StopsAfter(5*time.Second, nil)
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{slow.Spec("slow")}}, supervisor.Options{})
		tree.RequireState("app", supervisor.Starting)
		go func() { _ = tree.Stop(t.Context(), "app/slow") }()
		synctest.Wait()
		tree.RequireState("app/slow", supervisor.Stopping)
		tree.RequireState("app", supervisor.Ready)
	})
}

func TestFuncIsReadyAsSoonAsItRuns(t *testing.T) { // S2
	synctest.Test(t, func(t *testing.T) {
		serve := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "svc", Run: supervisor.Func(serve)}}}, supervisor.Options{})
		tree.RequireState("app/svc", supervisor.Ready)
	})
}

func TestStartTimeoutFailsTheStart(t *testing.T) { // S2, S24
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker().Starts(suptest.Attempt{Hang: true})
		spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{db.Spec("db")}}
		spec.Children[0].StartTimeout = 5 * time.Second
		tree := suptest.Start(t, spec, supervisor.Options{})
		tree.Sleep(5 * time.Second)
		tree.RequireState("app/db", supervisor.BackingOff)
		snap, _ := tree.Find("app/db")
		if got, want := snap.LastErr.Error(), "did not call ready within 5s"; got != want {
			t.Errorf("the error is %q, want %q", got, want)
		}
		if got := db.Causes()[0]; got != supervisor.ErrStartTimeout {
			t.Errorf("the cause is %v, want ErrStartTimeout", got)
		}
		tree.Sleep(time.Second)
		tree.RequireState("app/db", supervisor.Ready)
	})
}

func TestSupervisorHasNoStartTimeout(t *testing.T) { // S2
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Err: fmt.Errorf("dial: %w", supervisor.ErrUnavailable)})
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
			{Name: "storage", Children: []supervisor.Spec{db.Spec("db")}},
		}}, supervisor.Options{})
		tree.Sleep(time.Hour)
		tree.RequireState("app/storage", supervisor.Starting)
		if got := incarnation(t, tree, "app/storage"); got != 1 {
			t.Errorf("storage is in incarnation %d, want 1", got)
		}
	})
}

func incarnation(t *testing.T, tree *suptest.Tree, path string) uint64 {
	t.Helper()
	snap, err := tree.Find(path)
	if err != nil {
		t.Fatal(err)
	}
	return snap.Incarnation
}

func TestFailedStartIsWeather(t *testing.T) { // S3
	synctest.Test(t, func(t *testing.T) {
		w := trio{a: suptest.NewWorker(), b: suptest.NewWorker(), c: suptest.NewWorker()}
		w.b.AlwaysStarts(suptest.Attempt{Err: errCrash})
		w.Tree = suptest.Start(t, supervisor.Spec{Name: "app", Strategy: supervisor.OneForAll, Children: []supervisor.Spec{w.a.Spec("a"), w.b.Spec("b"), w.c.Spec("c")}}, supervisor.Options{})
		w.Sleep(time.Hour) // over a hundred attempts, none counted
		w.RequireState("app/a", supervisor.Ready)
		w.RequireState("app/b", supervisor.BackingOff)
		w.RequireState("app/c", supervisor.Pending)
		if got := w.a.Started(); got != 1 {
			t.Errorf("a was started %d times, want once: a first start that fails takes nobody down", got)
		}
		w.b.AlwaysStarts(suptest.Attempt{})
		w.Sleep(40 * time.Second)
		w.RequireState("app", supervisor.Ready)
	})
}

func TestPanicInStartCounts(t *testing.T) { // S3, S19
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Panic: "no config"})
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{db.Spec("db")}}, supervisor.Options{})
		tree.Settle()
		var intensity *supervisor.IntensityError
		if err := tree.Wait(); !errors.As(err, &intensity) {
			t.Errorf("Run returned %v, want an IntensityError", err)
		}
		if got := db.Started(); got != 6 {
			t.Errorf("started %d times, want the first and 5 restarts", got)
		}
	})
}

func TestStrictFirstStartFailsTheSupervisor(t *testing.T) { // S3
	synctest.Test(t, func(t *testing.T) {
		w := trio{a: suptest.NewWorker(), b: suptest.NewWorker(), c: suptest.NewWorker()}
		w.b.AlwaysStarts(suptest.Attempt{Err: errCrash})
		w.Tree = suptest.Start(t, supervisor.Spec{Name: "app", Strict: true, Children: []supervisor.Spec{w.a.Spec("a"), w.b.Spec("b"), w.c.Spec("c")}}, supervisor.Options{})
		err := w.Wait()
		var start *supervisor.StartError
		if !errors.As(err, &start) || start.Path != "app/b" || !errors.Is(err, errCrash) {
			t.Errorf("Run returned %v, want a StartError of app/b", err)
		}
		if w.c.Started() != 0 || !errors.Is(w.a.Causes()[0], supervisor.ErrShutdown) {
			t.Errorf("c started %d times, a was stopped because of %v", w.c.Started(), w.a.Causes()[0])
		}
	})
}

func TestIgnoreIsNoFailure(t *testing.T) { // S4
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) {
			ignored := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Err: fmt.Errorf("no peers: %w", supervisor.ErrIgnore)})
			app.Children[0].Run = ignored.Run
			app.Children[1].Run, app.Children[1].Restart = ignored.Run, supervisor.Temporary
		})
		w.Sleep(time.Hour)
		w.RequireState("app/a", supervisor.Stopped)
		w.RequireStatus("app/a", supervisor.Up)
		w.RequireStatus("app", supervisor.Up)
		if _, err := w.Find("app/b"); !errors.Is(err, supervisor.ErrNotFound) {
			t.Errorf("an ignored temporary child: %v, want it forgotten", err)
		}
	})
}

func TestValidateReportsEveryFaultWithItsPath(t *testing.T) { // S5
	run := suptest.NewWorker().Run
	spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{
		{Name: "a", Run: run},
		{Name: "a", Run: run},
		{Name: "", Run: run},
		{Name: "x/y", Run: run},
		{Name: "tab\t", Run: run},
		{Name: "both", Run: run, Children: []supervisor.Spec{}},
		{Name: "neither"},
		{Name: "sig", Run: run, Significant: true},
		{Name: "neg", Run: run, StartTimeout: -1, StopTimeout: -1},
		{Name: "enum", Run: run, Restart: 7},
		{Name: "enums", Children: []supervisor.Spec{}, Strategy: 8, AutoShutdown: 9},
		{Name: "below", Children: []supervisor.Spec{}, Strategy: -1, AutoShutdown: -2},
		{Name: "jitter", Run: run, Backoff: supervisor.Backoff{Jitter: 3}},
		{Name: "minmax", Run: run, Backoff: supervisor.Backoff{Min: time.Hour, Max: time.Minute}},
		{Name: "worker", Run: run, Strategy: supervisor.OneForAll},
		{Name: "leader", Children: []supervisor.Spec{}, Exclusive: true},
		{Name: "nan", Run: run, Backoff: supervisor.Backoff{Jitter: math.NaN()}},
		{Name: "fault", Run: run, Fault: errors.New("DSN is empty; set it")},
		{Name: "sup", StartTimeout: 1, Strategy: supervisor.RestForOne, Concurrent: true, Quorum: 3, AutoShutdown: supervisor.AnySignificant,
			Intensity: supervisor.Intensity{Restarts: 3}, Children: []supervisor.Spec{{Name: "deep", Run: run, Significant: true}}},
	}}
	_, err := supervisor.New(spec, supervisor.Options{DrainDelay: -1, EventBuffer: -1})
	if !errors.Is(err, supervisor.ErrInvalid) {
		t.Fatalf("New returned %v, want an error that wraps ErrInvalid", err)
	}
	for _, want := range []string{
		"app/a: two children have this name",
		"app/(no name): Name is empty",
		`app/x/y: Name "x/y" holds '/'`,
		`: Name "tab\t" holds a control character`,
		"app/both: both Run and Children are set",
		"app/neither: neither Run nor Children is set",
		"app/sig: Significant, but its supervisor's AutoShutdown is Never",
		"app/neg: StartTimeout is negative",
		"app/neg: StopTimeout is negative",
		"app/enum: Restart is 7",
		"app/enums: Strategy is 8",
		"app/enums: AutoShutdown is 9",
		"app/below: Strategy is -1",
		"app/below: AutoShutdown is -2",
		"app/jitter: Backoff.Jitter is 3",
		"app/minmax: Backoff.Min (1h0m0s) is over Backoff.Max (1m0s)",
		"app/worker: a worker has a supervisor's field",
		"app/fault: DSN is empty; set it",
		"app/leader: a supervisor cannot be Exclusive",
		"app/nan: Backoff.Jitter is NaN",
		"app/sup: a supervisor has no StartTimeout",
		"app/sup: Concurrent goes with OneForOne only",
		"app/sup: Quorum is 3 of 1 children",
		"app/sup: Intensity has Restarts but no Within",
		"app/sup/deep: Significant, but Permanent",
		"Options: DrainDelay is negative",
		"Options: EventBuffer is -1",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q", want)
		}
	}
	if _, err := supervisor.New(supervisor.Spec{Name: "w", Run: run}, supervisor.Options{}); err == nil || !strings.Contains(err.Error(), "the root must be a supervisor") {
		t.Errorf("a worker as the root: %v", err)
	}
}

func TestSpecOfCallerMayChangeAfterNew(t *testing.T) { // S5
	synctest.Test(t, func(t *testing.T) {
		spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{suptest.NewWorker().Spec("a")}}
		sup, err := supervisor.New(spec, supervisor.Options{})
		spec.Children[0].Name = "changed"
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sup.Find("app/a"); err != nil {
			t.Error(err)
		}
	})
}

func TestWarningsSayWhatIsDoubtful(t *testing.T) { // S5
	worker := suptest.NewWorker().Spec("slow")
	worker.Backoff = supervisor.Backoff{Min: 10 * time.Second}
	worker.StopTimeout = time.Minute
	spec := supervisor.Spec{Name: "app", Intensity: supervisor.Intensity{Restarts: 10, Within: 30 * time.Second}, Children: []supervisor.Spec{worker}}
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	warnings := spec.Warnings()
	want := "app/slow: its backoff lets it restart at most 3 times in 30s: its supervisor's limit of 10 is never reached by it alone"
	if len(warnings) != 1 || warnings[0].Error() != want {
		t.Errorf("warnings are %v, want %q", warnings, want)
	}
	synctest.Test(t, func(t *testing.T) {
		tree := suptest.Start(t, spec, supervisor.Options{GracePeriod: 30 * time.Second, DrainDelay: 5 * time.Second})
		tree.RequireState("app/slow", supervisor.Ready) // they stop nobody
		trace := tree.Trace()
		if want := "app#1 warning: DrainDelay and stopping can take 1m5s together, more than the GracePeriod of 30s; shorten StopTimeouts (app/slow takes longest), or raise it"; !strings.Contains(trace, want) {
			t.Errorf("the trace lacks %q:\n%s", want, trace)
		}
	})
}

func TestDefaultsHaveNoWarnings(t *testing.T) { // S5
	spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "a", Run: suptest.NewWorker().Run}}}
	if got := spec.Warnings(); len(got) > 0 {
		t.Errorf("warnings of a default tree: %v", got)
	}
}

func TestEmptySupervisorIsReadyAndUp(t *testing.T) { // S2, S5
	synctest.Test(t, func(t *testing.T) {
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "empty", Children: []supervisor.Spec{}}}}, supervisor.Options{})
		tree.RequireState("app/empty", supervisor.Ready)
		tree.RequireStatus("app", supervisor.Up)
		if _, err := tree.Add(t.Context(), "app/empty", suptest.NewWorker().Spec("a")); err != nil {
			t.Fatal(err)
		}
		tree.RequireState("app/empty/a", supervisor.Ready)
	})
}
