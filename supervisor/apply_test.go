package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// spec is the trio's, for the test to change and apply.
func (w trio) spec(children ...supervisor.Spec) supervisor.Spec {
	if children == nil {
		children = []supervisor.Spec{w.a.Spec("a"), w.b.Spec("b"), w.c.Spec("c")}
	}
	return supervisor.Spec{Name: "app", Children: children}
}

// but is spec after the changes.
func but(spec supervisor.Spec, change ...func(*supervisor.Spec)) supervisor.Spec {
	for _, f := range change {
		f(&spec)
	}
	return spec
}

func revised(s *supervisor.Spec)  { s.Revision += "'" }
func optional(s *supervisor.Spec) { s.Optional = true }

// requireDiff compares Diff with those lines.
func requireDiff(t *testing.T, tree *suptest.Tree, spec supervisor.Spec, want ...string) {
	t.Helper()
	diff, err := tree.Diff(spec)
	var got []string
	for _, c := range diff {
		got = append(got, c.String())
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Diff is %q, %v; want %q", got, err, want)
	}
}

func (w trio) requireStarts(t *testing.T, a, b, c int) {
	t.Helper()
	synctest.Wait()
	if w.a.Started() != a || w.b.Started() != b || w.c.Started() != c {
		t.Errorf("starts are %d, %d, %d, want %d, %d, %d", w.a.Started(), w.b.Started(), w.c.Started(), a, b, c)
	}
}

func TestApplyOfAnInvalidSpecChangesNothing(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.Forget()
		for _, c := range []struct {
			spec supervisor.Spec
			want []string // every line of the error
		}{
			{w.spec(w.a.Spec("a"), w.a.Spec("a"), supervisor.Spec{Name: "x"}), []string{
				"app/a: two children have this name; rename one",
				"app/x: neither Run nor Children is set; []Spec{} is an empty supervisor"}},
			{supervisor.Spec{Name: "shop", Children: []supervisor.Spec{{Name: "a/b", Children: []supervisor.Spec{}}}}, []string{
				`shop/a/b: Name "a/b" holds '/', which separates paths; use another character`,
				`shop: the root's Name is "app"; a tree keeps its name`}},
			{w.a.Spec("app"), []string{"app: the root must be a supervisor; put it into the Children of one"}},
			{but(w.spec(), revised), []string{`app: the root's Revision is "'", but was "": the root does not restart; change those of its Children`}},
		} {
			err := w.Apply(t.Context(), c.spec)
			if !errors.Is(err, supervisor.ErrInvalid) || err.Error() != strings.Join(c.want, "\n") {
				t.Errorf("Apply returned %v, want %q", err, c.want)
			}
			if _, diffErr := w.Diff(c.spec); !errors.Is(diffErr, supervisor.ErrInvalid) || diffErr.Error() != err.Error() {
				t.Errorf("Diff returned %v, want the same", diffErr)
			}
		}
		if events := w.Events(); len(events) > 0 {
			t.Errorf("then there was %v", events)
		}
		requireDiff(t, w.Tree, w.spec())
	})
}

func TestApplyNeedsARunningTree(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{}}
		refused := func(s *supervisor.Supervisor, when string) {
			t.Helper()
			_, diffErr := s.Diff(spec)
			for _, err := range []error{s.Apply(t.Context(), spec), diffErr} {
				if !errors.Is(err, supervisor.ErrNotRunning) || err.Error() != "app: supervisor: not running" {
					t.Errorf("%s: %v", when, err)
				}
			}
		}
		fresh, err := supervisor.New(spec, supervisor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		refused(fresh, "before Run")
		w := startTrio(t, supervisor.OneForOne, nil)
		w.a.StopsAfter(time.Second, nil)
		w.Cancel()
		if err := w.Apply(t.Context(), spec); !errors.Is(err, supervisor.ErrNotRunning) || err.Error() != "app: supervisor: not running" {
			t.Errorf("while it stops: %v", err)
		}
		_ = w.Wait()
		refused(w.Supervisor, "after Run")
	})
}

func TestApplyWarnsOfWhatIsDoubtful(t *testing.T) { // S31, S5
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		spec := w.spec()
		spec.Children[0].Backoff = supervisor.Backoff{Park: time.Minute}
		w.Forget()
		mustApply(t, w.Tree, spec)
		if events := w.Events(); len(events) != 1 || events[0].Kind != supervisor.EventWarning || !strings.HasPrefix(events[0].Err.Error(), "app/a: Park") {
			t.Errorf("events are %v", events)
		}
	})
}

