package supervisor

import (
	"context"
	"sync"
)

// A lodging is the engine that the next supervisor below uses.
type lodging struct {
	mu     sync.Mutex // guards engine
	engine *engine
}

// lodge returns the engine for ch, a supervisor with n children below r; r is
// nil for the root.
func (r *runner) lodge(base context.Context, ch *child, path string, n int) *engine {
	if r == nil || n >= rackSize {
		return newEngine(base, path, n, 0)
	}
	r.lodging.mu.Lock()
	defer r.lodging.mu.Unlock()
	if e := r.lodging.engine; e == nil || !e.join(n) {
		r.lodging.engine = newEngine(base, r.core.path, n, r.room(ch, rackSize-n))
	}
	return r.lodging.engine
}

// room returns how many children those of the next siblings of ch have that are
// to start, as long as there is room for all of them.
func (r *runner) room(ch *child, most int) (n int) {
	r.access.read()
	defer r.access.done()
	for range rackSize {
		if ch = ch.next; ch == nil || n+len(ch.spec.Children) > most {
			break
		}
		if ch.state == Pending {
			n += len(ch.spec.Children)
		}
	}
	return n
}
