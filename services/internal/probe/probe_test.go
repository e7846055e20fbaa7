package probe

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

var errDown = errors.New("down")

// probing is a worker that is ready at once and then probes.
func probing(l Loop) supervisor.Spec {
	return supervisor.Spec{Name: "probed", Run: supervisor.Func(l.Run)}
}

func loop(check func(context.Context) error) Loop {
	return Loop{Check: check, Interval: 5 * time.Second, Timeout: time.Second, Failures: 3}
}

// S33: failures count in a row, and only those.
func TestOnlyFailuresInARowRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		tree := servicetest.Start(t, probing(loop(func(context.Context) error {
			if n++; n%3 == 0 || n > 300 {
				return nil
			}
			return errDown
		})))
		tree.Await(supervisor.EventReady)
		time.Sleep(310 * 5 * time.Second)
		tree.Stop()
		if tree.Seen(supervisor.EventExited) {
			t.Error("two failures in a row restarted it")
		}
	})
}

func TestAFailureImpairsUntilTheNextSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		tree := servicetest.Start(t, probing(loop(func(context.Context) error {
			if down.Load() {
				return errDown
			}
			return nil
		})))
		tree.Await(supervisor.EventReady)
		down.Store(true)
		if e := tree.Await(supervisor.EventImpaired); !errors.Is(e.Err, errDown) {
			t.Errorf("impaired because %v", e.Err)
		}
		down.Store(false)
		tree.Await(supervisor.EventRecovered)
		down.Store(true)
		tree.Await(supervisor.EventImpaired)
		if e := tree.Await(supervisor.EventExited); !errors.Is(e.Err, errDown) || !errors.Is(e.Err, supervisor.ErrUnavailable) {
			t.Errorf("exited with %v", e.Err)
		}
		down.Store(false)
		tree.Await(supervisor.EventReady)
		tree.Stop()
	})
}

// S33: a check that hangs is bounded by its timeout, never overlaps itself,
// and holds at most one goroutine.
func TestAHangingCheckIsBoundedAndAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks atomic.Int32
		hang := make(chan struct{})
		tree := servicetest.Start(t, probing(loop(func(context.Context) error {
			checks.Add(1)
			<-hang
			return nil
		})))
		tree.Await(supervisor.EventReady)
		begin := time.Now()
		if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "no answer within 1s") {
			t.Errorf("impaired because %v", e.Err)
		}
		if took := time.Since(begin); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("it took %v to notice", took)
		}
		tree.Await(supervisor.EventExited)
		if got := checks.Load(); got != 1 {
			t.Errorf("%d checks were started while the first hung", got)
		}
		close(hang)
		tree.Await(supervisor.EventReady)
		tree.Stop()
	})
}

// A check that fails because it was given too little time has not been told
// off by the dependency.
func TestAStopDuringACheckIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := make(chan struct{})
		tree := servicetest.Start(t, probing(loop(func(ctx context.Context) error {
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		})))
		<-begun
		tree.Stop()
		if tree.Seen(supervisor.EventImpaired) || tree.Seen(supervisor.EventExited) {
			t.Error("a stop counts as a failure")
		}
	})
}

func TestAPanickingCheckIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := servicetest.Start(t, probing(loop(func(context.Context) error { panic("ouch") })))
		if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "ouch") {
			t.Errorf("impaired because %v", e.Err)
		}
		tree.Await(supervisor.EventExited)
		tree.Stop()
	})
}

func TestProbesOfManyDoNotBeatAsOne(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 1000 {
		d := jitter(time.Second)
		if d < 900*time.Millisecond || d > 1100*time.Millisecond {
			t.Fatalf("jitter made 1s %v", d)
		}
		seen[d] = true
	}
	if len(seen) < 900 {
		t.Errorf("1000 intervals have only %d values", len(seen))
	}
}
