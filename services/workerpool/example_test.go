package workerpool_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/coppice-go/coppice/services/workerpool"
	"github.com/coppice-go/coppice/supervisor"
)

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	mails := workerpool.New(workerpool.Config[string]{
		Workers: 1, Attempts: 1,
		Run: func(ctx context.Context, to string) error {
			if to == "" {
				return errors.New("nobody to write to")
			}
			fmt.Println("mail to", to)
			if to == "carol" {
				cancel()
			}
			return nil
		},
	})
	for _, to := range []string{"alice", "", "bob", "carol"} {
		if err := mails.Submit(ctx, to); err != nil {
			fmt.Println(err)
		}
	}

	sup, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
		mails.Spec("mails"),
	}}, supervisor.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the tree ended:", sup.Run(ctx))
	for _, d := range mails.TakeDead() {
		fmt.Printf("dead after %d attempt: %v\n", d.Attempts, d.Err)
	}
	fmt.Println("handed back:", mails.Close())
	// Output:
	// mail to alice
	// mail to bob
	// mail to carol
	// the tree ended: <nil>
	// dead after 1 attempt: nobody to write to
	// handed back: []
}
