package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// TestWaitsAreTold: that a worker's goroutine waits for a processor, and not
// that it waits for a lock of its own.
func TestWaitsAreTold(t *testing.T) {
	var own sync.Mutex
	var ref supervisor.Ref[int]
	spec := supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "w", Backoff: supervisor.NoBackoff, Run: ref.Run(func(_ context.Context, ready func(int)) error {
		ready(1)
		own.Lock()
		defer own.Unlock()
		return errFailed
	})}}, Intensity: supervisor.Unlimited}
	own.Lock()
	g := grow(spec)
	g.settle()
	locks, processors, err := traced(func() {
		for range 5 {
			own.Unlock()
			time.Sleep(5 * time.Millisecond)
			own.Lock()
			time.Sleep(5 * time.Millisecond)
		}
	})
	own.Unlock()
	g.stop()
	if err != nil || locks.Times > 0 || processors.Times == 0 || processors.Max <= 0 {
		t.Errorf("locks %+v, processors %+v, %v", locks, processors, err)
	}
}

// TestWaitsForTheTreesLocksAreTold: who reads without a pause makes restarts
// wait for a lock now and then.
func TestWaitsForTheTreesLocksAreTold(t *testing.T) {
	for range 20 {
		var s stall
		if err := fresh("contend", crowd{"Snapshot", 0, 200 * time.Millisecond}, &s); err != nil {
			t.Fatal(err)
		}
		if s.Locks.Times > 0 && s.Locks.Max > 0 {
			return
		}
	}
	t.Error("nobody ever waits for a lock")
}
