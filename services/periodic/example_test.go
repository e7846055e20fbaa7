package periodic_test

import (
	"context"
	"fmt"
	"time"

	"github.com/coppice-go/coppice/services/periodic"
	"github.com/coppice-go/coppice/supervisor"
)

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	sweeps := 0
	sweep := periodic.New(periodic.Config{
		Every:       time.Millisecond,
		Immediately: true,
		Run: func(ctx context.Context) error {
			if sweeps++; sweeps == 3 {
				cancel()
			}
			return nil
		},
	})

	sup, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
		sweep.Spec("sweep"),
	}}, supervisor.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the tree ended:", sup.Run(ctx))
	fmt.Println("sweeps:", sweeps)
	// Output:
	// the tree ended: <nil>
	// sweeps: 3
}