// TestApplyCopiesTheSpec: the caller may go on changing its own.
func TestApplyCopiesTheSpec(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		spec := w.spec()
		mustApply(t, w.Tree, spec)
		want := w.spec()
		spec.Children[0].Revision, spec.Children[1].Name = "2", "x"
		requireDiff(t, w.Tree, want)
	})
}

// TestGoldenApply: a and c go, in reverse order; x and z come, in their places
// and in order; b runs on, and so does d, which was added by a call.
func TestGoldenApply(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.a.StopsAfter(time.Second, nil)
		w.c.StopsAfter(time.Second, nil)
		if _, err := w.Add(t.Context(), "app", suptest.NewWorker().Spec("d")); err != nil {
			t.Fatal(err)
		}
		x, z := suptest.NewWorker().Starts(suptest.Attempt{After: time.Second}), suptest.NewWorker()
		spec := w.spec(x.Spec("x"), w.b.Spec("b"), z.Spec("z"))
		requireDiff(t, w.Tree, spec, "start app/x", "start app/z", "stop app/a", "stop app/c")
		w.Forget()
		mustApply(t, w.Tree, spec)
		if causes := w.a.Causes(); !slices.Equal(causes, []error{supervisor.ErrRemoved}) {
			t.Errorf("a was stopped because of %v", causes)
		}
		var names []string
		for _, child := range w.Snapshot().Children {
			names = append(names, child.Name())
		}
		if !slices.Equal(names, []string{"x", "b", "z", "d"}) {
			t.Errorf("the children are %v", names)
		}
		golden(t, "apply", w.Trace())
	})
}

// TestDynamicChildBecomesStatic when the Spec has its name: it runs on, moves to
// its place, and goes with the Spec.
func TestDynamicChildBecomesStatic(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		d := suptest.NewWorker()
		if _, err := w.Add(t.Context(), "app", d.Spec("d")); err != nil {
			t.Fatal(err)
		}
		mustApply(t, w.Tree, w.spec(d.Spec("d"), w.a.Spec("a"), w.b.Spec("b"), w.c.Spec("c")))
		if first := w.Snapshot().Children[0].Path; first != "app/d" || d.Started() != 1 {
			t.Errorf("%s is the first; d was started %d times", first, d.Started())
		}
		requireDiff(t, w.Tree, w.spec(), "stop app/d")
		mustApply(t, w.Tree, w.spec())
		if _, err := w.Find("app/d"); !errors.Is(err, supervisor.ErrNotFound) {
			t.Errorf("then it is there: %v", err)
		}
	})
}

func TestNewChildThatFailsToStartBacksOff(t *testing.T) { // S31, S3
	synctest.Test(t, func(t *testing.T) {
		for _, strategy := range []supervisor.Strategy{supervisor.OneForOne, supervisor.OneForAll, supervisor.RestForOne} {
			w := startTrio(t, strategy, nil)
			x := suptest.NewWorker().Starts(suptest.Attempt{Err: errCrash})
			spec := w.spec(w.a.Spec("a"), x.Spec("x"), w.b.Spec("b"), w.c.Spec("c"))
			spec.Strategy = strategy
			if err := w.Apply(t.Context(), spec); !errors.Is(err, errCrash) || err.Error() != "app/x: crash" {
				t.Errorf("%v: Apply returned %v", strategy, err)
			}
			w.RequireState("app/x", supervisor.BackingOff)
			w.Settle()
			w.RequireState("app/x", supervisor.Ready)
			w.requireStarts(t, 1, 1, 1)
		}
	})
}

func TestNewChildMayHaveNothingToRun(t *testing.T) { // S31, S4
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		x := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Err: supervisor.ErrIgnore})
		mustApply(t, w.Tree, w.spec(w.a.Spec("a"), w.b.Spec("b"), w.c.Spec("c"), x.Spec("x")))
		w.RequireState("app/x", supervisor.Stopped)
	})
}

// TestTemporaryChildRunsOncePerRevision: one that has ended is no new child.
func TestTemporaryChildRunsOncePerRevision(t *testing.T) { // S31, S7
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		job := suptest.NewWorker()
		spec := func(change ...func(*supervisor.Spec)) supervisor.Spec {
			return w.spec(w.a.Spec("a"), but(job.Spec("job"), append(change, func(s *supervisor.Spec) { s.Restart = supervisor.Temporary })...))
		}
		mustApply(t, w.Tree, spec())
		job.Return()
		requireDiff(t, w.Tree, spec())
		mustApply(t, w.Tree, spec())
		mustApply(t, w.Tree, spec(optional))
		if job.Started() != 1 {
			t.Errorf("it ran %d times", job.Started())
		}
		requireDiff(t, w.Tree, spec(revised), "start app/job")
		mustApply(t, w.Tree, spec(revised))
		if job.Started() != 2 {
			t.Errorf("with another Revision it ran %d times", job.Started())
		}
	})
}

