package supervisor_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/coppice-go/coppice/supervisor"
)

// TestTenThousandCrashesLeaveNothingBehind: by error, by panic and by Goexit.
func TestTenThousandCrashesLeaveNothingBehind(t *testing.T) { // S28
	n := int64(scale(10_000, 300))
	var crashes atomic.Int64
	var allowed atomic.Int64
	enough := make(chan struct{}, 1)
	worker := func(ctx context.Context, ready func()) error {
		ready()
		if crashes.Add(1) <= allowed.Load() {
			switch crashes.Load() % 3 {
			case 0:
				panic(fmt.Sprint("crash ", crashes.Load()))
			case 1:
				runtime.Goexit()
			}
			return errCrash
		}
		select {
		case enough <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return nil
	}
	sup, stop := run(t, supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited, Children: []supervisor.Spec{
		{Name: "w", Run: worker, Backoff: supervisor.NoBackoff}}}, supervisor.Options{})
	crash := func(n int64) {
		<-enough
		allowed.Store(crashes.Load() + n)
		if err := sup.Restart(t.Context(), "app/w"); err != nil {
			t.Fatal(err)
		}
		<-enough
		enough <- struct{}{}
	}
	crash(n / 10)
	heap, goroutines := usage()
	crash(n)
	heap2, goroutines2 := usage()
	if grown := int64(heap2) - int64(heap); grown > 256<<10 {
		t.Errorf("the heap grew by %d bytes over %d crashes", grown, n)
	}
	if goroutines2 > goroutines+2 {
		t.Errorf("%d goroutines, %d before", goroutines2, goroutines)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
