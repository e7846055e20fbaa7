package supervisor

import (
	"context"
	"runtime"
	"strings"
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

// runUntilReleased returns an incarnation that runs until the channel is closed.
func runUntilReleased(t *testing.T) (inc *incarnation, release chan struct{}) {
	t.Helper()
	ran := make(chan struct{})
	release = make(chan struct{})
	r := newTestRunnerOf(t, Spec{Name: "w", Run: Func(func(context.Context) error { return holdOn(ran, release) })})
	r.drive(nil, nil, 1) // it begins
	<-ran
	return r.core.named("w").unit.inc, release
}

// holdOn can be found in a stack.
func holdOn(ran chan<- struct{}, release <-chan struct{}) error {
	close(ran)
	<-release
	return nil
}

// TestNoStackOfWhatDoesNotRun: of what has not begun, none is looked for; of what
// has ended, its slot may run another.
func TestNoStackOfWhatDoesNotRun(t *testing.T) { // S27
	running, release := runUntilReleased(t)
	var f feed
	var inc incarnation
	if stack := f.stackOf(&inc); stack != "" || !f.lastStack.IsZero() {
		t.Errorf("before it began its stack was looked for, and is %q", stack)
	}
	inc.slot.Store(running.slot.Load())
	if stack := findStack(&inc); !strings.Contains(stack, "supervisor.holdOn") {
		t.Errorf("the stack of its slot is %q", stack)
	}
	inc.fate.Store(fateEnded)
	if stack := findStack(&inc); stack != "" {
		t.Errorf("after its end its stack is %q", stack)
	}
	close(release)
}

// TestNoStackAmongTooManyGoroutines: to look for it stops all of them, for
// longer the more there are. Among five thousand it is found.
func TestNoStackAmongTooManyGoroutines(t *testing.T) { // S27
	if testing.Short() {
		t.Skip("starts ten thousand goroutines")
	}
	inc, release := runUntilReleased(t)
	var idle sync.WaitGroup
	fiveThousandMore := func() {
		for range 5_000 {
			idle.Go(func() { <-release })
		}
	}
	var few, many feed
	fiveThousandMore()
	if stack := few.stackOf(inc); !strings.Contains(stack, "supervisor.holdOn") {
		t.Errorf("among five thousand the stack is %q", stack)
	}
	fiveThousandMore()
	if stack := many.stackOf(inc); stack != "" || !many.lastStack.IsZero() {
		t.Errorf("among ten thousand the stack is %q", stack)
	}
	close(release)
	idle.Wait()
}
