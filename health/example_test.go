package health_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

func Example() {
	recent := health.NewLog(0)
	sup, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
		{Name: "worker", Run: func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			return nil
		}},
	}}, supervisor.Options{Observer: recent.Observe})
	if err != nil {
		fmt.Println(err)
		return
	}
	probes, err := health.Serve("127.0.0.1:0", sup) // ":8081", in a container
	if err != nil {
		fmt.Println(err)
		return
	}
	admin, err := health.ServeAdmin("127.0.0.1:0", sup, health.AdminOptions{Log: recent})
	if err != nil {
		fmt.Println(err)
		return
	}
	show := func(path string) {
		resp, err := http.Get("http://" + probes.Addr() + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		fmt.Printf("%s %d %s\n", path, resp.StatusCode, body)
	}
	show("/livez") // before the first child starts

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- sup.Run(ctx) }()
	if err := sup.WaitReady(ctx, ""); err != nil {
		fmt.Println(err)
	}
	show("/readyz")
	show("/readyz?verbose")

	cancel()
	fmt.Println("the tree ended:", <-ended)
	show("/readyz") // after the last has stopped
	fmt.Println(probes.Shutdown(context.Background()), admin.Shutdown(context.Background()))
	// Output:
	// /livez 200 ok
	// /readyz 200 ok
	// /readyz?verbose 200 [+]shop ok
	// [+]shop/worker ok
	// readyz check passed
	//
	// the tree ended: <nil>
	// /readyz 503 [-]shop failed: not running
	// readyz check failed
	//
	// <nil> <nil>
}
