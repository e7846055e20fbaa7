package bell

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// One token is enough for all that wait, since each passes it on.
func TestATokenIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		var things, got atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		take := func() bool {
			if n := things.Load(); n > 0 && things.CompareAndSwap(n, n-1) {
				got.Add(1)
				return true
			}
			return false
		}
		for range 5 {
			go b.Await(ctx, take)
		}
		synctest.Wait()
		things.Store(3)
		b.Ring()
		synctest.Wait()
		if got.Load() != 3 {
			t.Errorf("one ring brought %d things to those who wait, want all 3", got.Load())
		}
		cancel()
	})
}

// Whoever was woken and leaves without what he waited for, because his context
// has ended as well, wakes the next.
func TestATokenIsPassedOnByOneWhoGoes(t *testing.T) {
	for range 20 { // as select picks one of the two at random
		b := New()
		gone, cancel := context.WithCancel(t.Context())
		b.Await(gone, func() bool { cancel(); b.Ring(); return false })
		if len(b) != 1 {
			t.Fatal("he took the token with him")
		}
	}
}

func TestAwaitTriesBeforeItWaitsAndNotAfterTheEnd(t *testing.T) {
	b := New()
	if !b.Await(t.Context(), func() bool { return true }) {
		t.Error("it was there, and Await said no")
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if b.Await(over, func() bool { return true }) {
		t.Error("it tried although the context was done")
	}
}
