package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

func TestImpairedIsDegradedAndNotRestarted(t *testing.T) { // S32
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.b.Impaired(errors.New("replica lag 40s"))
		w.RequireStatus("app/b", supervisor.Degraded)
		w.RequireStatus("app", supervisor.Degraded)
		if got, want := w.Why("app"), "app/b ready: replica lag 40s"; got != want {
			t.Errorf("Why says %q, want %q", got, want)
		}
		w.b.Impaired(errors.New("replica lag 40s")) // says nothing new
		w.b.Impaired(nil)
		w.b.Impaired(nil)
		w.RequireStatus("app", supervisor.Up)
		if got := w.b.Started(); got != 1 {
			t.Errorf("it was started %d times", got)
		}
		trace := w.Trace()
		if strings.Count(trace, "app/b#1 impaired: replica lag 40s\n") != 1 || strings.Count(trace, "app/b#1 recovered\n") != 1 {
			t.Errorf("the trace is\n%s", trace)
		}
	})
}

// TestLastWordOnImpairmentHolds: many goroutines of a worker speak at once, and
// the last word is well.
func TestLastWordOnImpairmentHolds(t *testing.T) { // S32
	contexts := make(chan context.Context, 1)
	sup, stop := run(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "w", Run: func(ctx context.Context, ready func()) error {
		contexts <- ctx
		ready()
		<-ctx.Done()
		return nil
	}}}}, supervisor.Options{})
	ctx := <-contexts
	for range scale(500, 20) {
		var talkers sync.WaitGroup
		for range 6 {
			talkers.Go(func() { supervisor.Impaired(ctx, errCrash); supervisor.Impaired(ctx, nil) })
		}
		talkers.Wait()
		supervisor.Impaired(ctx, nil)
		if _, err := sup.Children(ctx, "app"); err != nil { // all inputs before it were taken
			t.Fatal(err)
		}
		if status, _ := sup.StatusOf("app/w"); status != supervisor.Up {
			t.Fatalf("the status is %v", status)
		}
	}
	_ = stop()
}

func TestImpairmentEndsWithTheIncarnation(t *testing.T) { // S32
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		old := w.b.Context()
		w.b.Impaired(errCrash)
		w.b.Fail(errCrash)
		w.Sleep(time.Second)
		w.RequireStatus("app/b", supervisor.Up)
		supervisor.Impaired(old, errCrash) // a dead incarnation has no say
		w.RequireStatus("app/b", supervisor.Up)
	})
}

func TestImpairedPanicsOutsideAWorker(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it did not panic")
		}
	}()
	supervisor.Impaired(t.Context(), errCrash)
}

func TestEventsAreNumberedCausesFirst(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		db, web := suptest.NewWorker(), suptest.NewWorker()
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
			{Name: "storage", Intensity: supervisor.Intensity{Within: time.Minute}, Children: []supervisor.Spec{db.Spec("db")}}, web.Spec("web"),
		}}, supervisor.Options{})
		db.Fail(errCrash)
		tree.Sleep(time.Minute)
		_ = tree.Shutdown()
		events := tree.Events()
		for i, e := range events {
			if e.Seq != uint64(i+1) || e.Time.IsZero() || e.Path == "" {
				t.Fatalf("event %d is %+v", i, e)
			}
		}
		at := func(line string) int {
			return slices.IndexFunc(events, func(e supervisor.Event) bool { return strings.HasPrefix(e.String(), line) })
		}
		order := []string{"shop/storage/db#1 exited", "shop/storage#1 gave up", "shop/storage#1 exited", "shop/web#1 stopping", "shop/web#1 stopped", "shop/storage#2 started", "shop/storage/db#2 ready", "shop/storage#2 ready", "shop/web#2 started"}
		for i := 1; i < len(order); i++ {
			if at(order[i-1]) < 0 || at(order[i-1]) >= at(order[i]) {
				t.Errorf("%q is not before %q:\n%s", order[i-1], order[i], tree.Trace())
			}
		}
	})
}

