package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// A patient is the tree "shop" with the probed worker "shop/db", checked every
// 10 s.
type patient struct {
	*suptest.Tree
	*suptest.Worker
	check *suptest.Check
}

func startPatient(t *testing.T, change func(db *supervisor.Spec)) patient {
	t.Helper()
	p := patient{Worker: suptest.NewWorker(), check: suptest.NewCheck()}
	db := p.Spec("db")
	db.Probe = p.check.Probe()
	if change != nil {
		change(&db)
	}
	p.Tree = suptest.Start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{db}}, supervisor.Options{})
	t.Cleanup(p.check.Pass) // before the tree's: what hangs shall not
	return p
}

// probe returns what the snapshot shows of the probe.
func (p patient) probe(t *testing.T) *supervisor.ProbeState {
	t.Helper()
	snap, err := p.Find("shop/db")
	if err != nil {
		t.Fatal(err)
	}
	return snap.Probe
}

// kinds counts the events of a kind.
func kinds(tree *suptest.Tree, kind supervisor.EventKind) (n int) {
	for _, e := range tree.Events() {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

var errNoPong = errors.New("no pong")

func TestGoldenProbeImpairedAndRecovered(t *testing.T) { // S32, S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, nil)
		p.check.Fail(errNoPong)
		p.Sleep(25 * time.Second) // twice: fewer than three
		p.RequireStatus("shop/db", supervisor.Degraded)
		p.check.Pass()
		p.Sleep(10 * time.Second)
		p.RequireStatus("shop/db", supervisor.Up)
		p.check.Fail(errNoPong)
		p.Sleep(20 * time.Second) // twice again: the count started over
		p.Shutdown()
		golden(t, "probe_impaired", p.Trace())
	})
}

func TestGoldenRemedyHelps(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		var p patient
		p = startPatient(t, func(db *supervisor.Spec) {
			db.Probe.Remedies = []supervisor.Remedy{{Name: "purge", Do: func(context.Context) error { p.check.Pass(); return nil }}}
		})
		p.check.Fail(errNoPong)
		p.Sleep(5 * time.Minute)
		p.Shutdown()
		golden(t, "remedy_helps", p.Trace())
	})
}

func TestGoldenRemediesExhausted(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, func(db *supervisor.Spec) {
			db.Probe.Remedies = []supervisor.Remedy{
				{Name: "purge", Do: func(context.Context) error { return nil }},
				{Name: "reload", Do: func(context.Context) error { return errors.New("read-only") }},
			}
		})
		p.check.Fail(fmt.Errorf("%w: %w", supervisor.ErrUnavailable, errNoPong))
		p.Sleep(30 * time.Second)
		p.check.Pass()
		p.Sleep(time.Minute)
		p.Shutdown()
		golden(t, "remedies_exhausted", p.Trace())
	})
}

func TestGoldenCheckHangs(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, nil)
		p.check.Hang()
		p.Sleep(50 * time.Second)
		p.check.Pass()
		p.Sleep(time.Minute)
		p.Shutdown()
		golden(t, "check_hangs", p.Trace())
	})
}

func TestProbeRunsOnlyWhileReady(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		p := patient{Worker: suptest.NewWorker(), check: suptest.NewCheck()}
		p.Starts(suptest.Attempt{After: 25 * time.Second})
		db := p.Spec("db")
		db.Probe = p.check.Probe()
		p.Tree = suptest.Start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{db}}, supervisor.Options{})
		p.Sleep(35*time.Second - 1)
		if n := p.check.Calls(); n != 0 {
			t.Errorf("%d checks before the worker was ready for an Interval", n)
		}
		p.Sleep(1)
		if n := p.check.Calls(); n != 1 {
			t.Errorf("%d checks after an Interval, want 1", n)
		}
		if err := p.Stop(t.Context(), "shop/db"); err != nil {
			t.Fatal(err)
		}
		p.Sleep(time.Hour)
		if n := p.check.Calls(); n != 1 {
			t.Errorf("%d checks of a worker that was stopped", n-1)
		}
	})
}

