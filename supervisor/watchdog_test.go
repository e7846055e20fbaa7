package supervisor

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatchdogNoticesAStuckLoop: an input that waits for five seconds, or a
// step that takes as long, is noticed without anybody asking the loop, and so
// is its end.
func TestWatchdogNoticesAStuckLoop(t *testing.T) {
	for name, owe := range map[string]func(*watchdog){
		"an input waits": (*watchdog).waiting,
		"a long step":    func(w *watchdog) { w.waiting(); w.busy(time.Now()) },
	} {
		synctest.Test(t, func(t *testing.T) {
			var stuck atomic.Int64
			w := newWatchdog(&stuck)
			after := func(d time.Duration, want int64) {
				t.Helper()
				time.Sleep(d)
				synctest.Wait()
				if got := stuck.Load(); got != want {
					t.Errorf("%s: %d loops are stuck after %v, want %d", name, got, d, want)
				}
			}
			owe(w)
			after(stuckAfter-time.Nanosecond, 0)
			after(time.Nanosecond, 1)
			after(time.Hour, 1)
			w.idle()
			after(time.Second, 0)
			owe(w)
			after(stuckAfter, 1)
			w.stop()
			after(0, 0)
		})
	}
}

// TestWatchdogDatesWhatItFinds: an input that came when a look was due anyway
// counts from that look.
func TestWatchdogDatesWhatItFinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stuck atomic.Int64
		w := newWatchdog(&stuck)
		w.waiting()
		w.idle()
		time.Sleep(time.Second)
		w.waiting()
		time.Sleep(2*stuckAfter - time.Second - time.Nanosecond)
		synctest.Wait()
		if n := stuck.Load(); n != 0 {
			t.Errorf("%d loops are stuck before it is time", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := stuck.Load(); n != 1 {
			t.Errorf("%d loops are stuck, want 1", n)
		}
		w.stop()
	})
}

// TestWatchdogBearsABusyLoop: one that keeps moving is not stuck, and an idle
// one has no timer.
func TestWatchdogBearsABusyLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stuck atomic.Int64
		w := newWatchdog(&stuck)
		for range 100 {
			w.waiting()
			w.busy(time.Now())
			time.Sleep(time.Second)
			w.idle()
			if stuck.Load() != 0 {
				t.Fatal("a loop that moves counts as stuck")
			}
		}
		time.Sleep(2 * stuckAfter)
		synctest.Wait()
		if w.armed.Load() {
			t.Error("an idle loop's watchdog is still armed")
		}
	})
}

// TestIdleWorkerHasNoTimer: one that waits for work costs nothing more.
func TestIdleWorkerHasNoTimer(t *testing.T) { // S34
	synctest.Test(t, func(t *testing.T) {
		sup, err := New(Spec{Name: "app", Children: []Spec{}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		sup.base = context.Background()
		ch := &child{spec: &Spec{BeatTimeout: time.Second}}
		ch.unit.spec.Store(ch.spec)
		inc := newIncarnation(sup, nil, ch)
		inc.heartBegins()
		inc.heart.owesAnew(inc.heart.now())
		inc.heart.owesNothing()
		time.Sleep(time.Hour)
		synctest.Wait()
		if inc.heart.armed.Load() {
			t.Error("an idle worker's heart is still armed")
		}
		inc.heart.owesAnew(inc.heart.now())
		if !inc.heart.armed.Load() {
			t.Error("a busy worker's heart is not armed")
		}
		inc.heartStops()
	})
}

// TestWhatIsOwedDuringALookIsNoticed: a look that finds nothing owed, and will
// not look again, must not overlook who owes something meanwhile.
func TestWhatIsOwedDuringALookIsNoticed(t *testing.T) {
	var l lookout
	first, late := make(chan struct{}), make(chan struct{})
	var once, twice sync.Once
	l.init(20*time.Millisecond, func(isLate bool) {
		once.Do(func() {
			go func() {
				l.owes()
				close(first)
			}()
			select {
			case <-first: // it did not wait for this look
			case <-time.After(100 * time.Millisecond):
			}
		})
		if isLate {
			twice.Do(func() { close(late) })
		}
	})
	l.owes()
	l.owesNothing()
	select {
	case <-late:
	case <-time.After(10 * time.Second):
		t.Error("nobody looks")
	}
	l.stop()
}
