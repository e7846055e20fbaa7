package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// needing is w's Spec with DependsOn.
func needing(w *suptest.Worker, name string, needs ...string) supervisor.Spec {
	spec := w.Spec(name)
	spec.DependsOn = needs
	return spec
}

// A diamond is a supervisor "app" in which b and c need a, d needs b and c, and
// e needs nobody.
type diamond struct {
	*suptest.Tree
	a, b, c, d, e *suptest.Worker
}

func startDiamond(t *testing.T, change func(*diamond, *supervisor.Spec)) diamond {
	t.Helper()
	w := diamond{a: suptest.NewWorker(), b: suptest.NewWorker(), c: suptest.NewWorker(), d: suptest.NewWorker(), e: suptest.NewWorker()}
	app := supervisor.Spec{Name: "app", Strategy: supervisor.DependentsForOne, Children: []supervisor.Spec{
		w.a.Spec("a"), needing(w.b, "b", "a"), needing(w.c, "c", "a"), needing(w.d, "d", "b", "c"), w.e.Spec("e")}}
	if change != nil {
		change(&w, &app)
	}
	w.Tree = suptest.Start(t, app, supervisor.Options{})
	return w
}

func TestGoldenDependentsForOne(t *testing.T) { // S12, S23
	synctest.Test(t, func(t *testing.T) {
		w := startDiamond(t, func(w *diamond, _ *supervisor.Spec) {
			w.e.AlwaysStarts(suptest.Attempt{After: 500 * time.Millisecond}).StopsAfter(500*time.Millisecond, nil)
			w.b.AlwaysStarts(suptest.Attempt{After: 2 * time.Second}).StopsAfter(2*time.Second, nil)
			w.c.AlwaysStarts(suptest.Attempt{After: time.Second}).StopsAfter(time.Second, nil)
		})
		w.Sleep(5 * time.Second)
		w.b.Fail(errCrash)
		w.Sleep(5 * time.Second)
		w.a.Fail(errCrash)
		w.Sleep(10 * time.Second)
		_ = w.Shutdown()
		golden(t, "dependents_for_one", w.Trace())
	})
}

// A plan is a random tree of children that need each other, and how long each
// takes. They are numbered so that each needs only lower ones.
type plan struct {
	needs       [][]int
	start, stop []time.Duration
	backoff     []time.Duration
}

func newPlan(random *rand.Rand) plan {
	n := 1 + random.IntN(12)
	p := plan{needs: make([][]int, n), start: make([]time.Duration, n), stop: make([]time.Duration, n), backoff: make([]time.Duration, n)}
	dense := random.Float64() * 0.6
	for i := range n {
		p.start[i] = time.Duration(random.IntN(5)) * time.Second
		p.stop[i] = time.Duration(random.IntN(5)) * time.Second
		p.backoff[i] = time.Duration(1+random.IntN(8)) * 500 * time.Millisecond
		for j := range i {
			if random.Float64() < dense {
				p.needs[i] = append(p.needs[i], j)
			}
		}
	}
	return p
}

// dependents marks everything that needs one of those, or needs what does.
func (p *plan) dependents(of ...int) []bool {
	down := make([]bool, len(p.needs))
	for i, needs := range p.needs {
		for _, on := range append(needs, -1) {
			for _, culprit := range of {
				down[i] = down[i] || on == culprit || on >= 0 && down[on]
			}
		}
	}
	return down
}

// times is when each child is told to stop, is gone, is started and is ready
// again; zero for what does not happen to it.
type times struct{ told, gone, started, ready []time.Duration }

func (p *plan) newTimes() times {
	n := len(p.needs)
	return times{make([]time.Duration, n), make([]time.Duration, n), make([]time.Duration, n), make([]time.Duration, n)}
}

// firstStart is what the plan promises for the start of everything at 0.
func (p *plan) firstStart() times {
	ts := p.newTimes()
	for i, needs := range p.needs {
		for _, on := range needs {
			ts.started[i] = max(ts.started[i], ts.ready[on])
		}
		ts.ready[i] = ts.started[i] + p.start[i]
	}
	return ts
}

// stopped is what it promises for the stop of those that go down at the time.
func (p *plan) stopped(at time.Duration, down []bool) times {
	ts := p.newTimes()
	for i := len(p.needs) - 1; i >= 0; i-- {
		ts.told[i] = max(ts.told[i], at)
		ts.gone[i] = at
		if down[i] {
			ts.gone[i] = ts.told[i] + p.stop[i]
			for _, on := range p.needs[i] {
				ts.told[on] = max(ts.told[on], ts.gone[i])
			}
		}
	}
	return ts
}