func TestRemovedChildThatIsInTheSpecComesBack(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.a.StopsAfter(2*time.Second, nil)
		if err := w.Remove(t.Context(), "app/b"); err != nil {
			t.Fatal(err)
		}
		requireDiff(t, w.Tree, w.spec(), "start app/b")
		go func() { _ = w.Remove(t.Context(), "app/a") }()
		w.Sleep(time.Second) // it stops
		requireDiff(t, w.Tree, w.spec(w.c.Spec("c")))
		requireDiff(t, w.Tree, w.spec(), "start app/a", "start app/b")
		mustApply(t, w.Tree, w.spec())
		w.RequireState("app/a", supervisor.Ready)
		w.RequireState("app/b", supervisor.Ready)
		w.requireStarts(t, 2, 2, 1)
	})
}

// TestPolicyHoldsWithoutARestart: what is changed of a running tree, and how
// that can be seen. Nothing restarts for it.
func TestPolicyHoldsWithoutARestart(t *testing.T) { // S31
	for name, c := range map[string]struct {
		change func(w trio, app *supervisor.Spec)
		diff   string
		see    func(t *testing.T, w trio)
	}{
		"Backoff": {func(_ trio, app *supervisor.Spec) { app.Children[1].Backoff.Min = time.Minute }, "update app/b: Backoff",
			func(t *testing.T, w trio) {
				w.b.Fail(errCrash)
				if in := time.Until(mustFind(t, w.Tree, "app/b").NextStart); in != time.Minute {
					t.Errorf("b is started in %v", in)
				}
			}},
		"StopTimeout": {func(_ trio, app *supervisor.Spec) { app.Children[1].StopTimeout = time.Second }, "update app/b: StopTimeout",
			func(t *testing.T, w trio) {
				w.b.StopsAfter(5*time.Second, nil)
				if err := w.Stop(t.Context(), "app/b"); !errors.Is(err, supervisor.ErrAbandoned) {
					t.Errorf("Stop returned %v", err)
				}
			}},
		"Optional": {func(_ trio, app *supervisor.Spec) { app.Children[1].Optional = true }, "update app/b: Optional",
			func(_ *testing.T, w trio) {
				w.b.Fail(errCrash)
				w.RequireStatus("app", supervisor.Degraded)
			}},
		"Quorum": {func(_ trio, app *supervisor.Spec) { app.Quorum = 2 }, "update app: Quorum",
			func(_ *testing.T, w trio) {
				w.b.Fail(errCrash)
				w.RequireStatus("app", supervisor.Degraded)
			}},
		"Strategy": {func(_ trio, app *supervisor.Spec) { app.Strategy = supervisor.OneForAll }, "update app: Strategy",
			func(t *testing.T, w trio) {
				w.b.Fail(errCrash)
				w.Sleep(time.Second)
				w.requireStarts(t, 2, 2, 2)
			}},
		"DependsOn": {func(_ trio, app *supervisor.Spec) {
			app.Strategy, app.Children[0].DependsOn = supervisor.DependentsForOne, []string{"c"}
		}, "update app: Strategy update app/a: DependsOn",
			func(t *testing.T, w trio) {
				w.c.Fail(errCrash)
				w.Sleep(time.Second)
				w.requireStarts(t, 2, 1, 2)
			}},
		"AutoShutdown": {func(_ trio, app *supervisor.Spec) {
			app.AutoShutdown, app.Children[1].Restart, app.Children[1].Significant = supervisor.AnySignificant, supervisor.Transient, true
		}, "update app: AutoShutdown update app/b: Restart, Significant",
			func(t *testing.T, w trio) {
				w.b.Return()
				if err := w.Wait(); err != nil {
					t.Errorf("Run returned %v", err)
				}
			}},
		"Exclusive": {func(_ trio, app *supervisor.Spec) { app.Children[1].Exclusive = true }, "update app/b: Exclusive",
			func(t *testing.T, w trio) {
				w.b.StopsAfter(time.Minute, nil)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				_ = w.Restart(ctx, "app/b")
				w.RequireState("app/b", supervisor.Fenced)
			}},
		"Run": {func(w trio, app *supervisor.Spec) { app.Children[1].Run = w.c.Run }, "",
			func(t *testing.T, w trio) {
				w.requireStarts(t, 1, 1, 1)
				w.b.Fail(errCrash)
				w.Sleep(time.Second)
				w.requireStarts(t, 1, 1, 2)
			}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.OneForOne, nil)
			spec := w.spec()
			c.change(w, &spec)
			diff, err := w.Diff(spec)
			if got := strings.Trim(fmt.Sprint(diff), "[]"); got != c.diff || err != nil {
				t.Errorf("%s: Diff is %q, %v; want %q", name, got, err, c.diff)
			}
			w.Forget()
			mustApply(t, w.Tree, spec)
			if events := w.Events(); len(events) > 0 {
				t.Errorf("%s: events are %v", name, events)
			}
			c.see(t, w)
			if t.Failed() {
				t.Fatal(name)
			}
		})
	}
}

