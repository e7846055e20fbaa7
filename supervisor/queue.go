package supervisor

// A queue holds children, the next one first. A child is in one at most: it
// waits for its turn to stop, for its turn to start, or for a time.
//
// It is a heap of four arms, with the keys beside each other: among very many
// children it is the memory looked at that takes the time, and a look at a
// child is far away.
type queue struct {
	key  func(*child) uint64 // the lowest is next
	heap []waiter
}

type waiter struct {
	key   uint64
	child *child
}

// The orders in which children wait: those that no neighbour holds up come
// before those that must wait for one.
func firstFirst(ch *child) uint64 { return ch.rank | held(!ch.mayStart()) }
func lastFirst(ch *child) uint64  { return ^ch.rank&^held(true) | held(!ch.mayStop()) }

func soonest(ch *child) uint64 { return uint64(ch.due) }

func held(holds bool) uint64 {
	if holds {
		return 1 << 63
	}
	return 0
}

// put moves ch here from wherever it waited.
func (q *queue) put(ch *child) {
	ch.leave()
	ch.queue = q
	q.heap = append(q.heap, waiter{q.key(ch), ch})
	q.up(len(q.heap) - 1)
}

// peek returns the next child, nil if there is none.
func (q *queue) peek() *child {
	if len(q.heap) == 0 {
		return nil
	}
	return q.heap[0].child
}

// take removes and returns the next child.
func (q *queue) take() *child {
	ch := q.heap[0].child
	ch.leave()
	return ch
}

func (q *queue) empty() bool { return len(q.heap) == 0 }

// reorder gives the child its place anew, where it waits.
func (ch *child) reorder() {
	if q := ch.queue; q != nil {
		q.heap[ch.index].key = q.key(ch)
		q.fix(int(ch.index))
	}
}

// leave ends the child's wait, if it waits.
func (ch *child) leave() {
	q := ch.queue
	if q == nil {
		return
	}
	last, at := len(q.heap)-1, int(ch.index)
	q.heap[at] = q.heap[last]
	q.heap[last] = waiter{}
	q.heap = q.heap[:last]
	switch {
	case last == 0:
		q.heap = emptied(q.heap)
	case at < last:
		q.fix(at)
	}
	ch.queue = nil
}

// reorderAll gives all of them their places anew.
func (q *queue) reorderAll() {
	for i := range q.heap {
		q.heap[i].key = q.key(q.heap[i].child)
		q.up(i)
	}
}

// fix moves what waits at i to where it belongs.
func (q *queue) fix(i int) {
	ch := q.heap[i].child
	q.down(i)
	q.up(int(ch.index))
}

const arms = 4

func (q *queue) up(i int) {
	w := q.heap[i]
	for i > 0 {
		above := (i - 1) / arms
		if q.heap[above].key <= w.key {
			break
		}
		q.set(i, q.heap[above])
		i = above
	}
	q.set(i, w)
}

func (q *queue) down(i int) {
	w := q.heap[i]
	for first := i*arms + 1; first < len(q.heap); first = i*arms + 1 {
		least := first
		for n := first + 1; n < min(first+arms, len(q.heap)); n++ {
			if q.heap[n].key < q.heap[least].key {
				least = n
			}
		}
		if w.key <= q.heap[least].key {
			break
		}
		q.set(i, q.heap[least])
		i = least
	}
	q.set(i, w)
}

func (q *queue) set(i int, w waiter) {
	q.heap[i] = w
	w.child.index = int32(i)
}