// failed is what it promises when the culprits fail at the time. A culprit
// waits for its backoff, and until those that need it have gone.
func (p *plan) failed(at time.Duration, culprits ...int) (ts times, down []bool) {
	down = p.dependents(culprits...)
	ts = p.stopped(at, down)
	restarts := append([]bool(nil), down...)
	for _, c := range culprits {
		ts.started[c], restarts[c] = max(at+p.backoff[c], ts.told[c]), true
	}
	for i, needs := range p.needs {
		if !restarts[i] {
			continue
		}
		ts.started[i] = max(ts.started[i], ts.gone[i])
		for _, on := range needs {
			ts.started[i] = max(ts.started[i], ts.ready[on])
		}
		ts.ready[i] = ts.started[i] + p.start[i]
	}
	return ts, down
}

// A planned is a plan that runs.
type planned struct {
	*suptest.Tree
	t       *testing.T
	plan    plan
	workers []*suptest.Worker
	began   time.Time
}

func (p plan) run(t *testing.T, random *rand.Rand) planned {
	r := planned{t: t, plan: p, began: time.Now()}
	app := supervisor.Spec{Name: "app", Strategy: supervisor.DependentsForOne, Intensity: supervisor.Unlimited, Children: make([]supervisor.Spec, len(p.needs))}
	places := random.Perm(len(p.needs)) // DependsOn may name what stands later
	for i, needs := range p.needs {
		w := suptest.NewWorker().AlwaysStarts(suptest.Attempt{After: p.start[i]}).StopsAfter(p.stop[i], nil)
		spec := w.Spec(fmt.Sprint(i))
		spec.Backoff.Min, spec.Backoff.Max = p.backoff[i], p.backoff[i]
		for _, on := range needs {
			spec.DependsOn = append(spec.DependsOn, fmt.Sprint(on))
		}
		app.Children[places[i]] = spec
		r.workers = append(r.workers, w)
	}
	r.Tree = suptest.Start(t, app, supervisor.Options{})
	return r
}

func (r *planned) now() time.Duration { return time.Since(r.began) }

// require compares the events since the last look with what was promised: each
// kind of event of each child, once, at its time, or never.
func (r *planned) require(what string, kinds map[supervisor.EventKind][]time.Duration, of map[supervisor.EventKind][]bool) {
	r.t.Helper()
	for kind, want := range kinds {
		for i := range want {
			var got []time.Duration
			for _, e := range r.Events() {
				if e.Kind == kind && e.Path == fmt.Sprint("app/", i) {
					got = append(got, e.Time.Sub(r.began))
				}
			}
			if happens := of[kind][i]; happens && (len(got) != 1 || got[0] != want[i]) || !happens && len(got) > 0 {
				r.t.Fatalf("%s: %d %s at %v, want %v (%v)\n%+v\n%s", what, i, kind, got, want[i], happens, r.plan, r.Trace())
			}
		}
	}
	r.Forget()
}

func all(n int) []bool {
	every := make([]bool, n)
	for i := range every {
		every[i] = true
	}
	return every
}

func with(down []bool, culprits ...int) []bool {
	down = append([]bool(nil), down...)
	for _, c := range culprits {
		down[c] = true
	}
	return down
}

// fail lets the culprits fail, and requires what was promised.
func (r *planned) fail(culprits ...int) {
	r.t.Helper()
	r.Forget()
	ts, down := r.plan.failed(r.now(), culprits...)
	for _, c := range culprits {
		r.workers[c].Fail(errCrash)
	}
	r.Sleep(time.Hour)
	again := with(down, culprits...)
	r.require(fmt.Sprint("failure of ", culprits),
		map[supervisor.EventKind][]time.Duration{supervisor.EventStopping: ts.told, supervisor.EventStopped: ts.gone, supervisor.EventStarted: ts.started, supervisor.EventReady: ts.ready},
		map[supervisor.EventKind][]bool{supervisor.EventStopping: down, supervisor.EventStopped: down, supervisor.EventStarted: again, supervisor.EventReady: again})
}

