package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

func TestSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		spec := supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
			{Name: "storage", Children: []supervisor.Spec{
				{Name: "db", Run: func(ctx context.Context, ready func()) error {
					n++
					if n == 2 {
						return fmt.Errorf("connect: %w", supervisor.ErrUnavailable)
					}
					ready()
					select {
					case <-ctx.Done():
						return nil
					case <-time.After(10 * time.Second):
						var m map[string]int
						m["x"] = 1
						return nil
					}
				}},
				{Name: "cache", Run: supervisor.Func(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })},
			}},
			{Name: "http", Run: supervisor.Func(func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Minute)
				return context.Cause(ctx)
			})},
		}}
		start := time.Now()
		sup, err := supervisor.New(spec, supervisor.Options{Observer: func(e supervisor.Event) {
			fmt.Println(e.Time.Sub(start), e)
			if e.Stack != "" {
				fmt.Println(e.Stack)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if err := sup.WaitReady(ctx, ""); err != nil {
				t.Error(err)
			}
			time.Sleep(10100 * time.Millisecond)
			synctest.Wait()
			fmt.Println(sup.Snapshot())
			fmt.Println(sup.Why(""))
			fmt.Println(sup.Ailing(supervisor.Degraded, 10))
			time.Sleep(10 * time.Second)
			fmt.Println(sup.Restart(ctx, "shop/storage"))
			fmt.Println(sup.Snapshot())
			cancel()
		}()
		err = sup.Run(ctx)
		fmt.Println(err)
		if !errors.Is(err, supervisor.ErrAbandoned) {
			t.Error(err)
		}
		fmt.Println(sup.Snapshot())
		time.Sleep(time.Minute)
	})
}