func TestRecoveryTakesSuccessesInARow(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, func(db *supervisor.Spec) { db.Probe.Successes = 3 })
		after := func(n int, want supervisor.Status) {
			t.Helper()
			p.Sleep(time.Duration(n) * 10 * time.Second)
			p.RequireStatus("shop/db", want)
		}
		p.check.Fail(errNoPong)
		after(1, supervisor.Degraded)
		p.check.Pass()
		after(2, supervisor.Degraded)
		p.check.Fail(errNoPong)
		after(1, supervisor.Degraded)
		p.check.Pass()
		after(2, supervisor.Degraded)
		after(1, supervisor.Up)
	})
}

// TestOnlyFailuresInARowRestart: two of three for ever, and never three.
func TestOnlyFailuresInARowRestart(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, nil)
		p.check.Do(func(context.Context) error {
			if p.check.Calls()%3 == 0 {
				return nil
			}
			return errNoPong
		})
		p.Sleep(time.Hour)
		if n := p.Started(); n != 1 || p.check.Calls() != 360 {
			t.Errorf("started %d times after %d checks", n, p.check.Calls())
		}
	})
}

// TestRemedyCoolsDownAcrossIncarnations: what was tried in the last incarnation
// is not tried again so soon in the next, nor in its supervisor's next.
func TestRemedyCoolsDownAcrossIncarnations(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		remedy, check, worker, sibling := suptest.NewCheck(), suptest.NewCheck(), suptest.NewWorker(), suptest.NewWorker()
		db := worker.Spec("db")
		db.Probe = check.Probe()
		db.Probe.Failures = 1
		db.Probe.Remedies = []supervisor.Remedy{{Name: "purge", Do: remedy.Run, Cooldown: 35 * time.Second}}
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
			{Name: "storage", Backoff: supervisor.NoBackoff, Children: []supervisor.Spec{db, sibling.Spec("sibling")}}}}, supervisor.Options{})
		check.Fail(errNoPong)
		expect := func(wait time.Duration, want int) {
			t.Helper()
			tree.Sleep(wait)
			if got := remedy.Calls(); got != want {
				t.Errorf("tried %d times, want %d\n%s", got, want, tree.Trace())
			}
		}
		expect(10*time.Second, 1)
		expect(15*time.Second, 1)
		sibling.Fail(supervisor.ErrEscalate) // their supervisor is a new one now
		expect(15*time.Second, 1)
		if got := worker.Started(); got != 5 {
			t.Errorf("%d incarnations, want 5", got)
		}
		expect(10*time.Second, 2)
	})
}

func TestRemedyIsTriedAttemptsTimesInAnIncarnation(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		var p patient
		var tried atomic.Int32
		p = startPatient(t, func(db *supervisor.Spec) {
			db.Probe.Remedies = []supervisor.Remedy{{Name: "purge", Attempts: 2, Cooldown: 1, Do: func(context.Context) error {
				tried.Add(1)
				p.check.Pass() // it helps, for a while
				return nil
			}}}
		})
		for want := int32(1); want <= 2; want++ {
			p.check.Fail(errNoPong)
			p.Sleep(time.Minute)
			if tried.Load() != want || p.Started() != 1 {
				t.Fatalf("tried %d times, want %d; %d incarnations", tried.Load(), want, p.Started())
			}
		}
		p.check.Fail(errNoPong)
		p.Sleep(31 * time.Second)
		if tried.Load() != 2 || p.Started() != 2 {
			t.Errorf("tried %d times, want no third; %d incarnations", tried.Load(), p.Started())
		}
		p.Sleep(30 * time.Second)
		if tried.Load() != 3 || p.Started() != 2 {
			t.Errorf("tried %d times with the next incarnation, want 3; %d incarnations", tried.Load(), p.Started())
		}
	})
}