// independent returns two children neither of which needs the other, or false.
func (p *plan) independent(random *rand.Rand) (a, b int, ok bool) {
	for range 20 {
		a, b = random.IntN(len(p.needs)), random.IntN(len(p.needs))
		if a != b && !p.dependents(a)[b] && !p.dependents(b)[a] {
			return a, b, true
		}
	}
	return 0, 0, false
}

// TestDependentsMoveAsANaiveModelSays: on random graphs, every child starts and
// stops at exactly the time at which the last that it waits for lets it, and
// those that a failure does not concern do nothing.
func TestDependentsMoveAsANaiveModelSays(t *testing.T) { // S12, S23
	random := rand.New(rand.NewPCG(1, 2))
	for range scale(400, 8) {
		p := newPlan(random)
		synctest.Test(t, func(t *testing.T) {
			n := len(p.needs)
			r := p.run(t, random)
			r.Sleep(time.Hour)
			ts := p.firstStart()
			r.require("first start", map[supervisor.EventKind][]time.Duration{supervisor.EventStarted: ts.started, supervisor.EventReady: ts.ready},
				map[supervisor.EventKind][]bool{supervisor.EventStarted: all(n), supervisor.EventReady: all(n)})
			r.fail(random.IntN(n))
			if a, b, ok := p.independent(random); ok {
				r.fail(a, b)
			}
			ts = p.stopped(r.now(), all(n))
			_ = r.Shutdown()
			r.require("shutdown", map[supervisor.EventKind][]time.Duration{supervisor.EventStopping: ts.told, supervisor.EventStopped: ts.gone},
				map[supervisor.EventKind][]bool{supervisor.EventStopping: all(n), supervisor.EventStopped: all(n)})
		})
	}
}

// TestChainIsRestForOne: children each of which needs the one before do the
// same, event for event, as under RestForOne.
func TestChainIsRestForOne(t *testing.T) { // S11, S12
	for seed := range uint64(scale(200, 4)) {
		var traces [2]string
		for i, strategy := range []supervisor.Strategy{supervisor.RestForOne, supervisor.DependentsForOne} {
			synctest.Test(t, func(t *testing.T) { traces[i] = chainTrace(t, strategy, rand.New(rand.NewPCG(seed, 1))) })
		}
		if traces[0] != traces[1] {
			t.Fatalf("seed %d:\n--- RestForOne\n%s--- a chain\n%s", seed, traces[0], traces[1])
		}
	}
}

// chainTrace lets a few children crash, and fail to start, at random. Where some
// are Optional they hardly back off: who depends on one that comes back is
// roused, and RestForOne knows no such thing.
func chainTrace(t *testing.T, strategy supervisor.Strategy, random *rand.Rand) string {
	within := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
	app := supervisor.Spec{Name: "app", Strategy: strategy, Intensity: supervisor.Unlimited}
	optional := random.IntN(2) == 0
	var workers []*suptest.Worker
	for i := range 2 + random.IntN(5) {
		w := suptest.NewWorker().AlwaysStarts(suptest.Attempt{After: within(time.Second)}).StopsAfter(within(time.Second), nil)
		w.Starts(make([]suptest.Attempt, random.IntN(2))...)
		spec := w.Spec(fmt.Sprint(i))
		if optional {
			spec.Optional, spec.Backoff.Max = random.IntN(3) == 0, time.Nanosecond
		}
		if random.IntN(3) == 0 {
			spec.Restart = supervisor.Transient
		}
		if i > 0 && strategy == supervisor.DependentsForOne {
			spec.DependsOn = []string{fmt.Sprint(i - 1)}
		}
		app.Children, workers = append(app.Children, spec), append(workers, w)
	}
	tree := suptest.Start(t, app, supervisor.Options{})
	for range 20 {
		tree.Sleep(within(3 * time.Second))
		i := random.IntN(len(workers))
		failing := suptest.Attempt{After: within(time.Second), Err: errCrash}
		if random.IntN(3) > 0 {
			failing.Err = nil
		}
		crash := errCrash
		if random.IntN(4) == 0 {
			crash = nil
		}
		if mustFind(t, tree, fmt.Sprint("app/", i)).State == supervisor.Ready {
			workers[i].Starts(failing)
			workers[i].Fail(crash)
		}
	}
	tree.Sleep(within(time.Second))
	_ = tree.Shutdown()
	return tree.Trace()
}

