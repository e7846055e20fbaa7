package supervisor

import "sync"

// An inbox takes inputs from any goroutine and never blocks one: a child has
// only so much to say, so it needs no bound. One goroutine at a time sees to
// them: it drives.
type inbox struct {
	bell chan struct{} // rung when inputs wait and nobody drives

	mu     sync.Mutex // guards all below
	inputs []input
	spare  []input // the last batch, to be reused
	driven bool
	closed bool
}

// newInbox returns an inbox that its maker drives.
func newInbox() inbox { return inbox{bell: make(chan struct{}, 1), driven: true} }

// put takes in, unless the inbox is closed. Of those who offer to drive, one
// is told to if nobody does.
func (b *inbox) put(in *input, offer bool) (ok, drive bool) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false, false
	}
	b.append(in)
	free := !b.driven
	b.driven = b.driven || offer
	b.mu.Unlock()
	if free && !offer {
		b.ring()
	}
	return true, free && offer
}

// append is apart, for the stack that growing takes: see incarnation.pass.
//
//go:noinline
func (b *inbox) append(in *input) { b.inputs = append(b.inputs, *in) }

func (b *inbox) ring() {
	select {
	case b.bell <- struct{}{}:
	default:
	}
}

// claim makes the caller drive, and reports false if somebody does already.
func (b *inbox) claim() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	free := !b.driven
	b.driven = true
	return free
}

// take returns the inputs that wait, in order, good until the next take. If
// there are none, the caller drives no more.
func (b *inbox) take() []input {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.inputs) == 0 {
		b.driven = false
		return nil
	}
	clear(b.spare)
	b.inputs, b.spare = emptied(b.spare), b.inputs
	return b.spare
}

// yield leaves the driving to whom the bell wakes.
func (b *inbox) yield() {
	b.mu.Lock()
	b.driven = false
	b.mu.Unlock()
	b.ring()
}

// close refuses further inputs and returns those that still wait.
func (b *inbox) close() []input {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.inputs
}
