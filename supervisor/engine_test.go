package supervisor

import (
	"sync"
	"testing"
)

// TestSupervisorsLeaveTheirEngineTogether: who gives its slots back must not
// find that another has ended the engine meanwhile.
func TestSupervisorsLeaveTheirEngineTogether(t *testing.T) { // S8
	for range 2000 {
		e := newEngine("app", rackSize/2, rackSize/2)
		if !e.join(rackSize / 2) {
			t.Fatal("no room")
		}
		var both sync.WaitGroup
		both.Go(func() { e.leave(rackSize / 2) })
		both.Go(func() { e.leave(rackSize / 2) })
		both.Wait()
	}
}