// TestRemedysCheckCountsForRecovery: the check after a remedy is the first of
// the Successes in a row, and alone says whether it helped.
func TestRemedysCheckCountsForRecovery(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		var p patient
		p = startPatient(t, func(db *supervisor.Spec) {
			db.Probe.Successes = 2
			db.Probe.Remedies = []supervisor.Remedy{{Name: "purge", Do: func(context.Context) error { p.check.Pass(); return errCrash }}}
		})
		p.check.Fail(errNoPong)
		p.Sleep(30 * time.Second)
		p.RequireStatus("shop/db", supervisor.Degraded)
		p.Sleep(10 * time.Second)
		p.RequireStatus("shop/db", supervisor.Up)
		if trace := p.Trace(); !strings.Contains(trace, "remedy purge: helped") {
			t.Errorf("its error counts for more than the check:\n%s", trace)
		}
	})
}

// TestAnswerAtTheTimeoutIsTooLate: whatever it says.
func TestAnswerAtTheTimeoutIsTooLate(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, func(db *supervisor.Spec) { db.Probe.Failures = 1000 })
		p.check.Do(func(context.Context) error { time.Sleep(time.Second); return nil })
		p.Sleep(time.Hour)
		if kinds(p.Tree, supervisor.EventImpaired) != 1 || kinds(p.Tree, supervisor.EventRecovered) != 0 {
			t.Errorf("some of them count:\n%s", p.Trace())
		}
	})
}

func TestPanicsOfChecksAndRemediesAreFailures(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, func(db *supervisor.Spec) {
			db.Probe.Remedies = []supervisor.Remedy{
				{Name: "purge", Do: func(context.Context) error { panic("worse") }},
				{Name: "reload", Do: func(context.Context) error { runtime.Goexit(); return nil }},
			}
		})
		p.check.Do(func(context.Context) error { panic("ouch") })
		p.Sleep(31 * time.Second)
		trace := p.Trace()
		for _, want := range []string{
			"shop/db#1 impaired: panic: ouch\n",
			"shop/db#1 remedy purge did not help: panic: worse\n",
			"shop/db#1 remedy reload did not help: called runtime.Goexit\n",
			"shop/db#1 exited: 5 checks in a row failed: panic: ouch\n",
			"shop/db#2 ready\n",
		} {
			if !strings.Contains(trace, want) {
				t.Errorf("the trace lacks %q:\n%s", want, trace)
			}
		}
	})
}

// inBubble counts the goroutines of the test's bubble. The process can have
// others, of the runtime's own, which come and go.
func inBubble() int {
	buf := make([]byte, 1<<20)
	return bytes.Count(buf[:runtime.Stack(buf, true)], []byte(", synctest bubble"))
}

// TestHangingCheckHoldsOneGoroutine: over twenty restarts, a group's and its
// supervisor's, and a removal; Run returns nevertheless, and names it.
func TestHangingCheckHoldsOneGoroutine(t *testing.T) { // S28, S33
	synctest.Test(t, func(t *testing.T) {
		check, worker := suptest.NewCheck(), suptest.NewWorker()
		db := worker.Spec("db")
		db.Probe = check.Probe()
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
			{Name: "storage", Backoff: supervisor.NoBackoff, Children: []supervisor.Spec{db}}}}, supervisor.Options{})
		check.Hang()
		tree.Sleep(11 * time.Second)
		before := inBubble()
		for worker.Started() < 20 {
			tree.Sleep(time.Minute)
			if worker.Started() == 10 {
				worker.Fail(supervisor.ErrEscalate)
			}
		}
		if err := tree.Remove(t.Context(), "shop/storage/db"); err != nil {
			t.Fatal(err)
		}
		if _, err := tree.Add(t.Context(), "shop/storage", db); err != nil {
			t.Fatal(err)
		}
		tree.Sleep(time.Minute)
		if n, after := check.Calls(), inBubble(); n != 1 || after > before {
			t.Errorf("%d checks overlap, %d goroutines, %d with the first", n, after, before)
		}
		if n := kinds(tree, supervisor.EventGaveUp); n > 1 {
			t.Errorf("a check that hangs, an outage, has counted: %d supervisors gave up", n)
		}
		began := time.Now()
		err := tree.Shutdown()
		if want := "supervisor: abandoned incarnations still run: shop/storage/db (check)"; !errors.Is(err, supervisor.ErrAbandoned) || err.Error() != want {
			t.Errorf("Run returned %v, want %s", err, want)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("it held up Run for %v", took)
		}
		check.Pass()
	})
}