func TestEventWordsItselfInOneLine(t *testing.T) { // S35
	e := supervisor.Event{Path: "shop/db", Kind: supervisor.EventBackingOff, Incarnation: 3, Delay: 400 * time.Millisecond, Err: errors.New("dial:\nrefused")}
	if got, want := e.String(), "shop/db#3 backing off 400ms: dial: | refused"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

// TestSlowObserverLosesEventsButNeverSlowsTheTree: with an observer that does
// not return, the tree goes on, and what is lost is counted.
func TestSlowObserverLosesEventsButNeverSlowsTheTree(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		seen := 0
		var last uint64
		a := suptest.NewWorker()
		sup, err := supervisor.New(supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited, Children: []supervisor.Spec{a.Spec("a")}},
			supervisor.Options{EventBuffer: 10, Observer: func(e supervisor.Event) {
				<-release
				seen++
				if e.Seq <= last {
					t.Errorf("event %d after %d", e.Seq, last)
				}
				last = e.Seq
			}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- sup.Run(ctx) }()
		synctest.Wait()
		for range 20 {
			a.Fail(errCrash)
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if got := a.Started(); got != 21 {
			t.Errorf("it was started %d times, want 21", got)
		}
		close(release)
		cancel()
		<-ended
		if total := uint64(seen) + sup.Dropped(); total != last || sup.Dropped() == 0 {
			t.Errorf("%d seen and %d dropped of %d", seen, sup.Dropped(), last)
		}
	})
}

func TestRunEndsThoughTheObserverHangs(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		release, calls := make(chan struct{}), 0
		sup, err := supervisor.New(supervisor.Spec{Name: "app", Children: []supervisor.Spec{}}, supervisor.Options{Observer: func(supervisor.Event) { calls++; <-release }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		if err := sup.Run(ctx); err != nil || time.Since(start) > time.Second {
			t.Errorf("Run returned %v after %v", err, time.Since(start))
		}
		close(release)
		synctest.Wait()
		if calls > 1 || sup.Dropped() == 0 {
			t.Errorf("after Run the observer was called %d times; %d events are counted as dropped", calls-1, sup.Dropped())
		}
	})
}

func TestSnapshotDrawsTheTree(t *testing.T) { // S36
	synctest.Test(t, func(t *testing.T) {
		db, cache, web := suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()
		spec := supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
			{Name: "storage", Children: []supervisor.Spec{db.Spec("db"), cache.Spec("cache")}},
			web.Spec("web"),
		}}
		sup, err := supervisor.New(spec, supervisor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "snapshot_before", sup.Snapshot().String())
		tree := suptest.Start(t, spec, supervisor.Options{})
		cache.Impaired(errors.New("slow"))
		db.AlwaysStarts(suptest.Attempt{Err: errors.New("connection refused")})
		db.Fail(errCrash)
		tree.Sleep(500 * time.Millisecond)
		golden(t, "snapshot_broken", tree.Snapshot().String())
		snap, ok := tree.Snapshot().Find("shop/storage/db")
		if !ok || snap.Attempt != 3 || snap.Incarnation != 3 || time.Until(snap.NextStart) != 200*time.Millisecond {
			t.Errorf("db is %+v", snap)
		}
		var paths []string
		for s := range tree.Snapshot().All() {
			paths = append(paths, s.Path)
		}
		var lazy []string
		for s := range tree.All("") {
			lazy = append(lazy, s.Path)
		}
		want := "[shop shop/storage shop/storage/db shop/storage/cache shop/web]"
		if fmt.Sprint(paths) != want || fmt.Sprint(lazy) != want {
			t.Errorf("All yields %v and %v, want %s", paths, lazy, want)
		}
		for s := range tree.All("shop/storage") {
			if s.Path == "shop/storage/cache" {
				t.Error("All goes on after it was told to stop")
			}
			if s.Path == "shop/storage/db" {
				break
			}
		}
	})
}