// TestDependentWaitsForADependencyThatIsOnlyAboutToStop: while a group stops,
// who backs off does not start beside a dependency that is still ready but must
// go.
func TestDependentWaitsForADependencyThatIsOnlyAboutToStop(t *testing.T) { // S12
	synctest.Test(t, func(t *testing.T) {
		w := startDiamond(t, func(w *diamond, app *supervisor.Spec) {
			w.d.StopsAfter(5*time.Second, nil)
			app.Children[3].DependsOn = []string{"c"}
			app.Children = append(app.Children, needing(suptest.NewWorker().Starts(suptest.Attempt{Err: errCrash}), "late", "c"))
			app.Children[5].Backoff.Min = time.Second
		})
		w.a.Fail(errCrash) // c is to stop once d has
		w.Sleep(4 * time.Second)
		w.RequireState("app/c", supervisor.Ready)
		w.RequireState("app/late", supervisor.Pending)
		w.Sleep(2 * time.Second)
		w.RequireState("app/late", supervisor.Ready)
		if got := mustFind(t, w.Tree, "app/late").Incarnation; got != 2 {
			t.Errorf("it was started %d times, want 2", got)
		}
	})
}

// TestStartWaitsForNoDependent: one that starts or stops with its group
// meanwhile does not hold up what an operator starts.
func TestStartWaitsForNoDependent(t *testing.T) { // S1, S12, S30
	for state, d := range map[supervisor.State]*suptest.Worker{
		supervisor.Starting: suptest.NewWorker().Starts(suptest.Attempt{}, suptest.Attempt{After: 8 * time.Second}),
		supervisor.Stopping: suptest.NewWorker().StopsAfter(8*time.Second, nil),
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startDiamond(t, func(_ *diamond, app *supervisor.Spec) { app.Children[3].Run = d.Run })
			if err := w.Stop(t.Context(), "app/b"); err != nil {
				t.Fatal(err)
			}
			w.c.Fail(errCrash)
			w.Sleep(time.Second)
			w.RequireState("app/d", state)
			start := time.Now()
			if err := w.Start(t.Context(), "app/b"); err != nil || time.Since(start) > 0 {
				t.Errorf("while d is %v Start returned %v after %v", state, err, time.Since(start))
			}
		})
	}
}

// TestWhoNeedsWhatDoesNotRunNeedsWhatItNeeds: web needs the migration, which is
// over or was stopped, and so the database below it.
func TestWhoNeedsWhatDoesNotRunNeedsWhatItNeeds(t *testing.T) { // S12, S23
	for name, end := range map[string]func(*suptest.Tree, *suptest.Worker) error{
		"over": func(_ *suptest.Tree, migration *suptest.Worker) error { migration.Return(); return nil },
		"stopped": func(tree *suptest.Tree, _ *suptest.Worker) error {
			return tree.Stop(context.Background(), "app/migration")
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			db, migration, web := suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker().StopsAfter(5*time.Second, nil)
			app := supervisor.Spec{Name: "app", Strategy: supervisor.DependentsForOne, Children: []supervisor.Spec{
				db.Spec("db"), needing(migration, "migration", "db"), needing(web, "web", "migration")}}
			app.Children[1].Restart = supervisor.Transient
			tree := suptest.Start(t, app, supervisor.Options{})
			if err := end(tree, migration); err != nil {
				t.Fatal(err)
			}
			db.Starts(suptest.Attempt{After: 10 * time.Second})
			db.Fail(errCrash)
			tree.Sleep(14 * time.Second)
			tree.RequireState("app/web", supervisor.Pending)
			tree.Sleep(2 * time.Second)
			tree.RequireState("app/web", supervisor.Ready)
			tree.Cancel()
			tree.RequireState("app/web", supervisor.Stopping)
			if got := mustFind(t, tree, "app/db").State; got != supervisor.Ready {
				t.Errorf("%s: the database is %v while web stops", name, got)
			}
		})
	}
}

