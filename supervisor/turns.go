package supervisor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// turns are those of a tree's checks and remedies, by name. Who hangs keeps
// its turn, whichever incarnation of the child is next, and even if the child
// was removed and is added anew.
type turns struct {
	mu    sync.Mutex // guards taken
	taken map[string]*turn
}

type turn struct {
	since time.Time
	over  chan struct{} // closed when it is given back
}

// take waits until the turn is free, or ctx is done.
func (t *turns) take(ctx context.Context, name string) error {
	for {
		other := t.tryTake(name)
		if other == nil {
			return nil
		}
		select {
		case <-other.over:
		case <-ctx.Done():
			return fmt.Errorf("%w: one begun at %s has not returned", ErrUnavailable, other.since.UTC().Format(time.RFC3339))
		}
	}
}

// tryTake returns who has the turn, nil if that is the caller now.
func (t *turns) tryTake(name string) (other *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if other = t.taken[name]; other != nil {
		return other
	}
	if t.taken == nil {
		t.taken = make(map[string]*turn)
	}
	t.taken[name] = &turn{since: time.Now(), over: make(chan struct{})}
	return nil
}

func (t *turns) giveBack(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.taken[name].over)
	delete(t.taken, name)
}

// rest waits until none is taken, or patience is over.
func (t *turns) rest(patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for other := t.any(); other != nil; other = t.any() {
		select {
		case <-other.over:
		case <-timer.C:
			return
		}
	}
}

// any returns one that is taken, nil if none is.
func (t *turns) any() *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, other := range t.taken {
		return other
	}
	return nil
}

// names lists those that are taken, sorted.
func (t *turns) names() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := make([]string, 0, len(t.taken))
	for name := range t.taken {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
