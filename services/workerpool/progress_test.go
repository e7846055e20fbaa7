package workerpool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestAWorkerSaysHowFarThePoolHasGot, with the first job of each second.
func TestAWorkerSaysHowFarThePoolHasGot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, Run: func(context.Context, int) error { time.Sleep(300 * time.Millisecond); return nil }})
		tr := startPool(t, p)
		says := func(want string) {
			t.Helper()
			synctest.Wait()
			snap, err := tr.sup.Find("shop/pool/1")
			if err != nil || snap.Progress != want {
				t.Errorf("it says %q (%v), want %q", snap.Progress, err, want)
			}
		}
		says("")
		submit(t, p, 1)
		synctest.Wait()
		submit(t, p, 2, 3, 4, 5, 6)
		says("0 queued; 1 in flight, 0 done")
		time.Sleep(time.Second) // the fourth job is at work
		says("0 queued; 1 in flight, 0 done")
		time.Sleep(200 * time.Millisecond) // and now the fifth
		says("1 queued, the oldest for 1.2s; 1 in flight, 4 done")
		tr.stop()
	})
}

// While no worker takes a job, because all are busy, those who submit say it. One
// that comes to workers who wait is taken at once, and so is not queued.
func TestWhoSubmitsToBusyWorkersSaysHowFarThePoolHasGot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, Run: func(context.Context, int) error { time.Sleep(10 * time.Second); return nil }})
		tr := startPool(t, p)
		for _, tc := range []struct {
			after time.Duration
			want  string
		}{
			{0, "0 queued; 1 in flight, 0 done"},
			{500 * time.Millisecond, "0 queued; 1 in flight, 0 done"},
			{500 * time.Millisecond, "2 queued, the oldest for 500ms; 1 in flight, 0 done"},
			{2 * time.Second, "3 queued, the oldest for 2.5s; 1 in flight, 0 done"},
			{time.Minute, "0 queued; 1 in flight, 4 done"},
		} {
			time.Sleep(tc.after)
			submit(t, p, 1)
			synctest.Wait()
			if snap, err := tr.sup.Find("shop/pool/1"); err != nil || snap.Progress != tc.want {
				t.Errorf("it says %q (%v), want %q", snap.Progress, err, tc.want)
			}
		}
		tr.stop()
	})
}

func TestStatsArePutIntoWords(t *testing.T) {
	for want, s := range map[string]Stats{
		"0 queued; 0 in flight, 0 done":                              {},
		"2 queued, the oldest for 1.5s; 3 in flight, 4 done, 5 dead": {Queued: 2, QueueAge: 1500 * time.Millisecond, InFlight: 3, Done: 4, Dead: 5},
	} {
		if got := s.String(); got != want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
}