func TestStopLeavesDependentsRunning(t *testing.T) { // S12, S30
	synctest.Test(t, func(t *testing.T) {
		w := startDiamond(t, nil)
		if err := w.Stop(t.Context(), "app/a"); err != nil {
			t.Fatal(err)
		}
		w.c.Fail(errCrash) // and they may start without it
		w.Sleep(time.Second)
		for path, incarnation := range map[string]uint64{"app/b": 1, "app/c": 2, "app/d": 2} {
			w.RequireState(path, supervisor.Ready)
			if got := mustFind(t, w.Tree, path).Incarnation; got != incarnation {
				t.Errorf("%s is in incarnation %d, want %d", path, got, incarnation)
			}
		}
		if err := w.Start(t.Context(), "app/a"); err != nil {
			t.Fatal(err)
		}
		w.a.Fail(errCrash) // it is needed as before
		w.Sleep(time.Second)
		if got := mustFind(t, w.Tree, "app/b").Incarnation; got != 2 {
			t.Errorf("b is in incarnation %d, want 2", got)
		}
	})
}

func TestAddWaitsForWhatItNeeds(t *testing.T) { // S12, S30
	synctest.Test(t, func(t *testing.T) {
		w := startDiamond(t, func(w *diamond, _ *supervisor.Spec) {
			w.a.Starts(suptest.Attempt{}, suptest.Attempt{After: 10 * time.Second})
		})
		w.a.Fail(errCrash)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		impatient, patient := suptest.NewWorker(), suptest.NewWorker()
		if _, err := w.Add(ctx, "app", needing(impatient, "impatient", "a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Add returned %v, want its context's end", err)
		}
		w.RequireState("app/impatient", supervisor.Pending) // the request stands
		start := time.Now()
		if _, err := w.Add(t.Context(), "app", needing(patient, "patient", "a", "e")); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 5*time.Second+100*time.Millisecond {
			t.Errorf("Add returned after %v, want 5.1s", d)
		}
		w.RequireState("app/impatient", supervisor.Ready)
		w.a.Fail(errCrash) // they go down with it from now on
		w.Sleep(time.Second)
		if patient.Started() != 2 || impatient.Started() != 2 {
			t.Errorf("they were started %d and %d times, want 2", patient.Started(), impatient.Started())
		}
	})
}

func TestAddNeedsWhatIsThere(t *testing.T) { // S12, S30
	synctest.Test(t, func(t *testing.T) {
		leaving := suptest.NewWorker().StopsAfter(5*time.Second, nil)
		w := startDiamond(t, func(_ *diamond, app *supervisor.Spec) {
			app.Children = append(app.Children, leaving.Spec("leaving"))
			app.Children[4].Restart = supervisor.Temporary
		})
		go func() { _ = w.Remove(context.Background(), "app/leaving") }()
		synctest.Wait()
		for _, on := range []string{"nobody", "e", "leaving", "new"} {
			_, err := w.Add(t.Context(), "app", needing(suptest.NewWorker(), "new", on))
			if want := fmt.Sprintf("app/new: depends on %q: ", on); !errors.Is(err, supervisor.ErrNotFound) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("Add returned %v, want %q and ErrNotFound", err, want)
			}
			if _, err := w.Find("app/new"); !errors.Is(err, supervisor.ErrNotFound) {
				t.Errorf("it is there: %v", err)
			}
		}
		if _, err := w.Add(t.Context(), "app", needing(suptest.NewWorker(), "twice", "a", "a")); !errors.Is(err, supervisor.ErrInvalid) {
			t.Errorf("Add of one that needs the same twice returned %v, want ErrInvalid", err)
		}
	})
}

func TestWhatOthersNeedIsNotForgotten(t *testing.T) { // S12, S30
	synctest.Test(t, func(t *testing.T) {
		w := startDiamond(t, nil)
		ctx := t.Context()
		if err := w.Remove(ctx, "app/c"); !errors.Is(err, supervisor.ErrNeeded) || err.Error() != "app/c: supervisor: siblings depend on it" {
			t.Errorf("Remove returned %v, want ErrNeeded", err)
		}
		w.RequireState("app/c", supervisor.Ready)
		if err := errors.Join(w.Stop(ctx, "app/c"), w.Stop(ctx, "app/d")); err != nil {
			t.Fatal(err)
		}
		if err := w.Delete(ctx, "app/c"); !errors.Is(err, supervisor.ErrNeeded) {
			t.Errorf("Delete returned %v, want ErrNeeded", err)
		}
		if err := errors.Join(w.Delete(ctx, "app/d"), w.Delete(ctx, "app/c")); err != nil {
			t.Fatal(err)
		}
		c, d := suptest.NewWorker(), suptest.NewWorker()
		for _, spec := range []supervisor.Spec{needing(c, "c", "a"), needing(d, "d", "b", "c")} {
			if _, err := w.Add(ctx, "app", spec); err != nil {
				t.Fatal(err)
			}
		}
		c.Fail(errCrash)
		w.Sleep(time.Second)
		if d.Started() != 2 || w.b.Started() != 1 {
			t.Errorf("d and b were started %d and %d times, want 2 and 1", d.Started(), w.b.Started())
		}
	})
}

