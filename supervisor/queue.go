package supervisor

import "container/heap"

// A queue holds children, the next one first. A child is in one at most: it
// waits for its turn to stop, for its turn to start, or for a time.
type queue struct {
	before func(a, b *child) bool
	heap   []*child
}

func newQueue(before func(a, b *child) bool) *queue { return &queue{before: before} }

// The orders in which children wait: those that no neighbour holds up come
// before those that must wait for one.
func firstFirst(a, b *child) bool {
	if free := a.mayStart(); free != b.mayStart() {
		return free
	}
	return a.rank < b.rank
}

func lastFirst(a, b *child) bool {
	if free := a.mayStop(); free != b.mayStop() {
		return free
	}
	return a.rank > b.rank
}

func soonest(a, b *child) bool { return a.due < b.due }

// put moves ch here from wherever it waited.
func (q *queue) put(ch *child) {
	ch.leave()
	ch.queue = q
	heap.Push(q, ch)
}

// peek returns the next child, nil if there is none.
func (q *queue) peek() *child {
	if len(q.heap) == 0 {
		return nil
	}
	return q.heap[0]
}

// take removes and returns the next child.
func (q *queue) take() *child {
	ch := q.heap[0]
	ch.leave()
	return ch
}

// reorder gives the child its place anew, where it waits.
func (ch *child) reorder() {
	if ch.queue != nil {
		heap.Fix(ch.queue, int(ch.index))
	}
}

func (q *queue) empty() bool { return len(q.heap) == 0 }

// leave ends the child's wait, if it waits.
func (ch *child) leave() {
	if q := ch.queue; q != nil {
		heap.Remove(q, int(ch.index))
		ch.queue = nil
	}
}

// For container/heap.

func (q *queue) Len() int           { return len(q.heap) }
func (q *queue) Less(i, j int) bool { return q.before(q.heap[i], q.heap[j]) }

func (q *queue) Swap(i, j int) {
	q.heap[i], q.heap[j] = q.heap[j], q.heap[i]
	q.heap[i].index, q.heap[j].index = int32(i), int32(j)
}

func (q *queue) Push(x any) {
	ch := x.(*child)
	ch.index = int32(len(q.heap))
	q.heap = append(q.heap, ch)
}

func (q *queue) Pop() any {
	last := len(q.heap) - 1
	ch := q.heap[last]
	q.heap[last] = nil
	q.heap = q.heap[:last]
	return ch
}
