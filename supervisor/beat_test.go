package supervisor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// startBeating starts the tree "app" with the worker "app/w", which owes a beat
// every 2 s.
func startBeating(t *testing.T, w *suptest.Worker) *suptest.Tree {
	t.Helper()
	spec := w.Spec("w")
	spec.BeatTimeout = 2 * time.Second
	return suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{spec}}, supervisor.Options{})
}

func TestGoldenMissedBeat(t *testing.T) { // S34
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker()
		tree := startBeating(t, w)
		tree.Sleep(time.Second)
		supervisor.Beat(w.Context())
		tree.Sleep(2 * time.Second)
		tree.RequireState("app/w", supervisor.BackingOff)
		tree.Sleep(time.Second)
		supervisor.Idle(w.Context()) // the next incarnation waits for work
		tree.Sleep(time.Minute)
		if cause := w.Causes()[0]; cause != supervisor.ErrUnhealthy {
			t.Errorf("the worker was told %v", cause)
		}
		tree.Shutdown()
		golden(t, "missed_beat", tree.Trace())
	})
}

// TestWorkerThatNeverBeatsIsSeen: the first beat is due from ready, however
// long the start took.
func TestWorkerThatNeverBeatsIsSeen(t *testing.T) { // S34
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker().Starts(suptest.Attempt{After: 20 * time.Second})
		tree := startBeating(t, w)
		supervisor.Beat(w.Context()) // before ready it says nothing
		tree.Sleep(22*time.Second - 1)
		tree.RequireState("app/w", supervisor.Ready)
		tree.Sleep(1)
		tree.RequireState("app/w", supervisor.BackingOff)
	})
}

// TestBusyIsNotStuck: it beats in time, now and then it waits for work as long
// as there is none, and then a beat is due again.
func TestBusyIsNotStuck(t *testing.T) { // S34
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker()
		tree := startBeating(t, w)
		ctx := w.Context()
		for range 20 {
			supervisor.Beat(ctx)
			tree.Sleep(2*time.Second - 1)
		}
		supervisor.Idle(ctx)
		tree.Sleep(time.Hour)
		supervisor.Beat(ctx)
		tree.Sleep(2*time.Second - 1)
		supervisor.Idle(ctx)
		supervisor.Beat(ctx)
		tree.Sleep(2*time.Second - 1)
		if n := w.Started(); n != 1 {
			t.Fatalf("started %d times\n%s", n, tree.Trace())
		}
		tree.Sleep(1)
		if kinds(tree, supervisor.EventExited) != 1 {
			t.Errorf("it is not stuck, though a beat was due\n%s", tree.Trace())
		}
	})
}

// TestMissedBeatCounts: it is a bug, not an outage.
func TestMissedBeatCounts(t *testing.T) { // S19, S34
	synctest.Test(t, func(t *testing.T) {
		tree := startBeating(t, suptest.NewWorker())
		tree.Sleep(time.Minute)
		if !tree.Ended() {
			t.Fatalf("the tree has not given up\n%s", tree.Trace())
		}
		var missed *supervisor.BeatError
		if err := tree.Wait(); !errors.As(err, &missed) || missed.Timeout != 2*time.Second {
			t.Errorf("Run returned %v", err)
		}
	})
}

// TestStackOfTheStuckIsTakenBeforeItObeys: where it hung, not where it ended;
// at most every 10 s.
func TestStackOfTheStuckIsTakenBeforeItObeys(t *testing.T) { // S34
	synctest.Test(t, func(t *testing.T) {
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
			{Name: "w", BeatTimeout: 6 * time.Second, Backoff: supervisor.NoBackoff, Run: supervisor.Func(waitHere)}}}, supervisor.Options{})
		tree.Sleep(20 * time.Second)
		var stacks []string
		for _, e := range tree.Events() {
			if e.Kind == supervisor.EventExited {
				stacks = append(stacks, e.Stack)
			} else if e.Stack != "" {
				t.Errorf("%v has a stack", e)
			}
		}
		has := func(i int) bool { return strings.Contains(stacks[i], "supervisor_test.waitHere") }
		if len(stacks) != 3 || !has(0) || stacks[1] != "" || !has(2) {
			t.Errorf("the stacks are %q", stacks)
		}
	})
}

//go:noinline
func waitHere(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// TestBeatsOfTheDeadDoNothing: of one that was abandoned, the next incarnation
// knows nothing; nor does one that is being stopped miss a beat.
func TestBeatsOfTheDeadDoNothing(t *testing.T) { // S27, S34
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker().StopsAfter(time.Minute, nil)
		tree := startBeating(t, w)
		old := w.Context()
		if err := tree.Restart(t.Context(), "app/w"); err != nil {
			t.Fatal(err)
		}
		supervisor.Idle(w.Context())
		supervisor.Beat(old)
		tree.Sleep(time.Minute)
		supervisor.Beat(old) // it has ended
		tree.Sleep(time.Minute)
		if w.Started() != 2 || kinds(tree, supervisor.EventExited) > 0 {
			t.Errorf("started %d times\n%s", w.Started(), tree.Trace())
		}
	})
}

func TestBeatWithoutATimeoutDoesNothing(t *testing.T) { // S34
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		supervisor.Beat(w.a.Context())
		supervisor.Idle(w.a.Context())
		w.Sleep(time.Hour)
		w.RequireState("app/a", supervisor.Ready)
	})
	for name, f := range map[string]func(context.Context){"Beat": supervisor.Beat, "Idle": supervisor.Idle} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic outside a worker", name)
				}
			}()
			f(t.Context())
		}()
	}
}

func TestBeatAllocatesNothing(t *testing.T) { // S34
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker()
		startBeating(t, w)
		ctx := w.Context()
		if n := testing.AllocsPerRun(100, func() { supervisor.Beat(ctx); supervisor.Idle(ctx) }); n > 0 {
			t.Errorf("a beat allocates %v times", n)
		}
	})
}
