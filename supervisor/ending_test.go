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

	"github.com/thejerf/suture/v4"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// TestRestartTypes: how a worker ends, and whether it is started again.
func TestRestartTypes(t *testing.T) { // S6, S7
	const (
		restarted = "restarted"
		stopped   = "stopped"
		forgotten = "forgotten"
	)
	ends := map[string]func() error{
		"nil":             func() error { return nil },
		"ErrDoNotRestart": func() error { return fmt.Errorf("done: %w", suture.ErrDoNotRestart) },
		"error":           func() error { return errCrash },
		"panic":           func() error { panic("boom") },
		"Goexit":          func() error { runtime.Goexit(); return nil },
		"foreign ctx":     func() error { return context.DeadlineExceeded },
	}
	for _, c := range []struct {
		restart supervisor.Restart
		end     string
		want    string
	}{
		{supervisor.Permanent, "nil", restarted},
		{supervisor.Permanent, "ErrDoNotRestart", stopped},
		{supervisor.Permanent, "error", restarted},
		{supervisor.Permanent, "panic", restarted},
		{supervisor.Permanent, "Goexit", restarted},
		{supervisor.Permanent, "foreign ctx", restarted},
		{supervisor.Transient, "nil", stopped},
		{supervisor.Transient, "ErrDoNotRestart", stopped},
		{supervisor.Transient, "error", restarted},
		{supervisor.Transient, "panic", restarted},
		{supervisor.Transient, "Goexit", restarted},
		{supervisor.Transient, "foreign ctx", restarted},
		{supervisor.Temporary, "nil", forgotten},
		{supervisor.Temporary, "ErrDoNotRestart", forgotten},
		{supervisor.Temporary, "error", forgotten},
		{supervisor.Temporary, "panic", forgotten},
		{supervisor.Temporary, "Goexit", forgotten},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) { app.Children[0].Restart = c.restart })
			w.a.Do(ends[c.end])
			w.Sleep(time.Second)
			got := forgotten
			if snap, err := w.Find("app/a"); err == nil {
				got = map[supervisor.State]string{supervisor.Ready: restarted, supervisor.Stopped: stopped}[snap.State]
			}
			if got != c.want {
				t.Errorf("%v child that ended by %s is %s, want %s", c.restart, c.end, got, c.want)
			}
			w.RequireStatus("app", supervisor.Up) // what is over without failing is not Down
		})
	}
}

var errInside = errors.New("inside")

func nilMap() map[string]int { return nil }

type customPanic struct{ code int }

// TestPanicsAreCaught: whatever a worker panics with is its failure, with the
// stack of the place.
func TestPanicsAreCaught(t *testing.T) { // S6
	for name, c := range map[string]struct {
		end  func() error
		text string
	}{
		"nil map":       {func() error { nilMap()["x"] = 1; return nil }, "assignment to entry in nil map"},
		"nil deref":     {func() error { var p *customPanic; p.code = 1; return nil }, "invalid memory address"},
		"custom value":  {func() error { panic(customPanic{7}) }, "{7}"},
		"error value":   {func() error { panic(errInside) }, "inside"},
		"nil":           {func() error { panic(nil) }, "nil"},
		"in a deferred": {func() error { defer func() { panic("second") }(); return nil }, "second"},
		"in a deferred after a panic": {func() error {
			defer func() { panic("second") }()
			panic("first")
		}, "second"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.OneForOne, nil)
			w.a.Do(c.end)
			w.Sleep(time.Second)
			w.RequireState("app/a", supervisor.Ready)
			snap, _ := w.Find("app/a")
			var p *supervisor.PanicError
			if !errors.As(snap.LastErr, &p) || !strings.Contains(p.Error(), c.text) {
				t.Fatalf("%s: the error is %v, want a PanicError that says %q", name, snap.LastErr, c.text)
			}
			if !strings.Contains(p.Stack(), "ending_test.go") || strings.Contains(p.Stack(), "suture") {
				t.Errorf("%s: the stack is not the panic's:\n%s", name, p.Stack())
			}
			if got, want := errors.Is(snap.LastErr, errInside), name == "error value"; got != want {
				t.Errorf("%s: errors.Is finds the value: %v, want %v", name, got, want)
			}
		})
	}
}

