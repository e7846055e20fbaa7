package supervisor

import "sync"

// An inbox takes inputs from any goroutine and never blocks one: a child has
// only so much to say, so it needs no bound.
type inbox struct {
	bell chan struct{} // holds one token while inputs wait

	mu     sync.Mutex // guards all below
	inputs []input
	spare  []input // the last batch, to be reused
	closed bool
}

func newInbox() inbox { return inbox{bell: make(chan struct{}, 1)} }

// put reports whether it took in: a closed inbox takes nothing.
func (b *inbox) put(in *input) bool {
	b.mu.Lock()
	closed := b.closed
	if !closed {
		b.inputs = append(b.inputs, *in)
	}
	first := len(b.inputs) == 1
	b.mu.Unlock()
	if first && !closed {
		select {
		case b.bell <- struct{}{}:
		default:
		}
	}
	return !closed
}

// take returns the inputs that wait, in order. They are good until the next take.
func (b *inbox) take() []input {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.spare)
	b.inputs, b.spare = b.spare[:0], b.inputs
	return b.spare
}

// close refuses further inputs and returns those that still wait.
func (b *inbox) close() []input {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.inputs
}
