package supervisor

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// An access guards a core, which steps change and anybody may read. The next
// step comes before the next reader: whoever drives waits for one of them at
// most, however many there are and however often they come.
type access struct {
	mu     sync.Mutex
	gate   sync.Mutex  // held by who reads, or reads next; taken before mu
	wanted atomic.Bool // a step waits for mu
}

func (a *access) step() {
	if !a.mu.TryLock() {
		a.wanted.Store(true)
		a.mu.Lock()
		a.wanted.Store(false)
	}
}

func (a *access) stepped() { a.mu.Unlock() }

// read lets a step go first that waits already. Nobody but its driver can have
// mu then, and needs no more than a processor to take it.
func (a *access) read() {
	a.gate.Lock()
	for a.wanted.Load() {
		runtime.Gosched()
	}
	a.mu.Lock()
}

func (a *access) done() {
	a.mu.Unlock()
	a.gate.Unlock()
}