// TestCheckWhoseErrorHangsHangs: to compare what it returned is a part of the
// check, and no more than that is held up by it.
func TestCheckWhoseErrorHangsHangs(t *testing.T) { // S28, S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, func(db *supervisor.Spec) { db.Probe.Failures = 1 })
		err := make(unlike)
		p.check.Fail(err)
		p.Sleep(12 * time.Second)
		if got := p.Started(); got != 2 {
			t.Errorf("it was started %d times, want 2", got)
		}
		if err := p.Shutdown(); !errors.Is(err, supervisor.ErrAbandoned) || !strings.Contains(err.Error(), "shop/db (check)") {
			t.Errorf("Run returned %v, want the name of the check", err)
		}
		close(err)
	})
}

// An unlike error has a text, and blocks whoever compares it.
type unlike chan struct{}

func (unlike) Error() string   { return "unlike" }
func (u unlike) Is(error) bool { <-u; return false }

// TestWhatAChecksErrorWrapsCounts: it decides as the worker's own would.
func TestWhatAChecksErrorWrapsCounts(t *testing.T) { // S8, S19, S33
	for name, c := range map[string]struct {
		check             func(context.Context) error
		ends              bool
		restarts, started int
	}{
		"outage":            {func(context.Context) error { return supervisor.ErrUnavailable }, false, 0, 2},
		"panic over outage": {func(context.Context) error { panic(supervisor.ErrUnavailable) }, false, 1, 2},
		"escalation":        {func(context.Context) error { return supervisor.ErrEscalate }, true, 0, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := startPatient(t, func(db *supervisor.Spec) { db.Probe.Failures = 1 })
			p.check.Do(c.check)
			p.Sleep(11 * time.Second)
			p.check.Pass()
			if got := p.Ended(); got != c.ends {
				t.Errorf("%s: the tree has ended: %v", name, got)
			}
			if got := mustFind(t, p.Tree, "shop").Restarts; got != c.restarts {
				t.Errorf("%s: %d restarts counted, want %d", name, got, c.restarts)
			}
			if got := p.Started(); got != c.started {
				t.Errorf("%s: started %d times, want %d", name, got, c.started)
			}
		})
	}
}

func TestHangingRemedyIsBoundedAndAlone(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		remedy := suptest.NewCheck()
		p := startPatient(t, func(db *supervisor.Spec) {
			db.Probe.Remedies = []supervisor.Remedy{{Name: "purge", Do: remedy.Run, Timeout: 3 * time.Second, Cooldown: 1}}
		})
		remedy.Hang()
		p.check.Fail(errNoPong)
		p.Sleep(5 * time.Minute)
		if n := remedy.Calls(); n != 1 || p.Started() < 2 {
			t.Errorf("%d calls overlap in %d incarnations", n, p.Started())
		}
		trace := p.Trace()
		for _, want := range []string{
			"33s      shop/db#1 remedy purge did not help: unavailable: no answer within 3s\n",
			"shop/db#2 remedy purge did not help: unavailable: one begun at 2000-01-01T00:00:30Z has not returned\n",
		} {
			if !strings.Contains(trace, want) {
				t.Errorf("the trace lacks %q:\n%s", want, trace)
			}
		}
		remedy.Pass()
	})
}

// TestStopDuringACheckIsNoFailure: what a check says of a stop is the stop's
// doing; and one that heeds its context does not outlive Run.
func TestStopDuringACheckIsNoFailure(t *testing.T) { // S28, S33
	synctest.Test(t, func(t *testing.T) {
		remedy := suptest.NewCheck()
		p := startPatient(t, func(db *supervisor.Spec) {
			db.Probe.Failures = 1
			db.Probe.Remedies = []supervisor.Remedy{{Name: "purge", Do: remedy.Run}}
		})
		p.check.Do(func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(10 * time.Millisecond)
			return ctx.Err()
		})
		p.Sleep(10*time.Second + 500*time.Millisecond)
		began := time.Now()
		if err := p.Shutdown(); err != nil || time.Since(began) > 10*time.Millisecond {
			t.Errorf("Run returned %v after %v", err, time.Since(began))
		}
		if kinds(p.Tree, supervisor.EventImpaired)+kinds(p.Tree, supervisor.EventExited) > 0 || p.check.Calls() != 1 || remedy.Calls() > 0 {
			t.Errorf("a stop counts as a failure:\n%s", p.Trace())
		}
	})
}

