package supervisor_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/coppice-go/coppice/supervisor"
)

// What is done often has a budget of allocations. Those of reading are where
// the readers are: TestRefPeekAllocatesNothing, TestBeatAllocatesNothing,
// TestReadingTheStatusAllocatesNothing,
// TestAnEventThatNobodyObservesAllocatesNothing, health's TestGreenAnswersAllocateNothing.

// A restart allocates the incarnation, its ready, its context (two) and the
// incident: whoever adds to that pays at each failure of every user. The channel
// that a context makes when it is asked for Done is the worker's own.
func TestARestartAllocatesAtMostFiveTimes(t *testing.T) {
	crash, runs := make(chan struct{}), make(chan struct{}, 1)
	serve := func(ctx context.Context) error {
		runs <- struct{}{}
		if _, more := <-crash; more {
			return errCrash
		}
		return idle(ctx)
	}
	worker := supervisor.Spec{Name: "w", Run: supervisor.Func(serve), Backoff: supervisor.NoBackoff}
	spec := supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited, Children: []supervisor.Spec{worker}}
	_, stop := run(t, spec, supervisor.Options{})
	<-runs
	if n := testing.AllocsPerRun(1000, func() { crash <- struct{}{}; <-runs }); n > 5 {
		t.Errorf("a restart allocates %v times, want at most 5", n)
	}
	close(crash)
	_ = stop()
}

// The reason is put into words and kept; the way up through the supervisors
// above allocates nothing.
func TestAStatusChangeAndBackAllocatesAtMostTwice(t *testing.T) {
	worker := make(chan context.Context, 1)
	serve := func(ctx context.Context) error { worker <- ctx; return idle(ctx) }
	spec := supervisor.Spec{Name: "w", Run: supervisor.Func(serve)}
	for _, name := range []string{"c", "b", "app"} {
		spec = supervisor.Spec{Name: name, Children: []supervisor.Spec{spec}}
	}
	sup, stop := run(t, spec, supervisor.Options{})
	ctx, slow := <-worker, errors.New("slow")
	becomes := func(reason error, want supervisor.Status) {
		supervisor.Impaired(ctx, reason)
		for sup.Status() != want {
			runtime.Gosched()
		}
	}
	change := func() { becomes(slow, supervisor.Degraded); becomes(nil, supervisor.Up) }
	if n := testing.AllocsPerRun(1000, change); n > 2 {
		t.Errorf("degraded and back below three supervisors allocates %v times, want at most 2", n)
	}
	_ = stop()
}

func TestRefGetOfALiveValueAllocatesNothing(t *testing.T) {
	var ref supervisor.Ref[*conn]
	_, stop := run(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "db", Run: ref.Run(serveConn)}}}, supervisor.Options{})
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = ref.Get(ctx) }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
	_ = stop()
}