// TestNewIntensityKeepsTheBudgetSpent: restarts before count by the new limit.
func TestNewIntensityKeepsTheBudgetSpent(t *testing.T) { // S31, S18
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		for range 2 {
			w.b.Fail(errCrash)
			w.Sleep(time.Second)
		}
		spec := w.spec()
		spec.Intensity = supervisor.Intensity{Restarts: 3, Within: time.Hour}
		mustApply(t, w.Tree, spec)
		if app := mustFind(t, w.Tree, "app"); app.Restarts != 2 || app.BudgetLeft != 1 {
			t.Errorf("%d restarts are counted, %d left", app.Restarts, app.BudgetLeft)
		}
		spec.Intensity.Restarts = 2
		mustApply(t, w.Tree, spec)
		w.b.Fail(errCrash)
		var tooMany *supervisor.IntensityError
		if err := w.Wait(); !errors.As(err, &tooMany) || tooMany.Intensity != spec.Intensity {
			t.Errorf("Run returned %v", err)
		}
	})
}

// TestProbeOfARunningWorkerChanges: one comes, is slowed, hastened, replaced and
// goes; the worker runs on.
func TestProbeOfARunningWorkerChanges(t *testing.T) { // S31, S33
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		check, other := suptest.NewCheck(), suptest.NewCheck()
		other.Fail(errCrash)
		every := func(d time.Duration, by *suptest.Check) *supervisor.Probe {
			probe := by.Probe()
			probe.Interval, probe.Failures = d, 100
			return probe
		}
		for _, c := range []struct {
			when   string
			probe  *supervisor.Probe
			after  time.Duration
			checks int // of check
			others int
			status supervisor.Status
		}{
			{"it comes", every(10*time.Second, check), 30 * time.Second, 3, 0, supervisor.Up},
			{"it is slowed", every(time.Hour, check), 59 * time.Minute, 0, 0, supervisor.Up},
			{"it is hastened, and due", every(10*time.Second, check), time.Second, 1, 0, supervisor.Up},
			{"it is replaced", every(10*time.Second, other), 10 * time.Second, 0, 1, supervisor.Degraded},
			{"it goes, and what it said", nil, time.Hour, 0, 0, supervisor.Up},
			{"it comes back, and is due", every(10*time.Second, check), 30 * time.Second, 4, 0, supervisor.Up},
		} {
			checks, others := check.Calls(), other.Calls()
			spec := w.spec()
			spec.Children[0].Probe = c.probe
			mustApplyNow(t, w.Tree, spec)
			w.Sleep(c.after)
			if checks, others = check.Calls()-checks, other.Calls()-others; checks != c.checks || others != c.others {
				t.Errorf("%s: %d and %d checks, want %d and %d", c.when, checks, others, c.checks, c.others)
			}
			w.RequireStatus("app/a", c.status)
		}
		w.requireStarts(t, 1, 1, 1)
	})
}

// TestProbeThatComesBeforeReady begins then, once: to one that starts, and to
// one that waits for its turn.
func TestProbeThatComesBeforeReady(t *testing.T) { // S31, S33
	synctest.Test(t, func(t *testing.T) {
		x, y := suptest.NewWorker().Starts(suptest.Attempt{After: 20 * time.Second}), suptest.NewWorker()
		check := suptest.NewCheck()
		spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{x.Spec("x"), y.Spec("y")}}
		tree := suptest.Start(t, spec, supervisor.Options{})
		spec.Children[0].Probe, spec.Children[1].Probe = check.Probe(), check.Probe()
		mustApplyNow(t, tree, spec)
		tree.Sleep(20 * time.Second)
		tree.RequireState("app/y", supervisor.Ready)
		if got := check.Calls(); got != 0 {
			t.Errorf("%d checks before", got)
		}
		tree.Sleep(30 * time.Second)
		if got := check.Calls(); got != 6 {
			t.Errorf("%d checks of two in 30 s, want 6", got)
		}
	})
}

