package supervisor

import (
	"sync"
	"sync/atomic"
)

// A broadcast wakes everybody who listens. Ringing it costs one atomic load
// while nobody does.
type broadcast struct {
	listeners atomic.Int32

	mu   sync.Mutex // guards bell
	bell chan struct{}
}

// listen returns a channel that is closed at the next ring. Look at what may
// have changed after listen, not before. Each listen wants one leave.
func (b *broadcast) listen() <-chan struct{} {
	b.listeners.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bell == nil {
		b.bell = make(chan struct{})
	}
	return b.bell
}

func (b *broadcast) leave() { b.listeners.Add(-1) }

func (b *broadcast) ring() {
	if b.listeners.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bell != nil {
		close(b.bell)
		b.bell = nil
	}
}
