package workerpool

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// Specs of all sizes work on the same jobs.
func TestAPoolCanHaveAnotherSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 2, Run: func(context.Context, int) error {
			time.Sleep(time.Second)
			return nil
		}})
		submit(t, p, 1, 2, 3, 4, 5, 6, 7, 8)
		for _, tc := range []struct{ n, workers, left int }{{0, 2, 6}, {1, 1, 5}, {5, 5, 0}} {
			spec := p.SpecN("pool", tc.n)
			tr := start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{spec}})
			synctest.Wait()
			wantStats(t, p, Stats{Submitted: 8, Done: p.Stats().Done, InFlight: tc.workers, Queued: tc.left})
			if last := spec.Children[len(spec.Children)-1].Name; len(spec.Children) != tc.workers || last != string(rune('0'+tc.workers)) {
				t.Errorf("SpecN(%d) has %d children, the last named %q", tc.n, len(spec.Children), last)
			}
			if err := tr.stop(); err != nil {
				t.Error(err)
			}
		}
		wantStats(t, p, Stats{Submitted: 8, Done: 8})
		if fault := p.SpecN("pool", -1).Fault; fault == nil || !strings.Contains(fault.Error(), "-1 workers") {
			t.Errorf("SpecN(-1) has the fault %v", fault)
		}
	})
}

// Workers that stay are not disturbed, those that come begin at once, and those
// that go finish what they have begun.
func TestApplyResizesThePoolWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 2, Run: func(context.Context, int) error {
			time.Sleep(3 * time.Second)
			return nil
		}})
		spec := func(n int) supervisor.Spec {
			return supervisor.Spec{Name: "shop", Children: []supervisor.Spec{p.SpecN("pool", n)}}
		}
		submit(t, p, 1, 2, 3, 4, 5, 6, 7, 8)
		tr := start(t, spec(2))
		synctest.Wait()
		for _, step := range []struct {
			n, inFlight, done int // after a second of the new size
		}{{4, 4, 0}, {1, 1, 4}, {3, 3, 4}} {
			began := time.Now()
			if err := tr.sup.Apply(t.Context(), spec(step.n)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			wantStats(t, p, Stats{Submitted: 8, Done: step.done, InFlight: step.inFlight, Queued: 8 - step.done - step.inFlight})
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("resizing to %d took %v", step.n, took)
			}
		}
		time.Sleep(10 * time.Second)
		wantStats(t, p, Stats{Submitted: 8, Done: 8})
		if n := tr.count(supervisor.EventStopped); n != 3 {
			t.Errorf("%d workers were stopped, want the 3 that went", n)
		}
		if err := tr.stop(); err != nil {
			t.Error(err)
		}
	})
}

// One that hangs is not waited for longer than in any stop, and the job is not
// lost.
func TestAWorkerThatGoesGivesItsJobBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := true
		p := New(Config[int]{Workers: 2, DrainTimeout: 2 * time.Second, Run: func(ctx context.Context, _ int) error {
			if !hang {
				return nil
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}})
		spec := func(n int) supervisor.Spec {
			return supervisor.Spec{Name: "shop", Children: []supervisor.Spec{p.SpecN("pool", n)}}
		}
		tr := start(t, spec(2))
		submit(t, p, 1, 2)
		synctest.Wait()
		began := time.Now()
		if err := tr.sup.Apply(t.Context(), spec(1)); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("resizing ended after %v with %v, want the DrainTimeout of 2 s", time.Since(began), err)
		}
		wantStats(t, p, Stats{Submitted: 2, Queued: 1, InFlight: 1})
		hang = false
		if err := tr.sup.Apply(t.Context(), spec(2)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		wantStats(t, p, Stats{Submitted: 2, Done: 1, InFlight: 1})
		tr.stop()
	})
}