// TestStopDuringARemedyIsNoVerdict: nobody knows whether it would have helped.
func TestStopDuringARemedyIsNoVerdict(t *testing.T) { // S28, S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, func(db *supervisor.Spec) {
			db.Probe.Remedies = []supervisor.Remedy{{Name: "purge", Do: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}}
		})
		p.check.Fail(errNoPong)
		p.Sleep(31 * time.Second)
		if err := p.Shutdown(); err != nil || kinds(p.Tree, supervisor.EventRemedy) > 0 || p.check.Calls() != 3 {
			t.Errorf("Run returned %v after %d checks\n%s", err, p.check.Calls(), p.Trace())
		}
	})
}

// TestStopIsNotHeldUpByACheck: its goroutine is left, and named.
func TestStopIsNotHeldUpByACheck(t *testing.T) { // S28, S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, nil)
		p.check.Hang()
		p.Sleep(10*time.Second + 500*time.Millisecond)
		began := time.Now()
		err := p.Shutdown()
		if took := time.Since(began); took > 100*time.Millisecond || !errors.Is(err, supervisor.ErrAbandoned) {
			t.Errorf("Run returned %v after %v", err, took)
		}
	})
}

// TestCheckOfAnAbandonedWorkerEnds: its prober, too, ends before Run does.
func TestCheckOfAnAbandonedWorkerEnds(t *testing.T) { // S28, S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, nil)
		p.StopsAfter(time.Minute, nil)
		p.check.Do(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		p.Sleep(10*time.Second + 500*time.Millisecond)
		err := p.Shutdown()
		if want := "supervisor: abandoned incarnations still run: shop/db"; err == nil || err.Error() != want {
			t.Errorf("Run returned %v, want %s", err, want)
		}
	})
}

// TestOutageSeenByACheckDoesNotCount: the check's error decides, as the
// worker's own would.
func TestOutageSeenByACheckDoesNotCount(t *testing.T) { // S19, S33
	for name, c := range map[string]struct {
		err    error
		counts bool
	}{
		"outage":  {fmt.Errorf("ping: %w: %w", supervisor.ErrUnavailable, errNoPong), false},
		"failure": {errNoPong, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			worker, check := suptest.NewWorker(), suptest.NewCheck()
			db := worker.Spec("db")
			db.Probe, db.Backoff = check.Probe(), supervisor.NoBackoff
			db.Probe.Failures = 1
			tree := suptest.Start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{db}}, supervisor.Options{})
			check.Fail(c.err)
			tree.Sleep(5 * time.Minute)
			if got := tree.Ended(); got != c.counts {
				t.Errorf("%s: the tree ended: %v, want %v\n%s", name, got, c.counts, tree.Trace())
			}
			if err := tree.Shutdown(); c.counts && !errors.Is(err, errNoPong) {
				t.Errorf("%s: Run returned %v", name, err)
			}
		})
	}
}

