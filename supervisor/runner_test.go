package supervisor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
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
	c := newCall(opChildren, "")
	if !r.post(&input{kind: asked, call: c}) {
		t.Fatal("the call was not taken")
	}
	r.end()
	select {
	case err := <-c.answer:
		if !errors.Is(err, ErrNotRunning) || !strings.HasPrefix(err.Error(), r.core.path+": ") {
			t.Errorf("the answer is %v, want ErrNotRunning with the path", err)
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
	room := make([]seen, 0, batch)
	children, last, more := r.read(room, nil)
	if len(children) != batch || !more {
		t.Errorf("the first batch holds %d, more: %v", len(children), more)
	}
	children, _, more = r.read(room, last)
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
		if s := r.core.named("w").state; s != Ready {
			t.Fatalf("incarnation %d is %v", want, s)
		}
	}
	r.post(&input{kind: toldStop, err: ErrShutdown})
	for !r.inbox.claim() || !r.drive(nil, nil, 10) {
		<-r.inbox.bell
	}
}

// TestWhoCallsSeesToIt: a call needs no other goroutine than the caller's, if
// nobody else is at it, and is answered by whoever is otherwise.
func TestWhoCallsSeesToIt(t *testing.T) { // S30
	r := newTestRunner(t, 0)
	if r.drive(nil, nil, 2) { // it began, and that was all
		t.Fatal("there is more to see to")
	}
	if err := r.do(t.Context(), newCall(opChildren, "")); err != nil {
		t.Errorf("a call that nobody else sees to: %v", err)
	}
	if !r.inbox.claim() {
		t.Fatal("the caller drives on")
	}
	answered := make(chan error)
	go func() { answered <- r.do(t.Context(), newCall(opChildren, "")) }()
	for r.inbox.state.Load()&pending == 0 {
		runtime.Gosched()
	}
	if r.drive(nil, nil, 2) {
		t.Error("there is more to see to")
	}
	if err := <-answered; err != nil {
		t.Errorf("a call that somebody else sees to: %v", err)
	}
	r.inbox.claim()
	r.end()
	if err := r.do(t.Context(), newCall(opChildren, "")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a call after the end: %v, want ErrNotRunning", err)
	}
}

// TestWhoCallsAtTheVeryEndIsAnswered: between the last step, made by a worker's
// goroutine, and the loop's end somebody can find that nobody drives.
func TestWhoCallsAtTheVeryEndIsAnswered(t *testing.T) { // S30
	r := newTestRunner(t, 0)
	r.drive(nil, nil, 2) // it begins
	r.see(&input{kind: toldStop, err: ErrShutdown}, nil)
	if !r.over {
		t.Fatal("it is not over")
	}
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := r.do(ctx, newCall(opStop, "w")); !errors.Is(err, ErrNotRunning) {
			t.Errorf("the call's answer is %v, want ErrNotRunning", err)
		}
		cancel()
	}
	if !r.inbox.claim() || !r.drive(nil, nil, 1) {
		t.Error("the loop is not told that it is over")
	}
}