// TestProbeComesBackToAnotherIncarnation than the one that it was taken from.
func TestProbeComesBackToAnotherIncarnation(t *testing.T) { // S31, S33
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		check := suptest.NewCheck()
		with, without := w.spec(), w.spec()
		with.Children[0].Probe = check.Probe()
		mustApplyNow(t, w.Tree, with)
		mustApplyNow(t, w.Tree, without)
		w.a.Fail(errCrash)
		w.Sleep(time.Minute)
		w.requireStarts(t, 2, 1, 1)
		mustApplyNow(t, w.Tree, with)
		w.Sleep(30 * time.Second)
		if got := check.Calls(); got != 3 {
			t.Errorf("%d checks in 30 s, want 3", got)
		}
	})
}

// mustApplyNow is mustApply that lets no time pass.
func mustApplyNow(t *testing.T, tree *suptest.Tree, spec supervisor.Spec) {
	t.Helper()
	if err := tree.Apply(t.Context(), spec); err != nil {
		t.Fatalf("Apply: %v\n%v", err, tree.Snapshot())
	}
	synctest.Wait()
}

// TestRevisionRestartsTheGroup as Restart does: without a backoff, uncounted.
func TestRevisionRestartsTheGroup(t *testing.T) { // S31, S42
	for strategy, c := range map[supervisor.Strategy]struct {
		diff    []string
		a, b, c int
	}{
		supervisor.OneForOne:        {[]string{`restart app/b: Revision was "", is "'"`}, 1, 2, 1},
		supervisor.OneForAll:        {[]string{"restart app/a: with app/b", `restart app/b: Revision was "", is "'"`, "restart app/c: with app/b"}, 2, 2, 2},
		supervisor.RestForOne:       {[]string{`restart app/b: Revision was "", is "'"`, "restart app/c: with app/b"}, 1, 2, 2},
		supervisor.DependentsForOne: {[]string{"restart app/a: with app/b", `restart app/b: Revision was "", is "'"`}, 2, 2, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			spec := func(w trio) supervisor.Spec {
				s := w.spec()
				if s.Strategy = strategy; strategy == supervisor.DependentsForOne {
					s.Children[0].DependsOn = []string{"b"}
				}
				return s
			}
			w := startTrio(t, strategy, func(app *supervisor.Spec) {
				if strategy == supervisor.DependentsForOne {
					app.Children[0].DependsOn = []string{"b"}
				}
			})
			start, next := time.Now(), spec(w)
			revised(&next.Children[1])
			requireDiff(t, w.Tree, next, c.diff...)
			if err := w.Apply(t.Context(), next); err != nil || time.Since(start) != 0 {
				t.Errorf("%v: Apply returned %v after %v", strategy, err, time.Since(start))
			}
			w.requireStarts(t, c.a, c.b, c.c)
			if causes := w.b.Causes(); !slices.Equal(causes, []error{supervisor.ErrRestart}) {
				t.Errorf("%v: b was stopped because of %v", strategy, causes)
			}
			if app := mustFind(t, w.Tree, "app"); app.Restarts != 0 || app.Status != supervisor.Up {
				t.Errorf("%v: %d restarts are counted, it is %v", strategy, app.Restarts, app.Status)
			}
		})
	}
}

