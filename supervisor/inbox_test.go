package supervisor

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestOneDrivesAndNothingIsLost: whoever puts something in, and offers to drive
// or does not, never are there two at it, and all that was put in is seen to, in
// the order of each writer.
func TestOneDrivesAndNothingIsLost(t *testing.T) { // S43
	const writers, each = 8, 500
	var b inbox
	b.init()
	var driving, seen, yields atomic.Int32
	var last [writers + 1]uint64 // of who drives
	all := make(chan struct{})
	drive := func(inputs []input, rounds int) {
		for ; len(inputs) > 0; inputs = b.take() { // without any it drives no more
			n := len(inputs)
			if driving.Add(1) > 1 || b.claim() {
				t.Error("two drive")
			}
			for _, in := range inputs {
				if last[in.status]++; in.number != last[in.status] {
					t.Errorf("writer %d's number %d comes where %d should", in.status, in.number, last[in.status])
				}
			}
			if seen.Add(int32(n)) == writers*each+1 {
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
	b.put(&input{status: writers, number: 1})
	drive(b.take(), 1) // as its maker, who leaves it to whom the bell wakes
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				in := input{status: int8(w), number: uint64(i + 1)}
				if (i+w)%3 > 0 {
					b.put(&in)
				} else {
					first, _ := b.offer(&in)
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
	if left := b.close(); len(left) > 0 || seen.Load() != writers*each+1 {
		t.Errorf("%d were seen to and %d left, want %d and none", seen.Load(), len(left), writers*each+1)
	}
}

// TestInboxKeepsLittle: what many said at once is let go of, and its room, when
// nobody drives any more.
func TestInboxKeepsLittle(t *testing.T) {
	for name, leave := range map[string]func(*inbox){"take": func(b *inbox) { b.take() }, "yield": (*inbox).yield} {
		var b inbox
		b.init()
		for range 2 * burst {
			b.put(&input{call: &call{}})
		}
		if n := len(b.take()); n != 2*burst {
			t.Fatalf("%d were taken", n)
		}
		leave(&b)
		if first, _ := b.offer(&input{}); len(first) != 1 || cap(first) > burst {
			t.Errorf("%s: %d with room for %d", name, len(first), cap(first))
		}
		b.take()
		first, _ := b.offer(&input{call: &call{}})
		b.yield()
		if first[0].call != nil {
			t.Errorf("%s: a call is held on to", name)
		}
	}
}
