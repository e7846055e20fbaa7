package supervisor_test

import (
	"context"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// TestAtRestNoTimerFires: an hour passes over a thousand idle workers that have
// all been through a crash, and nobody wakes. One worker that ticks every ten
// seconds is noticed: the test can see.
func TestAtRestNoTimerFires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const anHourOfTicks = 360
		sup, stop := run(t, restless(scale(1_000, 100)), supervisor.Options{Observer: func(supervisor.Event) {}})
		time.Sleep(time.Minute) // backoffs are over
		woken := wokenWithin(time.Hour)
		t.Logf("at rest about %d goroutines have woken", woken)
		if woken > anHourOfTicks/2 {
			t.Errorf("about %d goroutines have woken within an hour at rest", woken)
		}
		if _, err := sup.Add(t.Context(), "app", supervisor.Spec{Name: "ticks", Run: supervisor.Func(ticks)}); err != nil {
			t.Fatal(err)
		}
		if woken := wokenWithin(time.Hour); woken < anHourOfTicks/2 {
			t.Errorf("about %d goroutines have woken within an hour beside a ticker", woken)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// restless is a tree with a supervisor of each strategy, n workers that fail
// once, and every limit on time that a worker can have.
func restless(n int) supervisor.Spec {
	spec := supervisor.Spec{Name: "app"}
	for _, strategy := range []supervisor.Strategy{supervisor.OneForOne, supervisor.OneForAll, supervisor.RestForOne, supervisor.DependentsForOne} {
		below := supervisor.Spec{Name: fmt.Sprint(strategy), Strategy: strategy, Intensity: supervisor.Unlimited}
		for i := range n / 4 {
			below.Children = append(below.Children, supervisor.Spec{
				Name: fmt.Sprint(i), Run: failsOnce(), BeatTimeout: time.Second, StartTimeout: time.Minute, StopTimeout: time.Minute,
			})
		}
		spec.Children = append(spec.Children, below)
	}
	return spec
}

func failsOnce() supervisor.RunFunc {
	failed := false
	return supervisor.Func(func(ctx context.Context) error {
		supervisor.Beat(ctx)
		if !failed {
			failed = true
			return errCrash
		}
		supervisor.Idle(ctx)
		return idle(ctx)
	})
}

func ticks(ctx context.Context) error {
	for every := time.NewTicker(10 * time.Second); ; {
		select {
		case <-every.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// wokenWithin returns about how often a goroutine of this process begins to
// run while d passes in the bubble: the runtime notes one time in eight.
func wokenWithin(d time.Duration) int {
	synctest.Wait()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // its workers are goroutines
	before := runsNoted()
	time.Sleep(d)
	synctest.Wait()
	return 8 * (runsNoted() - before)
}

func runsNoted() (n int) {
	sample := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(sample)
	for _, count := range sample[0].Value.Float64Histogram().Counts {
		n += int(count)
	}
	return n
}