// TestSinceIsWhenTheStateWasEntered, whatever happens within it.
func TestSinceIsWhenTheStateWasEntered(t *testing.T) { // S36
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := suptest.NewWorker().Starts(suptest.Attempt{After: time.Second}).StopsAfter(3*time.Second, nil)
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{w.Spec("w")}}, supervisor.Options{})
		after := func(d time.Duration, state supervisor.State, since time.Duration) {
			t.Helper()
			tree.Sleep(d)
			tree.RequireState("app/w", state)
			if got := mustFind(t, tree, "app/w").Since.Sub(began); got != since {
				t.Errorf("it is %v since %v, want %v", state, got, since)
			}
			if snap, _ := tree.Snapshot().Find("app/w"); snap.Since.Sub(began) != since {
				t.Errorf("in the whole snapshot since %v, want %v", snap.Since.Sub(began), since)
			}
		}
		after(500*time.Millisecond, supervisor.Starting, 0)
		after(9500*time.Millisecond, supervisor.Ready, time.Second)
		w.Impaired(errCrash)
		after(10*time.Second, supervisor.Ready, time.Second)
		w.Fail(errCrash)
		after(50*time.Millisecond, supervisor.BackingOff, 20*time.Second)
		after(time.Second, supervisor.Ready, 20100*time.Millisecond)
		go func() { _ = tree.Stop(t.Context(), "app/w") }()
		after(time.Second, supervisor.Stopping, 21050*time.Millisecond)
		after(time.Minute, supervisor.Stopped, 24050*time.Millisecond)
	})
}

func TestSnapshotReadsLargeSupervisorsInBatches(t *testing.T) { // S36
	spec := supervisor.Spec{Name: "pool", Concurrent: true, Children: []supervisor.Spec{}}
	idle := supervisor.Func(func(ctx context.Context) error { <-ctx.Done(); return nil })
	n := scale(2500, 101)
	for i := range n {
		spec.Children = append(spec.Children, supervisor.Spec{Name: fmt.Sprint(i), Run: idle})
	}
	sup, stop := run(t, spec, supervisor.Options{})
	snap := sup.Snapshot()
	if len(snap.Children) != n || snap.Children[n-1].Name() != fmt.Sprint(n-1) {
		t.Errorf("the snapshot has %d children", len(snap.Children))
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestStatus: what a supervisor's status is, by what its children are.
func TestStatus(t *testing.T) { // S37
	type bring func(w trio)
	down := func(worker func(trio) *suptest.Worker) bring { return func(w trio) { worker(w).Fail(errCrash) } }
	impaired := func(worker func(trio) *suptest.Worker) bring { return func(w trio) { worker(w).Impaired(errCrash) } }
	a, b := func(w trio) *suptest.Worker { return w.a }, func(w trio) *suptest.Worker { return w.b }
	for name, c := range map[string]struct {
		optionalA bool
		quorum    int
		do        []bring
		want      supervisor.Status
	}{
		"all ready":                 {want: supervisor.Up},
		"one down":                  {do: []bring{down(a)}, want: supervisor.Down},
		"optional down":             {optionalA: true, do: []bring{down(a)}, want: supervisor.Degraded},
		"impaired":                  {do: []bring{impaired(a)}, want: supervisor.Degraded},
		"impaired and down":         {do: []bring{impaired(a), down(b)}, want: supervisor.Down},
		"quorum of 2, one down":     {quorum: 2, do: []bring{down(a)}, want: supervisor.Degraded},
		"quorum of 2, two down":     {quorum: 2, do: []bring{down(a), down(b)}, want: supervisor.Down},
		"quorum of 2, two impaired": {quorum: 2, do: []bring{impaired(a), impaired(b)}, want: supervisor.Degraded},
		"stopped on request":        {do: []bring{func(w trio) { _ = w.Stop(context.Background(), "app/a") }}, want: supervisor.Down},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) {
				app.Quorum, app.Children[0].Optional = c.quorum, c.optionalA
			})
			for _, do := range c.do {
				do(w)
			}
			if got := w.Status(); got != c.want {
				t.Errorf("%s: the status is %v, want %v", name, got, c.want)
			}
			w.Sleep(time.Second)
			_ = w.Start(t.Context(), "app/a")
			w.a.Impaired(nil)
			w.b.Impaired(nil)
			if got := w.Status(); got != supervisor.Up {
				t.Errorf("%s: the status is %v after all healed", name, got)
			}
		})
	}
}

func TestStatusReachesTheRootFromAnyDepth(t *testing.T) { // S37
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker()
		spec := w.Spec("leaf")
		for range 50 {
			spec = supervisor.Spec{Name: "sup", Children: []supervisor.Spec{spec}}
		}
		tree := suptest.Start(t, spec, supervisor.Options{})
		path := strings.Repeat("sup/", 50) + "leaf"
		for range 3 {
			tree.RequireStatus("sup", supervisor.Up)
			w.Impaired(errCrash)
			tree.RequireStatus("sup", supervisor.Degraded)
			w.Fail(errCrash)
			tree.RequireStatus("sup", supervisor.Down)
			if why := tree.Why(""); !strings.HasPrefix(why, path+" backing off (attempt ") {
				t.Errorf("Why says %q", why)
			}
			tree.Sleep(time.Minute)
		}
	})
}