// TestRevisionOfAChildThatDoesNotRun: what becomes of it, and that nobody else
// restarts for it.
func TestRevisionOfAChildThatDoesNotRun(t *testing.T) { // S31
	second := 1 * time.Second
	for _, c := range []struct {
		name   string
		bring  func(trio)
		diff   string
		after  time.Duration
		state  supervisor.State // then, with the new Spec
		starts int
	}{
		{"backing off", func(w trio) {
			w.b.Starts(suptest.Attempt{Err: errCrash})
			w.b.Fail(errCrash)
			w.Sleep(150 * time.Millisecond)
		},
			`restart app/b: Revision was "", is "'"`, 0, supervisor.Ready, 3},
		{"parked", func(w trio) {
			w.b.AlwaysStarts(suptest.Attempt{Err: errCrash})
			w.b.Fail(errCrash)
			w.Sleep(time.Minute)
			w.b.AlwaysStarts(suptest.Attempt{})
		},
			`restart app/b: Revision was "", is "'"`, 0, supervisor.Ready, 4},
		{"starting", func(w trio) { w.b.Starts(suptest.Attempt{Hang: true}); w.b.Fail(errCrash); w.Sleep(second) },
			`restart app/b: Revision was "", is "'"`, 0, supervisor.Ready, 3},
		{"stopping for a restart", func(w trio) {
			w.b.StopsAfter(2*second, nil)
			go func() { _ = w.Restart(context.Background(), "app/b") }()
			w.Sleep(second)
		},
			`restart app/b: Revision was "", is "'"`, second, supervisor.Ready, 2},
		{"stopping on request", func(w trio) {
			w.b.StopsAfter(2*second, nil)
			go func() { _ = w.Stop(context.Background(), "app/b") }()
			w.Sleep(second)
		},
			`update app/b: Revision was "", is "'"`, second, supervisor.Stopped, 1},
		{"stopped on request", func(w trio) { _ = w.Stop(context.Background(), "app/b") },
			`update app/b: Revision was "", is "'"`, 0, supervisor.Stopped, 1},
		{"over for good", func(w trio) {
			w.b.Starts(suptest.Attempt{Err: supervisor.ErrIgnore})
			w.b.Fail(errCrash)
			w.Sleep(second)
		},
			`restart app/b: Revision was "", is "'"`, 0, supervisor.Ready, 3},
		{"fenced", func(w trio) {
			w.b.StopsAfter(time.Minute, nil)
			go func() { _ = w.Restart(context.Background(), "app/b") }()
			w.Sleep(20 * second)
		},
			`restart app/b: Revision was "", is "'"`, time.Minute, supervisor.Ready, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			policy := func(app *supervisor.Spec) {
				b := &app.Children[1]
				b.Backoff.Attempts, b.Backoff.Park, b.Optional, b.Exclusive = 2, time.Hour, true, true
			}
			w := startTrio(t, supervisor.OneForOne, policy)
			c.bring(w)
			spec := but(w.spec(), policy)
			revised(&spec.Children[1])
			requireDiff(t, w.Tree, spec, c.diff)
			start := time.Now()
			if err := w.Apply(t.Context(), spec); err != nil || time.Since(start) > c.after {
				t.Errorf("%s: Apply returned %v after %v", c.name, err, time.Since(start))
			}
			w.Sleep(time.Second)
			w.RequireState("app/b", c.state)
			w.requireStarts(t, 1, c.starts, 1)
			requireDiff(t, w.Tree, spec)
			if t.Failed() {
				t.Fatal(c.name)
			}
		})
	}
}

// TestGroupOfARevision: what was stopped on request does not go along, and who
// does not run takes nobody along.
func TestGroupOfARevision(t *testing.T) { // S31, S42
	synctest.Test(t, func(t *testing.T) {
		grouped := func(s *supervisor.Spec) { s.Strategy = supervisor.OneForAll }
		w := startTrio(t, supervisor.OneForAll, grouped)
		if err := w.Stop(t.Context(), "app/b"); err != nil {
			t.Fatal(err)
		}
		spec := but(w.spec(), grouped)
		revised(&spec.Children[0])
		requireDiff(t, w.Tree, spec, `restart app/a: Revision was "", is "'"`, "restart app/c: with app/a")
		mustApply(t, w.Tree, spec)
		w.requireStarts(t, 2, 1, 2)
		w.RequireState("app/b", supervisor.Stopped)

		w.a.Starts(suptest.Attempt{Err: supervisor.ErrIgnore})
		if err := w.Restart(t.Context(), "app/a"); !errors.Is(err, supervisor.ErrIgnore) {
			t.Fatal(err)
		}
		revised(&spec.Children[0])
		requireDiff(t, w.Tree, spec, `restart app/a: Revision was "'", is "''"`)
		mustApply(t, w.Tree, spec)
		w.requireStarts(t, 4, 1, 3)
	})
}

// TestApplyAsksNoWorkersError: its methods may panic, and who applies would die
// of it.
func TestApplyAsksNoWorkersError(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		spec := w.spec()
		spec.Children = append(spec.Children, suptest.NewWorker().Starts(suptest.Attempt{Err: explosive{}}).Spec("d"))
		var at interface{ Unwrap() []error }
		if err := w.Apply(t.Context(), spec); !errors.As(err, &at) || len(at.Unwrap()) != 1 || errors.Unwrap(at.Unwrap()[0]) != error(explosive{}) {
			t.Errorf("Apply returned a %T, want the failure of app/d", err)
		}
	})
}

// TestApplyAwaitsTheGroup: each that restarts is ready then, or its error told.
func TestApplyAwaitsTheGroup(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		grouped := func(s *supervisor.Spec) { s.Strategy = supervisor.OneForAll }
		w := startTrio(t, supervisor.OneForAll, grouped)
		w.c.Starts(suptest.Attempt{After: time.Second}, suptest.Attempt{After: time.Second, Err: errCrash})
		spec := but(w.spec(), grouped)
		revised(&spec.Children[1])
		err := w.Apply(t.Context(), spec)
		if c := mustFind(t, w.Tree, "app/c"); err != nil || c.State != supervisor.Ready {
			t.Errorf("Apply returned %v with c %v", err, c.State)
		}
		revised(&spec.Children[0])
		revised(&spec.Children[1])
		if err := w.Apply(t.Context(), spec); !errors.Is(err, errCrash) || err.Error() != "app/c: crash" {
			t.Errorf("Apply returned %v", err)
		}
	})
}

