package supervisor_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// TestProgressIsShownAlsoAfterTheFailure: with its time, until the next
// incarnation, or that of the supervisor, says something else.
func TestProgressIsShownAlsoAfterTheFailure(t *testing.T) { // S36
	synctest.Test(t, func(t *testing.T) {
		say, crash := make(chan string), make(chan struct{})
		worker := func(ctx context.Context) error {
			for {
				select {
				case line := <-say:
					supervisor.Progress(ctx, line)
				case <-crash:
					return errCrash
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
			{Name: "pool", Children: []supervisor.Spec{{Name: "w", Run: supervisor.Func(worker)}}}}}, supervisor.Options{})
		shows := func(when, want string, at time.Time) {
			t.Helper()
			tree.Settle()
			snap, err := tree.Find("app/pool/w")
			if err != nil {
				t.Fatal(err)
			}
			if snap.Progress != want || !snap.ProgressAt.Equal(at) {
				t.Errorf("%s it shows %q of %v, want %q of %v", when, snap.Progress, snap.ProgressAt, want, at)
			}
		}
		shows("before it said anything", "", time.Time{})
		said := time.Now()
		say <- "12 queued\n3 done"
		shows("then", "12 queued | 3 done", said)
		crash <- struct{}{}
		shows("after its failure", "12 queued | 3 done", said)
		if err := tree.Restart(t.Context(), "app/pool"); err != nil {
			t.Fatal(err)
		}
		shows("after its supervisor's restart", "12 queued | 3 done", said)
		say <- strings.Repeat("é", 150)
		tree.Settle()
		if snap, _ := tree.Find("app/pool/w"); !strings.HasPrefix(snap.Progress, "éé") || len(snap.Progress) > 210 || !utf8.ValidString(snap.Progress) {
			t.Errorf("a long line is shown as %d bytes: %q", len(snap.Progress), snap.Progress)
		}
	})
}

// TestProgressOfTheAbandonedIsNotHeard: the path is another's by then.
func TestProgressOfTheAbandonedIsNotHeard(t *testing.T) { // S28, S36
	synctest.Test(t, func(t *testing.T) {
		ghost, free := make(chan context.Context, 1), make(chan struct{})
		worker := func(ctx context.Context) error {
			if supervisor.IncarnationFrom(ctx) > 1 {
				supervisor.Progress(ctx, "the second")
				return idle(ctx)
			}
			ghost <- ctx
			<-free
			return nil
		}
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "w", Run: supervisor.Func(worker)}}}, supervisor.Options{})
		if err := tree.Restart(t.Context(), "app/w"); err != nil {
			t.Fatal(err)
		}
		tree.Settle()
		supervisor.Progress(<-ghost, "the first")
		if snap, _ := tree.Find("app/w"); snap.Progress != "the second" {
			t.Errorf("it shows %q", snap.Progress)
		}
		close(free)
	})
}

func TestProgressPanicsOutsideAWorker(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it did not")
		}
	}()
	supervisor.Progress(t.Context(), "far")
}