func TestStatusIsDownBeforeReadyAndAfterRun(t *testing.T) { // S37
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker().Starts(suptest.Attempt{After: time.Second})
		spec := w.Spec("a")
		spec.Optional = true
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "b", Run: suptest.NewWorker().AlwaysStarts(suptest.Attempt{After: 2 * time.Second}).Run}, spec}}, supervisor.Options{})
		if tree.Started() || tree.Status() != supervisor.Down {
			t.Errorf("before: started is %v, the status %v", tree.Started(), tree.Status())
		}
		tree.Sleep(time.Minute)
		if !tree.Started() || tree.Status() != supervisor.Up {
			t.Errorf("then: started is %v, the status %v", tree.Started(), tree.Status())
		}
		_ = tree.Shutdown()
		if !tree.Started() || tree.Status() != supervisor.Down {
			t.Errorf("after: started is %v, the status %v", tree.Started(), tree.Status())
		}
	})
}

func TestReadingTheStatusAllocatesNothing(t *testing.T) { // S37
	sup, stop := run(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{}}, supervisor.Options{})
	if n := testing.AllocsPerRun(100, func() { _ = sup.Status() }); n != 0 {
		t.Errorf("Status allocates %v times", n)
	}
	_ = stop()
}

// TestWhy: every node that is not Up says why, in one line.
func TestWhy(t *testing.T) { // S38
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.RestForOne, nil)
		if got := w.Why("app/a"); got != "" {
			t.Errorf("of a node that is Up, Why says %q", got)
		}
		w.a.Fail(errors.New("connection\nrefused"))
		if got, want := w.Why("app/a"), "app/a backing off (attempt 1, next in 100ms): connection | refused"; got != want {
			t.Errorf("Why says %q, want %q", got, want)
		}
		if got, want := w.Why("app"), "app/a backing off (attempt 1, next in 100ms): connection | refused"; got != want {
			t.Errorf("of the root, Why says %q, want %q", got, want)
		}
		if got, want := w.Why("app/b"), "app/b pending"; got != want {
			t.Errorf("of b, Why says %q, want %q", got, want)
		}
		w.Sleep(time.Second)
		if got := w.Why("app"); got != "" {
			t.Errorf("of a tree that is well, Why says %q", got)
		}
	})
}

func TestAilingCountsEveryoneToBlame(t *testing.T) { // S37, S38
	synctest.Test(t, func(t *testing.T) {
		var workers []*suptest.Worker
		spec := supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited}
		for i := range 30 {
			w := suptest.NewWorker()
			workers = append(workers, w)
			spec.Children = append(spec.Children, supervisor.Spec{Name: fmt.Sprint("s", i), Children: []supervisor.Spec{w.Spec("w")}})
		}
		tree := suptest.Start(t, spec, supervisor.Options{})
		for _, w := range workers[:25] {
			w.Fail(errCrash)
		}
		workers[29].Impaired(errCrash)
		nodes, total := tree.Ailing(supervisor.Down, 20)
		if len(nodes) != 20 || total != 25 {
			t.Errorf("%d nodes of %d are Down, want 20 of 25", len(nodes), total)
		}
		for _, n := range nodes {
			if n.Supervisor || n.Status != supervisor.Down {
				t.Errorf("%s is listed, which is %v", n.Path, n.Status)
			}
		}
		if nodes, total := tree.Ailing(supervisor.Degraded, 100); len(nodes) != 26 || total != 26 {
			t.Errorf("%d nodes of %d are not Up, want 26 of 26", len(nodes), total)
		}
	})
}

type key struct{}