// TestRefusedAddTakesItsDependentsAlong: nobody starts without what it needs
// because that was not kept.
func TestRefusedAddTakesItsDependentsAlong(t *testing.T) { // S12, S30
	synctest.Test(t, func(t *testing.T) {
		w := startDiamond(t, nil)
		add := func(worker *suptest.Worker, name string, needs ...string) <-chan error {
			result := make(chan error, 1)
			go func() {
				_, err := w.Add(context.Background(), "app", needing(worker, name, needs...))
				result <- err
			}()
			synctest.Wait()
			return result
		}
		next := suptest.NewWorker()
		first := add(suptest.NewWorker().Starts(suptest.Attempt{After: time.Second, Err: errCrash}), "first")
		second := add(next, "next", "first")
		if err := <-first; !errors.Is(err, errCrash) {
			t.Errorf("the first Add returned %v", err)
		}
		if err := <-second; !errors.Is(err, supervisor.ErrNotFound) || next.Started() > 0 {
			t.Errorf("the Add of what needs it returned %v after %d starts, want ErrNotFound and none", err, next.Started())
		}
	})
}

// TestRestartTakesDependentsAlong and nobody else.
func TestRestartTakesDependentsAlong(t *testing.T) { // S12, S42
	synctest.Test(t, func(t *testing.T) {
		w := startDiamond(t, func(w *diamond, _ *supervisor.Spec) { w.d.StopsAfter(time.Second, nil) })
		w.Forget()
		if err := w.Restart(t.Context(), "app/b"); err != nil {
			t.Fatal(err)
		}
		want := strings.TrimLeft(`
0s       app/d#1 stopping: supervisor: restart requested
1s       app/d#1 stopped
1s       app/b#1 stopping: supervisor: restart requested
1s       app/b#1 stopped
1s       app/b#2 started
1s       app/b#2 ready
1s       app/d#2 started
1s       app/d#2 ready
`, "\n")
		if got := w.Trace(); got != want {
			t.Errorf("the trace is\n%swant\n%s", got, want)
		}
	})
}

// TestWhatFlapsTearsNothingElseDown: an outage a hundred times in a minute is
// felt by who needs what is out, and by nobody else.
func TestWhatFlapsTearsNothingElseDown(t *testing.T) { // S12, S19, S35
	synctest.Test(t, func(t *testing.T) {
		feed := suptest.NewWorker()
		needs := func(name string, on ...string) supervisor.Spec {
			spec := suptest.NewWorker().Spec(name)
			spec.DependsOn = on
			return spec
		}
		flaky := feed.Spec("feed")
		flaky.Backoff = supervisor.Backoff{Min: 100 * time.Millisecond, Max: 100 * time.Millisecond, Settle: time.Minute, Jitter: supervisor.NoJitter}
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
			{Name: "core", Strategy: supervisor.DependentsForOne, Children: []supervisor.Spec{
				needs("db"), flaky, needs("board", "feed"), needs("api", "db")}},
			suptest.NewWorker().Spec("web"),
		}}, supervisor.Options{})
		for range 100 {
			feed.Fail(fmt.Errorf("feed: %w", supervisor.ErrUnavailable))
			tree.Sleep(600 * time.Millisecond)
		}
		want := map[string]uint64{"shop": 1, "shop/core": 1, "shop/core/db": 1, "shop/core/feed": 101, "shop/core/board": 101, "shop/core/api": 1, "shop/web": 1}
		for path, incarnation := range want {
			if got := mustFind(t, tree, path); got.Incarnation != incarnation || got.Status != supervisor.Up {
				t.Errorf("%s is %v in its incarnation %d, want %d", path, got.Status, got.Incarnation, incarnation)
			}
		}
		core, _ := tree.Snapshot().Find("shop/core")
		if core.Restarts != 0 {
			t.Errorf("%d restarts were counted, want none", core.Restarts)
		}
		requireTold(t, tree, "incident 1: shop/core/feed#1: feed: unavailable; 100 failures; took down 1; healed")
	})
}
