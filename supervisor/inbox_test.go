package supervisor

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestOneDrivesAndNothingIsLost: whoever puts something in, and offers to drive
// or does not, never are there two at it, and all that was put in is seen to.
func TestOneDrivesAndNothingIsLost(t *testing.T) { // S43
	const writers, each = 8, 500
	var b inbox
	b.init()
	var driving, seen, yields atomic.Int32
	all := make(chan struct{})
	drive := func(inputs []input, rounds int) {
		for ; len(inputs) > 0; inputs = b.take() { // without any it drives no more
			n := len(inputs)
			if driving.Add(1) > 1 || b.claim() {
				t.Error("two drive")
			}
			if seen.Add(int32(n)) == writers*each {
				close(all)
			}
			driving.Add(-1)
			if rounds--; rounds == 0 {
				yields.Add(1)
				b.yield()
				return
			}
		}
	}
	drive(b.take(), 1) // as its maker
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				if (i+w)%3 > 0 {
					b.put(&input{})
				} else {
					first, _ := b.offer(&input{})
					drive(first, 1+i%2)
				}
			}
		})
	}
	for done := false; !done; {
		select {
		case <-b.bell:
			if b.claim() {
				drive(b.take(), 2)
			}
		case <-all:
			done = true
		}
	}
	group.Wait()
	if yields.Load() == 0 {
		t.Error("nobody ever left the driving to whom the bell wakes")
	}
	if left := b.close(); len(left) > 0 || seen.Load() != writers*each {
		t.Errorf("%d were seen to and %d left, want %d and none", seen.Load(), len(left), writers*each)
	}
}