func TestContextCarriesPathIncarnationAndValues(t *testing.T) { // S41
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker()
		ctx := context.WithValue(t.Context(), key{}, "value")
		tree := suptest.StartContext(ctx, t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
			{Name: "sub", Children: []supervisor.Spec{w.Spec("w")}},
		}}, supervisor.Options{})
		if err := tree.Restart(t.Context(), "app/sub"); err != nil { // the number counts over the tree's life
			t.Fatal(err)
		}
		got := w.Context()
		if supervisor.PathFrom(got) != "app/sub/w" || supervisor.IncarnationFrom(got) != 2 || got.Value(key{}) != "value" {
			t.Errorf("path %q, incarnation %d, value %v", supervisor.PathFrom(got), supervisor.IncarnationFrom(got), got.Value(key{}))
		}
		if supervisor.PathFrom(ctx) != "" || supervisor.IncarnationFrom(ctx) != 0 {
			t.Error("a context of no worker has a path")
		}
	})
}

func TestProfileLabelsAreOptIn(t *testing.T) { // S41
	for _, on := range []bool{false, true} {
		labels := make(chan string, 1)
		_, stop := run(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "w", Run: supervisor.Func(func(ctx context.Context) error {
			var profile strings.Builder
			if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
				return err
			}
			labels <- profile.String()
			<-ctx.Done()
			return nil
		})}}}, supervisor.Options{ProfileLabels: on})
		if got := strings.Contains(<-labels, `"path":"app/w"`); got != on {
			t.Errorf("ProfileLabels %v: the label is there: %v", on, got)
		}
		_ = stop()
	}
}

// TestCallersLabelsAreNotTheWorkers: who adds a child makes the step that starts
// it, and perhaps a goroutine for it, which is not the caller's for all that.
func TestCallersLabelsAreNotTheWorkers(t *testing.T) { // S41
	sup, stop := run(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{}}, supervisor.Options{})
	profiles := make(chan string, 1)
	worker := supervisor.Spec{Run: supervisor.Func(func(ctx context.Context) error {
		var profile strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
		profiles <- profile.String()
		<-ctx.Done()
		return nil
	})}
	var profile string
	pprof.Do(t.Context(), pprof.Labels("caller", "an operator"), func(ctx context.Context) {
		if _, err := sup.Add(ctx, "app", worker); err != nil {
			t.Error(err)
		}
		profile = <-profiles
	})
	stacks := 0
	for stack := range strings.SplitSeq(profile, "\n\n") {
		if labelled := strings.Contains(stack, "an operator"); strings.Contains(stack, "TestCallersLabels") && strings.Contains(stack, "(*slot).Serve") {
			stacks++
			if labelled {
				t.Errorf("the worker has its caller's label:\n%s", stack)
			}
		} else if labelled && !strings.Contains(stack, "pprof.Do") {
			t.Errorf("somebody else has the caller's label:\n%s", stack)
		}
	}
	if stacks != 1 {
		t.Errorf("%d workers' stacks, want 1:\n%s", stacks, profile)
	}
	_ = stop()
}

func TestWaitReady(t *testing.T) { // S45
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker().Starts(suptest.Attempt{After: 3 * time.Second})
		sup, err := supervisor.New(supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "sub", Children: []supervisor.Spec{w.Spec("w")}}}}, supervisor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		start := time.Now()
		for _, path := range []string{"", "app", "app/sub", "app/sub/w"} {
			go func() {
				if err := sup.WaitReady(ctx, path); err != nil || time.Since(start) != 3*time.Second {
					t.Errorf("WaitReady(%q) returned %v after %v", path, err, time.Since(start))
				}
			}()
		}
		synctest.Wait() // they wait already before Run
		go func() { ended <- sup.Run(ctx) }()
		short, done := context.WithTimeout(ctx, time.Second)
		defer done()
		if err := sup.WaitReady(short, "app"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "app/sub/w starting") {
			t.Errorf("WaitReady in vain returned %v, want the deadline and the reason", err)
		}
		if err := sup.WaitReady(ctx, "app/none"); !errors.Is(err, supervisor.ErrNotFound) {
			t.Errorf("WaitReady of no node returned %v", err)
		}
		time.Sleep(5 * time.Second)
		if err := sup.Stop(ctx, "app/sub/w"); err != nil {
			t.Fatal(err)
		}
		inVain := make(chan error, 1)
		go func() { inVain <- sup.WaitReady(t.Context(), "app/sub/w") }()
		synctest.Wait()
		cancel()
		<-ended
		if err := <-inVain; !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("WaitReady when Run ended returned %v", err)
		}
		if err := sup.WaitReady(t.Context(), ""); !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("WaitReady after Run returned %v", err)
		}
	})
}
