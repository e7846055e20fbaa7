package supervisor

import (
	"sync"
	"sync/atomic"
)

// An inbox takes inputs from any goroutine and never blocks one: a child has
// only so much to say, so it needs no bound. One goroutine at a time sees to
// them: it drives.
type inbox struct {
	bell  chan struct{} // rung when inputs wait and nobody drives
	state atomic.Uint32 // driven, pending; without pending nothing waits

	mu     sync.Mutex // guards all below
	inputs []input
	closed bool

	batch []input // what was taken last, of who drives; empty while nobody does
}

const (
	driven  = 1 << iota // somebody drives
	pending             // inputs wait; changed with mu held
)

// init must be called before all else, by who drives first.
func (b *inbox) init() {
	b.bell = make(chan struct{}, 1)
	b.state.Store(driven)
}

// put takes in, unless the inbox is closed.
func (b *inbox) put(in *input) bool {
	ok, free := b.add(in, 0)
	if free {
		b.ring()
	}
	return ok
}

// offer takes in as put does, and has the caller drive if nobody does: it
// returns what it is to begin with. If nothing else waits, that is in, which
// takes no lock.
func (b *inbox) offer(in *input) (first []input, ok bool) {
	if b.state.Load() == 0 && b.state.CompareAndSwap(0, driven) {
		b.batch = append(b.batch, *in)
		return b.batch, true
	}
	ok, free := b.add(in, driven)
	if free {
		first = b.take()
	}
	return first, ok
}

// add adds in to those that wait, and reports whether nobody drives, or did
// before the caller, which says so by as.
func (b *inbox) add(in *input, as uint32) (ok, free bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false, false
	}
	b.append(in)
	if b.state.Load() == driven|pending { // and whoever drives takes in, or rings for it
		return true, false
	}
	return true, b.state.Or(pending|as)&driven == 0
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
func (b *inbox) claim() bool { return b.state.Or(driven)&driven == 0 }

// isDriven reports whether somebody drives, for no inbox nobody.
func (b *inbox) isDriven() bool { return b != nil && b.state.Load()&driven != 0 }

// take returns the inputs that wait, in order, good until the next take. If
// there are none, the caller drives no more.
func (b *inbox) take() []input {
	b.seen()
	if b.state.Load() == driven && b.state.CompareAndSwap(driven, 0) {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inputs, b.batch = b.batch, b.inputs
	b.state.Store(driven)
	return b.batch
}

// seen lets go of what was taken last.
func (b *inbox) seen() {
	clear(b.batch)
	b.batch = emptied(b.batch)
}

// yield leaves the driving to whom the bell wakes.
func (b *inbox) yield() {
	b.seen()
	b.state.And(^uint32(driven))
	b.ring()
}

// close refuses further inputs and returns those that still wait. The caller
// drives, and goes on to: nobody else ever does.
func (b *inbox) close() []input {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.inputs
}
