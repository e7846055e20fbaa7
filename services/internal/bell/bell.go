// Package bell wakes those who wait for something of which there may be some
// now.
package bell

import "context"

// A Bell holds one token, which wakes one of those who wait; as each rings when
// he leaves, with what he waited for or without it, that is enough to wake all
// that are needed. New makes one. Its methods may be called concurrently.
type Bell chan struct{}

// New returns a bell that nobody has rung.
func New() Bell { return make(Bell, 1) }

// Ring says that there may be something: call it after it is there.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// Await reports whether try, called now and whenever b is rung, said that it
// had what it wanted before ctx was done.
func (b Bell) Await(ctx context.Context, try func() bool) bool {
	defer b.Ring()
	for ctx.Err() == nil {
		if try() {
			return true
		}
		select {
		case <-b:
		case <-ctx.Done():
		}
	}
	return false
}
