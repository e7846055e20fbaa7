package supervisor

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestFeedDeliversInOrderOrCounts: many loops emit at once into a small ring;
// what is delivered is in order, and what is not is counted.
func TestFeedDeliversInOrderOrCounts(t *testing.T) { // S35
	for _, size := range []int{1, 7, 4096} {
		var f feed
		var seen, last uint64
		f.start(func(e Event) {
			if e.Seq <= last {
				t.Errorf("event %d after %d", e.Seq, last)
			}
			seen, last = seen+1, e.Seq
			runtime.Gosched()
		}, size)
		var loops sync.WaitGroup
		const each = 500
		for range 8 {
			loops.Go(func() {
				for range each {
					f.emit(Event{Kind: EventReady})
				}
			})
		}
		loops.Wait()
		f.stop(time.Minute)
		if got := seen + f.dropped.Load(); got != 8*each || last != 8*each {
			t.Errorf("with room for %d: %d seen and %d dropped, the last was %d of %d", size, seen, f.dropped.Load(), last, 8*each)
		}
	}
}

func TestAnEventThatNobodyObservesAllocatesNothing(t *testing.T) {
	var f feed
	f.start(nil, DefaultEventBuffer)
	if n := testing.AllocsPerRun(100, func() { f.put(&Event{Seq: f.number(), Kind: EventReady}, nil) }); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}