func TestSnapshotShowsTheLadder(t *testing.T) { // S33, S36
	synctest.Test(t, func(t *testing.T) {
		remedy := suptest.NewCheck()
		p := startPatient(t, func(db *supervisor.Spec) {
			db.Probe.Failures = 2
			db.Probe.Remedies = []supervisor.Remedy{{Name: "purge", Do: remedy.Run}}
		})
		start := time.Now()
		p.StopsAfter(time.Second, nil)
		if got := p.probe(t); got != nil {
			t.Errorf("before the first check there is %+v", got)
		}
		want := func(at, took time.Duration, failures int, next string) {
			t.Helper()
			got := p.probe(t)
			if got == nil || got.At.Sub(start) != at || got.Took != took || got.Failures != failures || got.Next != next || got.Threshold != 2 {
				t.Errorf("at %v the snapshot shows %+v", time.Since(start), got)
			}
		}
		p.Sleep(10 * time.Second)
		want(10*time.Second, 0, 0, "check")
		p.check.Do(func(context.Context) error { time.Sleep(500 * time.Millisecond); return errNoPong })
		remedy.Do(func(context.Context) error { time.Sleep(2 * time.Second); return nil })
		p.Sleep(11 * time.Second)
		want(20500*time.Millisecond, 500*time.Millisecond, 1, "check")
		if got := p.probe(t); !errors.Is(got.Err, errNoPong) {
			t.Errorf("the snapshot shows %v", got.Err)
		}
		p.Sleep(11 * time.Second)
		want(31*time.Second, 500*time.Millisecond, 2, "remedy purge")
		p.Sleep(2 * time.Second)
		want(33500*time.Millisecond, 500*time.Millisecond, 3, "restart")
		p.check.Pass()
		p.Sleep(2 * time.Second)
		if got := p.probe(t); got != nil || p.Started() != 2 {
			t.Errorf("the next incarnation shows %+v", got)
		}
	})
}

// TestOldProbeResultIsStale: health.md's rule, three intervals.
func TestOldProbeResultIsStale(t *testing.T) { // S33
	now := time.Now()
	s := supervisor.ProbeState{At: now.Add(-30 * time.Second), Interval: 10 * time.Second}
	if s.Stale(now) || !s.Stale(now.Add(1)) {
		t.Error("a result is to be stale after three intervals, and not before")
	}
}

func TestProbesOfManyDoNotBeatAsOne(t *testing.T) { // S33
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		seen := make(map[time.Duration]bool)
		tree := supervisor.Spec{Name: "shop", Children: []supervisor.Spec{}}
		n := scale(500, 100)
		for range n {
			w := suptest.NewWorker().Spec(fmt.Sprint(len(tree.Children)))
			w.Probe = &supervisor.Probe{Check: func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				if d := time.Since(start); d < 9*time.Second || d > 11*time.Second {
					t.Errorf("a first check after %v", d)
				} else {
					seen[d] = true
				}
				return nil
			}}
			tree.Children = append(tree.Children, w)
		}
		suptest.Start(t, tree, supervisor.Options{}).Sleep(12 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(seen) < n*9/10 {
			t.Errorf("the checks of %d came at only %d instants", n, len(seen))
		}
	})
}

// TestNoProbeNoGoroutine: what is not probed costs nothing, what is has one.
func TestNoProbeNoGoroutine(t *testing.T) { // S33
	for want, probe := range map[int]*supervisor.Probe{0: nil, 100: suptest.NewCheck().Probe()} {
		synctest.Test(t, func(t *testing.T) {
			spec := supervisor.Spec{Name: "shop", Children: []supervisor.Spec{}}
			for i := range 100 {
				w := suptest.NewWorker().Spec(fmt.Sprint(i))
				w.Probe = probe
				spec.Children = append(spec.Children, w)
			}
			suptest.Start(t, spec, supervisor.Options{}).Sleep(time.Minute)
			buf := make([]byte, 4<<20)
			stacks := string(buf[:runtime.Stack(buf, true)])
			if got := strings.Count(stacks, "supervisor.(*prober).run("); got != want {
				t.Errorf("100 workers have %d goroutines that probe, want %d", got, want)
			}
		})
	}
}