// TestOnlyTheFirstPanicTakesANewGoroutine: a worker that panics again and again
// in the same slot costs no goroutine each time, and its stacks look the same.
func TestOnlyTheFirstPanicTakesANewGoroutine(t *testing.T) { // S6
	synctest.Test(t, func(t *testing.T) {
		const panics = 5
		var goroutines, stacks []string
		spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "a", Backoff: supervisor.NoBackoff,
			Run: func(ctx context.Context, ready func()) error {
				goroutines = append(goroutines, goroutine())
				if ready(); len(goroutines) <= panics {
					panic("again")
				}
				<-ctx.Done()
				return nil
			}}}, Intensity: supervisor.Unlimited}
		suptest.Start(t, spec, supervisor.Options{Observer: func(e supervisor.Event) {
			if p, ok := errors.AsType[*supervisor.PanicError](e.Err); ok && e.Kind == supervisor.EventExited {
				stacks = append(stacks, p.Stack())
			}
		}}).Settle()
		if distinct := slices.Compact(slices.Clone(goroutines)); len(goroutines) != panics+1 || len(distinct) != 2 || goroutines[1] != distinct[1] {
			t.Errorf("it ran in %q, want one goroutine for the first run, and one for the others", goroutines)
		}
		if got := slices.Compact(stacks); len(stacks) != panics || len(got) != 1 || strings.Contains(got[0], "supervisor.(") {
			t.Errorf("the stacks of %d panics are %q, want %d times the same", len(stacks), got, panics)
		}
	})
}

// goroutine names the one that it is called in.
func goroutine() string {
	buf := make([]byte, 64)
	name, _, _ := strings.Cut(string(buf[:runtime.Stack(buf, false)]), "[")
	return name
}

func TestGoexitIsDetected(t *testing.T) { // S6
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		for range 3 {
			w.a.Do(func() error { runtime.Goexit(); return nil })
			w.Sleep(time.Second)
			w.RequireState("app/a", supervisor.Ready)
		}
		snap, _ := w.Find("app/a")
		if snap.LastErr == nil || !strings.Contains(snap.LastErr.Error(), "runtime.Goexit") {
			t.Errorf("the error is %v, want one that names runtime.Goexit", snap.LastErr)
		}
	})
}

func TestReturningBeforeReadyIsAFailedStart(t *testing.T) { // S3
	synctest.Test(t, func(t *testing.T) {
		n := 0
		run := func(ctx context.Context, ready func()) error {
			if n++; n > 1 {
				ready()
				<-ctx.Done()
			}
			return nil
		}
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "a", Run: run}}}, supervisor.Options{})
		tree.Settle()
		if trace := tree.Trace(); !strings.Contains(trace, "app/a#1 start failed: returned before it was ready") {
			t.Errorf("the trace is\n%s", trace)
		}
		tree.RequireState("app/a", supervisor.Ready)
	})
}

func TestEscalateFailsTheSupervisorAtOnce(t *testing.T) { // S8
	for _, err := range []error{supervisor.ErrEscalate, suture.ErrTerminateSupervisorTree} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.OneForOne, nil)
			w.b.Fail(fmt.Errorf("corrupt: %w", err))
			if !w.Ended() {
				t.Fatalf("%v: the tree still runs", err)
			}
			got := w.Wait()
			if !errors.Is(got, err) || !strings.HasPrefix(got.Error(), "app/b: corrupt: ") {
				t.Errorf("Run returned %v, want app/b: corrupt: %v", got, err)
			}
			if w.b.Started() != 1 {
				t.Errorf("b was started %d times", w.b.Started())
			}
		})
	}
}

