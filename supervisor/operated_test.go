package supervisor_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// TestWhatIsDoneByHandIsAnEvent, with a smaller number than its effects.
func TestWhatIsDoneByHandIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.Forget()
		if !w.Operated("app/b", "restart, by Ada", nil) || !w.Operated("app/nope", "start\n, by Bob", errors.New("no")) {
			t.Error("the observer was not told")
		}
		if err := w.Restart(t.Context(), "app/b"); err != nil {
			t.Fatal(err)
		}
		w.Sleep(0)
		var got []string
		for _, e := range w.Events() {
			got = append(got, e.String())
		}
		want := []string{"app/b#1 operated restart, by Ada", "app#1 operated start | , by Bob: no", "app/b#1 stopping: supervisor: restart requested"}
		if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%q, want first %q", got, want)
		}
		_ = w.Shutdown()
		if w.Operated("app/b", "restart", nil) {
			t.Error("an observer is told after Run")
		}
	})
}

// TestWhatIsDoneByHandNeedsSomebodyToTell: before Run, and without an observer,
// there is nobody.
func TestWhatIsDoneByHandNeedsSomebodyToTell(t *testing.T) {
	told := func(sup *supervisor.Supervisor) bool { return sup.Operated("app/a", "restart", nil) }
	spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{suptest.NewWorker().Spec("a")}}
	early, err := supervisor.New(spec, supervisor.Options{Observer: func(supervisor.Event) {}})
	if err != nil {
		t.Fatal(err)
	}
	if told(early) {
		t.Error("told before Run")
	}
	idle := func(ctx context.Context, ready func()) error { ready(); <-ctx.Done(); return nil }
	unobserved, stop := run(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "a", Run: idle}}}, supervisor.Options{})
	if told(unobserved) {
		t.Error("told without an observer")
	}
	_ = stop()
}

// TestWhatIsDoneByHandWhileTheTreeStarts is told or not, and reads nothing that
// is being written: the race detector looks on.
func TestWhatIsDoneByHandWhileTheTreeStarts(t *testing.T) {
	for range 20 {
		sup, err := supervisor.New(supervisor.Spec{Name: "app", Children: []supervisor.Spec{}}, supervisor.Options{Observer: func(supervisor.Event) {}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- sup.Run(ctx) }()
		for !sup.Operated("app", "look", nil) {
			runtime.Gosched()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}