func TestProbeIsValidated(t *testing.T) { // S5
	run := suptest.NewWorker().Run
	do := func(context.Context) error { return nil }
	err := supervisor.Spec{Name: "app", BeatTimeout: 1, Children: []supervisor.Spec{
		{Name: "sup", Children: []supervisor.Spec{}, Probe: &supervisor.Probe{Check: do}},
		{Name: "nil", Run: run, Probe: &supervisor.Probe{}},
		{Name: "neg", Run: run, BeatTimeout: -1, Probe: &supervisor.Probe{Check: do, Interval: -1, Timeout: -1, Failures: -1, Successes: -1, Jitter: -2}},
		{Name: "nan", Run: run, Probe: &supervisor.Probe{Check: do, Jitter: math.NaN()}},
		{Name: "rem", Run: run, Probe: &supervisor.Probe{Check: do, Remedies: []supervisor.Remedy{
			{Name: "a", Do: do}, {Name: "a", Do: do}, {Do: do}, {Name: "b"}, {Name: "c\n", Do: do},
			{Name: "d", Do: do, Timeout: -1, Cooldown: -1, Attempts: -1},
		}}},
	}}.Validate()
	if err == nil {
		t.Fatal("no fault is found")
	}
	for _, want := range []string{
		"app: a supervisor has no Probe and no BeatTimeout",
		"app/sup: a supervisor has no Probe and no BeatTimeout",
		"app/nil: Probe.Check is nil",
		"app/neg: BeatTimeout is negative",
		"app/neg: Probe.Interval is negative",
		"app/neg: Probe.Timeout is negative",
		"app/neg: Probe.Failures is negative",
		"app/neg: Probe.Successes is negative",
		"app/neg: Probe.Jitter is -2",
		"app/nan: Probe.Jitter is NaN",
		`app/rem: two remedies have the name "a"`,
		"app/rem: a remedy has no Name",
		`app/rem: remedy "b" has no Do`,
		`app/rem: the name of remedy "c\n" holds a control character`,
		"app/rem: remedy d's Timeout is negative",
		"app/rem: remedy d's Cooldown is negative",
		"app/rem: remedy d's Attempts is negative",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q", want)
		}
	}
}

func TestSlowProbeIsDoubtful(t *testing.T) { // S5
	spec := func(p supervisor.Probe) supervisor.Spec {
		p.Check = func(context.Context) error { return nil }
		return supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "db", Run: suptest.NewWorker().Run, Probe: &p}}}
	}
	warnings := spec(supervisor.Probe{Timeout: 15 * time.Second}).Warnings()
	want := "app/db: its probe's Timeout of 15s is not below its Interval of 10s: it takes up to 1m15s to notice that it hangs (3 checks of 15s, 10s apart); shorten the Timeout"
	if len(warnings) != 1 || warnings[0].Error() != want {
		t.Errorf("warnings are %v, want %q", warnings, want)
	}
	remedies := []supervisor.Remedy{{Name: "purge"}}
	if warnings := spec(supervisor.Probe{Remedies: remedies}).Warnings(); len(warnings) > 0 {
		t.Errorf("the defaults are doubtful: %v", warnings)
	}
	if remedies[0].Timeout != 0 {
		t.Errorf("the caller's remedy has become %+v", remedies[0])
	}
}

// TestProbeOfCallerMayChangeAfterNew: as the Spec.
func TestProbeOfCallerMayChangeAfterNew(t *testing.T) { // S5
	synctest.Test(t, func(t *testing.T) {
		worker, check, remedy := suptest.NewWorker(), suptest.NewCheck(), suptest.NewCheck()
		db := worker.Spec("db")
		db.Probe = check.Probe()
		db.Probe.Remedies = []supervisor.Remedy{{Name: "purge", Do: remedy.Run}}
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{db}}, supervisor.Options{})
		db.Probe.Remedies[0].Do, db.Probe.Check = nil, nil
		worker.Fail(errCrash)
		tree.Sleep(time.Second)
		check.Fail(errNoPong)
		tree.Sleep(30 * time.Second)
		if remedy.Calls() != 1 {
			t.Errorf("the remedy was tried %d times", remedy.Calls())
		}
	})
}

