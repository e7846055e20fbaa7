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
	spec := Spec{Name: "app", Children: []Spec{}}
	for i := range n {
		spec.Children = append(spec.Children, Spec{Name: fmt.Sprint(i), Run: Func(func(context.Context) error { return nil })})
	}
	sup, err := New(spec, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sup.base = context.Background()
	r := newRunner(newIncarnation(sup, nil, sup.root))
	r.engine.serve()
	t.Cleanup(func() {
		for ch := r.core.first; ch != nil; ch = ch.next {
			r.release(ch)
		}
		r.end()
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
	r.drive(nil, 1)
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
