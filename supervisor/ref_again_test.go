package supervisor_test

import (
	"context"
	"sync"
	"testing"

	"github.com/coppice-go/coppice/supervisor"
)

// TestRefTakesAnotherValue: a worker may publish a new value while readers hold
// the one before it.
func TestRefTakesAnotherValue(t *testing.T) { // S27
	var ref supervisor.Ref[[2]int]
	var readers sync.WaitGroup
	more := make(chan struct{})
	_, stop := run(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "w", Run: ref.Run(func(ctx context.Context, ready func([2]int)) error {
		for i := 1; ; i++ {
			ready([2]int{i, i})
			select {
			case <-more:
			case <-ctx.Done():
				return nil
			}
		}
	})}}}, supervisor.Options{})
	for range 4 {
		readers.Go(func() {
			for range 1000 {
				if v, _ := ref.Peek(); v[0] != v[1] {
					t.Errorf("a reader sees %v", v)
				}
			}
		})
	}
	for range 100 {
		more <- struct{}{}
	}
	readers.Wait()
	if v, err := ref.Get(t.Context()); err != nil || v[0] < 100 {
		t.Errorf("Get returns %v, %v", v, err)
	}
	_ = stop()
	if v, ok := ref.Peek(); ok {
		t.Errorf("after the end there is %v", v)
	}
}