// TestProbesBearEverythingAtOnce: checks that fail, panic, hang for a while and
// are good, remedies, crashes and restarts, in real time.
func TestProbesBearEverythingAtOnce(t *testing.T) { // S28, S33
	var n atomic.Uint64
	chaos := func(ctx context.Context) error {
		switch n.Add(1) % 7 {
		case 0:
			panic("boom")
		case 1, 2, 3:
			return errNoPong
		case 4:
			<-ctx.Done()
		}
		return nil
	}
	worker := func(ctx context.Context, ready func()) error {
		ready()
		supervisor.Beat(ctx)
		if n.Add(1)%5 == 0 {
			return errCrash
		}
		<-ctx.Done()
		return nil
	}
	spec := supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited, Children: []supervisor.Spec{}}
	for i := range scale(50, 10) {
		spec.Children = append(spec.Children, supervisor.Spec{Name: fmt.Sprint(i), Run: worker, BeatTimeout: 20 * time.Millisecond,
			Backoff: supervisor.Backoff{Min: time.Millisecond, Max: time.Millisecond},
			Probe: &supervisor.Probe{Check: chaos, Interval: time.Millisecond, Timeout: time.Millisecond, Failures: 2,
				Remedies: []supervisor.Remedy{{Name: "r", Do: chaos, Timeout: time.Millisecond, Cooldown: time.Millisecond}}}})
	}
	sup, stop := run(t, spec, supervisor.Options{Observer: func(supervisor.Event) {}})
	for n.Load() < uint64(scale(50_000, 300)) {
		sup.Snapshot()
		_ = sup.Restart(t.Context(), "app/7")
	}
	if err := stop(); err != nil && !errors.Is(err, supervisor.ErrAbandoned) { // a busy machine may need more time
		t.Error(err)
	}
}

// What a probe found that Apply has taken away would only grow old.
func TestASnapshotForgetsAProbeThatIsGone(t *testing.T) { // S31
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, nil)
		p.Sleep(11 * time.Second)
		if p.probe(t) == nil {
			t.Fatal("there is no probe to take away")
		}
		if err := p.Apply(t.Context(), supervisor.Spec{Name: "shop", Children: []supervisor.Spec{p.Spec("db")}}); err != nil {
			t.Fatal(err)
		}
		if state := p.probe(t); state != nil {
			t.Errorf("%+v", state)
		}
	})
}

// TestOldWordsOfAProbeAreForgotten: once the next incarnation has passed, they
// are not what was said just before a failure.
func TestOldWordsOfAProbeAreForgotten(t *testing.T) { // S35, S33
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, nil)
		p.check.Fail(errors.New("no route to host"))
		p.Sleep(31 * time.Second)
		p.check.Pass()
		p.Sleep(time.Hour)
		p.Fail(errCrash)
		all := p.Incidents()
		if len(all) != 2 || len(all[0].Before) == 0 || len(all[1].Before) > 0 {
			t.Errorf("incidents are %+v", all)
		}
	})
}

// TestWhatIsOnlyFoundOutLateHasNotSettled: a worker that never works is ready
// for as long as it takes its probe to give up on it. That is one trouble, with
// a longer backoff each time, until it is parked.
func TestWhatIsOnlyFoundOutLateHasNotSettled(t *testing.T) { // S15, S16, S33, S35
	synctest.Test(t, func(t *testing.T) {
		p := startPatient(t, func(db *supervisor.Spec) {
			db.Optional, db.Backoff.Attempts = true, 3
		})
		p.check.Fail(fmt.Errorf("%w: %w", supervisor.ErrUnavailable, errNoPong))
		p.Sleep(3 * time.Minute)
		p.RequireState("shop/db", supervisor.Parked)
		var delays []time.Duration
		for _, e := range p.Events() {
			if e.Kind == supervisor.EventBackingOff {
				delays = append(delays, e.Delay)
			}
		}
		if want := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}; !slices.Equal(delays, want) {
			t.Errorf("it backs off %v, want %v", delays, want)
		}
		if all := p.Incidents(); len(all) != 1 || all[0].Failures != 4 || all[0].Healed {
			t.Errorf("incidents are %v, want one of 4 failures that is not healed", all)
		}
		if got := mustFind(t, p.Tree, "shop/db").Incident; got != 1 {
			t.Errorf("the parked node tells of incident %d, want 1", got)
		}
		p.check.Pass()
		if err := p.Restart(t.Context(), "shop/db"); err != nil {
			t.Fatal(err)
		}
		p.Sleep(time.Minute)
		p.check.Fail(errNoPong)
		p.Sleep(31 * time.Second)
		if got := p.Incidents(); len(got) != 2 {
			t.Errorf("after a minute in which it was well, there are %d incidents, want another", len(got))
		}
	})
}
