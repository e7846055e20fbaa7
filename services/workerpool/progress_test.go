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