// TestWhatASupervisorsErrorWrapsIsNotItsOwn: it was acted on below.
func TestWhatASupervisorsErrorWrapsIsNotItsOwn(t *testing.T) { // S6, S8
	for _, err := range []error{supervisor.ErrEscalate, supervisor.ErrIgnore, suture.ErrDoNotRestart, supervisor.ErrUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			w := suptest.NewWorker()
			tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
				{Name: "sub", Intensity: supervisor.Intensity{Within: time.Minute}, Children: []supervisor.Spec{w.Spec("w")}},
			}}, supervisor.Options{})
			w.Do(func() error { return fmt.Errorf("%w: %w", supervisor.ErrEscalate, err) })
			tree.Sleep(time.Second)
			tree.RequireState("app/sub", supervisor.Ready)
			if got := w.Started(); got != 2 {
				t.Errorf("%v: the worker was started %d times, want 2", err, got)
			}
			if got := mustFind(t, tree, "app").Restarts; got != 1 {
				t.Errorf("%v: %d restarts counted, want the supervisor's", err, got)
			}
		})
	}
}

func TestReadyIsHeardOnce(t *testing.T) { // S2
	synctest.Test(t, func(t *testing.T) {
		late := make(chan func(), 1)
		run := func(ctx context.Context, ready func()) error {
			select {
			case late <- ready:
			default:
			}
			ready()
			ready()
			<-ctx.Done()
			return nil
		}
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "a", Run: run}}}, supervisor.Options{})
		if err := tree.Restart(t.Context(), "app/a"); err != nil {
			t.Fatal(err)
		}
		(<-late)() // of the first incarnation, which has ended
		if got, want := strings.Count(tree.Trace(), "app/a#1 ready"), 1; got != want {
			t.Errorf("incarnation 1 became ready %d times, want %d", got, want)
		}
	})
}

// A stubborn error blocks whoever compares or prints it.
type stubborn chan struct{}

func (s stubborn) Error() string { <-s; return "stubborn" }
func (s stubborn) Is(error) bool { <-s; return false }

// TestNoLoopWaitsForAnErrorsMethods: they are user code. The incarnation that
// returned it has not ended until it was judged.
func TestNoLoopWaitsForAnErrorsMethods(t *testing.T) { // S6
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		err := make(stubborn)
		w.a.Fail(err)
		w.b.Fail(errCrash)
		w.Sleep(time.Second)
		w.RequireState("app/b", supervisor.Ready)
		close(err)
		w.Sleep(time.Second)
		w.RequireState("app/a", supervisor.Ready)
	})
}

type explosive struct{}

func (explosive) Error() string { panic("no text") }
func (explosive) Is(error) bool { panic("no comparison") }

type explosiveText struct{}

func (explosiveText) String() string { panic("no text") }

// TestPanicWithWhatPanicsIsAFailure: the value's own methods panic when it is
// printed.
func TestPanicWithWhatPanicsIsAFailure(t *testing.T) { // S6
	for _, value := range []any{explosive{}, explosiveText{}} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, supervisor.OneForOne, nil)
			w.a.Panic(value)
			printed := w.Trace() + w.Snapshot().String() + w.Why("app") + fmt.Sprint(w.Incidents()) // nobody who prints it dies of it
			if !strings.Contains(printed, "app/a#1 exited: panic: ") {
				t.Errorf("%T: what is printed is\n%s", value, printed)
			}
			w.Sleep(time.Second)
			w.RequireState("app/a", supervisor.Ready)
			var p *supervisor.PanicError
			if last := mustFind(t, w.Tree, "app/a").LastErr; !errors.As(last, &p) || p.Value != value || mustFind(t, w.Tree, "app").Restarts != 1 {
				t.Errorf("%T: the error is %T, want its PanicError, counted once", value, last)
			}
		})
	}
}

func TestErrorWhoseMethodsPanicIsAFailure(t *testing.T) { // S6
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.a.Fail(explosive{})
		_, _ = w.Trace(), w.Snapshot().String() // nobody who prints it dies of it
		var typedNil *supervisor.StartError
		w.b.Fail(typedNil)
		_, _ = w.Trace(), w.Why("app")
		w.Sleep(time.Second)
		w.RequireState("app/b", supervisor.Ready)
		w.RequireState("app/a", supervisor.Ready)
		if got := w.a.Started(); got != 2 {
			t.Errorf("it was started %d times, want 2", got)
		}
	})
}
