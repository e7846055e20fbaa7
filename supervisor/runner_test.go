package supervisor

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// newTestRunner is a runner with n children whose loop does not run.
func newTestRunner(t *testing.T, n int) *runner {
	t.Helper()
	children := []Spec{}
	for i := range n {
		children = append(children, Spec{Name: fmt.Sprint(i), Run: Func(func(context.Context) error { return nil })})
	}
	return newTestRunnerOf(t, children...)
}

func newTestRunnerOf(t *testing.T, children ...Spec) *runner {
	t.Helper()
	spec := Spec{Name: "app", Intensity: Unlimited, Children: children}
	sup, err := New(spec, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sup.base = context.Background()
	r := newRunner(newIncarnation(sup, nil, sup.root))
	t.Cleanup(func() {
		if !r.inbox.closed {
			r.end()
		}
	})
	return r
}

func TestCallsLeftAtTheEndAreAnswered(t *testing.T) { // S30
	r := newTestRunner(t, 0)
	c := &call{op: opChildren, answer: make(chan error, 1)}
	if !r.post(&input{kind: asked, call: c}) {
		t.Fatal("the call was not taken")
	}
	r.end()
	select {
	case err := <-c.answer:
		if !errors.Is(err, ErrNotRunning) {
			t.Errorf("the answer is %v, want ErrNotRunning", err)
		}
	default:
		t.Error("the call was not answered")
	}
	if r.post(&input{kind: asked, call: c}) {
		t.Error("a call was taken after the end")
	}
}

func TestPostingWatchesTheLoop(t *testing.T) {
	r := newTestRunner(t, 0) // it posted that the supervisor began
	if r.watch.since.Load() == 0 {
		t.Error("an input waits, and the watchdog does not know")
	}
	r.drive(nil, nil, 1)
	if r.watch.since.Load() != 0 {
		t.Error("nothing waits, and the watchdog does not know")
	}
}

func TestReadingHoldsTheLoopForABatchAtMost(t *testing.T) { // S36
	r := newTestRunner(t, batch+batch/2)
	children, last, more := r.read(nil)
	if len(children) != batch || !more {
		t.Errorf("the first batch holds %d, more: %v", len(children), more)
	}
	children, _, more = r.read(last)
	if len(children) != batch/2 || more {
		t.Errorf("the second batch holds %d, more: %v", len(children), more)
	}
}

// TestWhoFailsSeesToIt: a worker's failure, its restart and its readiness need
// no other goroutine than its own, if nobody else is at it.
func TestWhoFailsSeesToIt(t *testing.T) {
	runs, fail := make(chan uint64, 1), make(chan struct{})
	worker := func(ctx context.Context) error {
		runs <- IncarnationFrom(ctx)
		select {
		case <-fail:
			return errors.New("crash")
		case <-ctx.Done():
			return nil
		}
	}
	r := newTestRunnerOf(t, Spec{Name: "w", Run: Func(worker), Backoff: NoBackoff})
	r.drive(nil, nil, 1) // it begins
	<-runs
	if r.drive(nil, nil, 2) { // it is ready, and that was all
		t.Fatal("there is more to see to")
	}
	for want := uint64(2); want < 10; want++ {
		fail <- struct{}{}
		if got := <-runs; got != want {
			t.Fatalf("incarnation %d runs, want %d", got, want)
		}
		if s := r.core.byName["w"].state; s != Ready {
			t.Fatalf("incarnation %d is %v", want, s)
		}
	}
	r.post(&input{kind: toldStop, err: ErrShutdown})
	for !r.inbox.claim() || !r.drive(nil, nil, 10) {
		<-r.inbox.bell
	}
}