// TestRevisionsOfAGroupStartOnce: also of one that backs off beside it.
func TestRevisionsOfAGroupStartOnce(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		policy := func(s *supervisor.Spec) { s.Strategy, s.Children[0].Optional = supervisor.OneForAll, true }
		w := trio{a: suptest.NewWorker().Starts(suptest.Attempt{Err: errCrash}), b: suptest.NewWorker(), c: suptest.NewWorker()}
		w.Tree = suptest.Start(t, but(w.spec(), policy), supervisor.Options{})
		w.RequireState("app/a", supervisor.BackingOff)
		spec := but(w.spec(), policy)
		revised(&spec.Children[0])
		revised(&spec.Children[1])
		mustApply(t, w.Tree, spec)
		w.requireStarts(t, 2, 2, 2)
	})
}

// TestApplyBetweenWorkerAndSupervisor: it restarts, its events and snapshots say
// what it is at the time.
func TestApplyBetweenWorkerAndSupervisor(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		x := suptest.NewWorker()
		spec := w.spec(w.a.Spec("a"), supervisor.Spec{Name: "b", Children: []supervisor.Spec{x.Spec("x")}}, w.c.Spec("c"))
		requireDiff(t, w.Tree, spec, "restart app/b: it was a worker, is a supervisor")
		w.b.StopsAfter(time.Second, nil)
		w.Forget()
		mustApply(t, w.Tree, spec)
		w.RequireState("app/b/x", supervisor.Ready)
		requireDiff(t, w.Tree, w.spec(), "restart app/b: it was a supervisor, is a worker")
		mustApply(t, w.Tree, w.spec())
		w.requireStarts(t, 1, 2, 1)
		if _, err := w.Find("app/b/x"); err == nil {
			t.Error("app/b/x is there, though app/b is a worker")
		}
		was := map[uint64]bool{1: false, 2: true, 3: false}
		for _, e := range w.Events() {
			if e.Path == "app/b" && e.Supervisor != was[e.Incarnation] {
				t.Errorf("%v, and Supervisor is %v", e, e.Supervisor)
			}
		}
		golden(t, "apply_kind", w.Trace())
	})
}

// TestStoppedChildTakesItsNewKindAtOnce: it would be shown as what it is not.
func TestStoppedChildTakesItsNewKindAtOnce(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.b.StopsAfter(time.Second, nil)
		go func() { _ = w.Stop(t.Context(), "app/b") }()
		synctest.Wait()
		mustApply(t, w.Tree, w.spec(w.a.Spec("a"), supervisor.Spec{Name: "b", Children: []supervisor.Spec{}}, w.c.Spec("c")))
		if b := mustFind(t, w.Tree, "app/b"); !b.Supervisor || b.State != supervisor.Stopped {
			t.Errorf("it is %v, a supervisor: %v", b.State, b.Supervisor)
		}
	})
}

func TestApplyIsBoundedByItsContextButStands(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.b.StopsAfter(5*time.Second, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		spec := w.spec(w.a.Spec("a"), w.c.Spec("c"), suptest.NewWorker().Spec("x"))
		if err := w.Apply(ctx, spec); !errors.Is(err, context.DeadlineExceeded) || err.Error() != "app/b: context deadline exceeded" {
			t.Errorf("Apply returned %v", err)
		}
		w.Sleep(5 * time.Second)
		w.RequireState("app/x", supervisor.Ready)
		requireDiff(t, w.Tree, spec)
	})
}

// TestWorkerMayApply about its own tree with its own context, which ends in the
// middle of it: all of it stands, also what is below other supervisors.
func TestWorkerMayApply(t *testing.T) { // S31, S43
	synctest.Test(t, func(t *testing.T) {
		self, x := suptest.NewWorker(), suptest.NewWorker()
		spec := func(revision string, more ...supervisor.Spec) supervisor.Spec {
			selfSpec := self.Spec("self")
			selfSpec.Revision = revision
			return supervisor.Spec{Name: "app", Children: []supervisor.Spec{
				{Name: "one", Children: []supervisor.Spec{selfSpec}},
				{Name: "two", Children: []supervisor.Spec{{Name: "deep", Children: append([]supervisor.Spec{}, more...)}}},
			}}
		}
		tree := suptest.Start(t, spec("1"), supervisor.Options{})
		ctx := self.Context()
		var got error
		self.Do(func() error { got = tree.Apply(ctx, spec("2", x.Spec("x"))); return nil })
		tree.Settle()
		if !errors.Is(got, supervisor.ErrRestart) {
			t.Errorf("its call returned %v", got)
		}
		tree.RequireState("app/two/deep/x", supervisor.Ready)
		if self.Started() != 2 {
			t.Errorf("it was started %d times", self.Started())
		}
		requireDiff(t, tree, spec("2", x.Spec("x")))
	})
}

