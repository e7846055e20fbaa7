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

func TestAJobThatTakesTooLongHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		p := New(Config[int]{
			Workers: 1, Attempts: 2, JobTimeout: 3 * time.Second, Backoff: supervisor.Backoff{Min: time.Second, Jitter: supervisor.NoJitter},
			Run: func(ctx context.Context, _ int) error {
				attempts++
				<-ctx.Done()
				return ctx.Err()
			},
		})
		tr := startPool(t, p)
		submit(t, p, 1)
		time.Sleep(3*time.Second - time.Millisecond)
		wantStats(t, p, Stats{Submitted: 1, InFlight: 1})
		time.Sleep(2 * time.Millisecond)
		wantStats(t, p, Stats{Submitted: 1, Retrying: 1})
		time.Sleep(5 * time.Second)
		wantStats(t, p, Stats{Submitted: 1, Dead: 1})
		if dead := p.Dead()[0]; attempts != 2 || dead.Attempts != 2 || !errors.Is(dead.Err, context.DeadlineExceeded) || !strings.Contains(dead.Err.Error(), "no end after 3s") {
			t.Errorf("after %d attempts it is dead by %v", attempts, dead.Err)
		}
		tr.wantHealthy(t)
		tr.stop()
	})
}

// Only its missing beat tells that.
func TestAJobThatIgnoresItsTimeoutIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{
			Workers: 1, Attempts: 1, JobTimeout: time.Second, BeatTimeout: 5 * time.Second,
			Run: func(context.Context, int) error { time.Sleep(time.Minute); return errBroken },
		})
		tr := startPool(t, p)
		submit(t, p, 1)
		time.Sleep(4 * time.Second)
		tr.wantHealthy(t)
		time.Sleep(2 * time.Second)
		if e := tr.find(t, supervisor.EventStopping); e.Err != supervisor.ErrUnhealthy {
			t.Errorf("the worker is stopped by %v, want ErrUnhealthy", e.Err)
		}
		time.Sleep(time.Hour)
		wantStats(t, p, Stats{Submitted: 1, Dead: 1})
		tr.stop()
	})
}

func TestAJobThatIsDoneAfterItsTimeoutIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, JobTimeout: time.Second, Run: func(context.Context, int) error {
			time.Sleep(time.Minute)
			return nil
		}})
		tr := startPool(t, p)
		submit(t, p, 1)
		time.Sleep(time.Hour)
		wantStats(t, p, Stats{Submitted: 1, Done: 1})
		tr.stop()
	})
}

// Wherever it is: in the queue, waiting for its next attempt, or running.
func TestCancelEndsAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var causes []error
		p := New(Config[string]{Workers: 1, Queue: 2, Backoff: supervisor.Backoff{Min: time.Hour}, Run: func(ctx context.Context, job string) error {
			if job == "fails" {
				return errBroken
			}
			<-ctx.Done()
			causes = append(causes, context.Cause(ctx))
			if job == "saved" {
				return nil
			}
			return ctx.Err()
		}})
		tr := startPool(t, p)
		submit(t, p, "fails")
		synctest.Wait()
		submit(t, p, "runs")
		synctest.Wait()
		submit(t, p, "waits")
		wantStats(t, p, Stats{Submitted: 3, Retrying: 1, InFlight: 1, Queued: 1})
		accepted := make(chan error)
		go func() { accepted <- p.Submit(t.Context(), "saved") }() // there is no room yet
		synctest.Wait()
		if n := p.Cancel(func(job string) bool { return job != "saved" }); n != 3 {
			t.Errorf("%d jobs were canceled, want 3", n)
		}
		if err := <-accepted; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		wantStats(t, p, Stats{Submitted: 4, Dead: 3, InFlight: 1})
		if n := p.Cancel(func(string) bool { return true }); n != 1 {
			t.Errorf("%d jobs were canceled, want the one that is left", n)
		}
		time.Sleep(24 * time.Hour)
		wantStats(t, p, Stats{Submitted: 4, Dead: 3, Done: 1})
		for _, dead := range p.Dead() {
			if !errors.Is(dead.Err, ErrCanceled) {
				t.Errorf("%s is dead by %v", dead.Job, dead.Err)
			}
		}
		if len(causes) != 2 || causes[0] != ErrCanceled || causes[1] != ErrCanceled {
			t.Errorf("the contexts ended with %v", causes)
		}
		tr.wantHealthy(t)
		tr.stop()
	})
}

// A job that was canceled is not run again by the next workers.
func TestACanceledJobThatIsInterruptedIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, DrainTimeout: time.Second, Run: func(ctx context.Context, _ int) error {
			time.Sleep(3 * time.Second) // whatever its context says
			return ctx.Err()
		}})
		tr := startPool(t, p)
		submit(t, p, 1)
		synctest.Wait()
		go func() {
			time.Sleep(2 * time.Second)
			p.Cancel(func(int) bool { return true })
		}()
		tr.stop()
		wantStats(t, p, Stats{Submitted: 1, Dead: 1})
		if dead := p.TakeDead(); !errors.Is(dead[0].Err, ErrCanceled) {
			t.Errorf("it is dead by %v", dead[0].Err)
		}
	})
}

// It grows while there are too few workers, and while there are none.
func TestTheQueuesAgeTellsOfABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, Run: func(context.Context, int) error { time.Sleep(time.Minute); return nil }})
		submit(t, p, 1, 2, 3)
		for _, want := range []time.Duration{0, 10 * time.Second} {
			if got := p.Stats().QueueAge; got != want {
				t.Errorf("without workers it is %v, want %v", got, want)
			}
			time.Sleep(10 * time.Second)
		}
		tr := startPool(t, p)
		time.Sleep(30 * time.Second)
		if got := p.Stats().QueueAge; got != 50*time.Second {
			t.Errorf("behind a slow job it is %v, want 50 s", got)
		}
		time.Sleep(time.Hour)
		if got := p.Stats().QueueAge; got != 0 {
			t.Errorf("of an empty queue it is %v", got)
		}
		tr.stop()
	})
}
