package workerpool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// find returns the first event of that kind.
func (tr *tree) find(t *testing.T, kind supervisor.EventKind) supervisor.Event {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, e := range tr.events {
		if e.Kind == kind {
			return e
		}
	}
	t.Errorf("there was no event %q", kind)
	return supervisor.Event{}
}

// wantHealthy wants no worker to have been restarted, and the tree to be up.
func (tr *tree) wantHealthy(t *testing.T) {
	t.Helper()
	if n := tr.count(supervisor.EventExited); n != 0 {
		t.Errorf("%d workers were restarted, want none", n)
	}
	if got := tr.sup.Status(); got != supervisor.Up {
		t.Errorf("the tree is %v, want up", got)
	}
}

// hangInTheDepot waits for what does not come; its name is looked for in
// stacks.
func hangInTheDepot(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// S34: the worker is restarted, for the reason that the job learns too, at
// once and not after the DrainTimeout; and one sees where it hung.
func TestAStuckJobIsSeenAndRestartsItsWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var took time.Duration
		var cause error
		p := New(Config[int]{
			Workers: 2, Attempts: 1, BeatTimeout: 10 * time.Second, DrainTimeout: time.Hour,
			Run: func(ctx context.Context, j int) error {
				if j != 1 {
					return nil
				}
				err := hangInTheDepot(ctx)
				took, cause = time.Since(begin), context.Cause(ctx)
				return err
			},
		})
		tr := startPool(t, p)
		submit(t, p, 1, 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		if took < 10*time.Second || took > 15*time.Second || cause != supervisor.ErrUnhealthy {
			t.Errorf("the stuck job was ended after %v by %v, want 10 s and a little, and ErrUnhealthy", took, cause)
		}
		exit := tr.find(t, supervisor.EventExited)
		if !strings.HasPrefix(exit.Path, "shop/pool/") || !strings.Contains(exit.Stack, "hangInTheDepot") {
			t.Errorf("the event %q has the stack %q, want the one of the job", exit, exit.Stack)
		}
		submit(t, p, 3)
		synctest.Wait()
		wantStats(t, p, Stats{Submitted: 3, Done: 2, Dead: 1})
		if n := tr.count(supervisor.EventExited); n != 1 {
			t.Errorf("%d workers were restarted, want only the one that was stuck", n)
		}
		if err := tr.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A stuck attempt is a failed one: it is made again, but not for ever.
func TestAStuckJobIsTriedAgainAndFinallyDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{
			Workers: 1, Attempts: 3, BeatTimeout: 10 * time.Second,
			Run: func(ctx context.Context, _ int) error { return hangInTheDepot(ctx) },
		})
		tr := startPool(t, p)
		submit(t, p, 1)
		time.Sleep(11 * time.Second)
		if s := p.Stats(); s.Retrying+s.Queued+s.InFlight != 1 {
			t.Errorf("after the first attempt: %+v", s)
		}
		time.Sleep(5 * time.Minute)
		wantStats(t, p, Stats{Submitted: 1, Dead: 1})
		for _, d := range p.Dead() {
			if d.Attempts != 3 || !errors.Is(d.Err, supervisor.ErrUnhealthy) || !errors.Is(d.Err, context.Canceled) || !strings.Contains(d.Err.Error(), "no beat for 10s") {
				t.Errorf("died after %d attempts of %v", d.Attempts, d.Err)
			}
		}
		if n := tr.count(supervisor.EventExited); n != 3 {
			t.Errorf("the worker was restarted %d times, want 3", n)
		}
		tr.stop()
	})
}

// S27: one that hears nothing is left behind, and settled when it ends: done
// if it was done after all.
func TestAStuckJobThatIgnoresItsContextIsSettledOnceWhenItEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want Stats
	}{
		"done":   {nil, Stats{Submitted: 2, Done: 2}},
		"failed": {errBroken, Stats{Submitted: 2, Done: 1, Dead: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := New(Config[int]{
					Workers: 1, Attempts: 1, BeatTimeout: 10 * time.Second,
					Run: func(_ context.Context, j int) error {
						if j == 2 {
							return nil
						}
						time.Sleep(time.Hour)
						return tc.err
					},
				})
				tr := startPool(t, p)
				submit(t, p, 1, 2)
				time.Sleep(time.Minute)
				wantStats(t, p, Stats{Submitted: 2, Done: 1, InFlight: 1}) // by a worker that took its place
				if n := tr.count(supervisor.EventAbandoned); n != 1 {
					t.Errorf("%d workers were abandoned, want 1", n)
				}
				time.Sleep(2 * time.Hour)
				wantStats(t, p, tc.want)
				tr.stop()
			})
		})
	}
}

// Busy is not stuck.
func TestAPoolWithAllWorkersBusyIsHealthy(t *testing.T) {
	for name, tc := range map[string]struct {
		timeout time.Duration
		work    func(ctx context.Context)
	}{
		"without beats": {0, func(context.Context) { time.Sleep(10 * time.Hour) }},
		"beating": {10 * time.Second, func(ctx context.Context) {
			for range 5 * 3600 {
				time.Sleep(8 * time.Second)
				supervisor.Beat(ctx)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := New(Config[int]{Workers: 3, BeatTimeout: tc.timeout, Run: func(ctx context.Context, _ int) error {
					tc.work(ctx)
					return nil
				}})
				tr := startPool(t, p)
				submit(t, p, 1, 2, 3, 4, 5, 6)
				for range 9 {
					time.Sleep(time.Hour)
					wantStats(t, p, Stats{Submitted: 6, Queued: 3, InFlight: 3})
					tr.wantHealthy(t)
				}
				time.Sleep(100 * time.Hour)
				wantStats(t, p, Stats{Submitted: 6, Done: 6})
				tr.wantHealthy(t)
				tr.stop()
			})
		})
	}
}

// S34: nobody owes a beat between two jobs, nor is the time before a job the
// job's.
func TestAnIdlePoolIsHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, BeatTimeout: 10 * time.Second, Run: func(context.Context, int) error {
			time.Sleep(9 * time.Second)
			return nil
		}})
		tr := startPool(t, p)
		time.Sleep(5 * time.Hour)
		tr.wantHealthy(t)
		for j := range 5 {
			submit(t, p, 2*j, 2*j+1) // one after the other
			time.Sleep(5 * time.Hour)
			tr.wantHealthy(t)
		}
		wantStats(t, p, Stats{Submitted: 10, Done: 10})
		tr.stop()
	})
}
