package supervisor

import (
	"runtime"
	"sync"
	"testing"
)

// TestAStepGoesBeforeTheNextReader, and waits for the one who reads, and no
// other, though many came before it.
func TestAStepGoesBeforeTheNextReader(t *testing.T) { // S36
	const readers = 64
	var a access
	var group sync.WaitGroup
	var order []string // guarded by a
	a.read()
	for range readers {
		group.Go(func() {
			a.read()
			order = append(order, "read")
			a.done()
		})
	}
	group.Go(func() {
		a.step()
		order = append(order, "step")
		a.stepped()
	})
	for !a.wanted.Load() {
		runtime.Gosched()
	}
	a.done()
	group.Wait()
	if len(order) != readers+1 || order[0] != "step" {
		t.Errorf("%d came, first %q; want %d, the step first", len(order), order[0], readers+1)
	}
}