// TestApplyOfAnEndedContextStandsAsAWhole, however deep.
func TestApplyOfAnEndedContextStandsAsAWhole(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker()
		spec := func(leaf ...supervisor.Spec) supervisor.Spec {
			s := supervisor.Spec{Name: "3", Children: append([]supervisor.Spec{}, leaf...)}
			for _, name := range []string{"2", "1", "app"} {
				s = supervisor.Spec{Name: name, Children: []supervisor.Spec{s}}
			}
			return s
		}
		tree := suptest.Start(t, spec(), supervisor.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = tree.Apply(ctx, spec(w.Spec("w"))) // either answer is right
		tree.RequireState("app/1/2/3/w", supervisor.Ready)
	})
}

// TestStrictSupervisorAppliesAfterItsStart: it serves calls then.
func TestStrictSupervisorAppliesAfterItsStart(t *testing.T) { // S31, S3
	synctest.Test(t, func(t *testing.T) {
		slow, x := suptest.NewWorker().Starts(suptest.Attempt{After: time.Second}), suptest.NewWorker()
		spec := func(children ...supervisor.Spec) supervisor.Spec {
			return supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "otp", Strict: true, Children: children}}}
		}
		tree := suptest.Start(t, spec(slow.Spec("slow")), supervisor.Options{})
		for _, change := range []func(*supervisor.Spec){revised, optional} { // the last one holds
			go func() { _ = tree.Apply(t.Context(), spec(slow.Spec("slow"), but(x.Spec("x"), change))) }()
			synctest.Wait()
		}
		tree.Sleep(2 * time.Second)
		tree.RequireState("app/otp/x", supervisor.Ready)
		requireDiff(t, tree, spec(slow.Spec("slow"), but(x.Spec("x"), optional)))
		if slow.Started() != 1 || x.Started() != 2 {
			t.Errorf("slow was started %d times, x %d", slow.Started(), x.Started())
		}
	})
}

// TestStrictSupervisorFailsOverANewChild: what is new makes its first start, so
// that it must not fail there.
func TestStrictSupervisorFailsOverANewChild(t *testing.T) { // S31, S3
	synctest.Test(t, func(t *testing.T) {
		old, x := suptest.NewWorker(), suptest.NewWorker().AlwaysStarts(suptest.Attempt{Err: errCrash})
		spec := func(children ...supervisor.Spec) supervisor.Spec {
			return supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "otp", Strict: true, Children: children, Backoff: supervisor.NoBackoff}}}
		}
		tree := suptest.Start(t, spec(old.Spec("old")), supervisor.Options{})
		if err := tree.Apply(t.Context(), spec(old.Spec("old"), x.Spec("x"))); !errors.Is(err, errCrash) {
			t.Errorf("Apply returned %v, want the crash", err)
		}
		if !tree.Ended() {
			t.Error("it came back, though x cannot start")
		}
		if trace := tree.Trace(); !strings.Contains(trace, "app/otp#1 gave up: app/otp/x: failed to start: crash") {
			t.Errorf("the trace is\n%s", trace)
		}
	})
}

// TestProbesThatComeAndGoLeaveNothingBehind: by Apply, a hundred times.
func TestProbesThatComeAndGoLeaveNothingBehind(t *testing.T) { // S31, S28
	synctest.Test(t, func(t *testing.T) {
		stays := suptest.NewWorker().Spec("stays")
		empty := supervisor.Spec{Name: "app", Children: []supervisor.Spec{stays}}
		full := supervisor.Spec{Name: "app", Children: []supervisor.Spec{stays}}
		full.Children[0].Probe = suptest.NewCheck().Probe() // of one that runs on
		for i := range 10 {
			child := suptest.NewWorker().Spec(fmt.Sprint(i))
			child.Probe = suptest.NewCheck().Probe()
			full.Children = append(full.Children, child)
		}
		tree := suptest.Start(t, empty, supervisor.Options{})
		churn := func(n int) int {
			for range n {
				mustApply(t, tree, full)
				tree.Sleep(15 * time.Second)
				mustApply(t, tree, empty)
			}
			synctest.Wait()
			return runtime.NumGoroutine()
		}
		before := churn(1)
		if after := churn(scale(100, 10)); after > before+2 {
			t.Errorf("%d goroutines, %d before", after, before)
		}
	})
}
