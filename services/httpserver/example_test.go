package httpserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/coppice-go/coppice/services/httpserver"
	"github.com/coppice-go/coppice/supervisor"
)

func Example() {
	web := httpserver.New(httpserver.Config{
		Addr: "127.0.0.1:0",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "hello")
		}),
	})
	sup, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
		web.Spec("http"),
	}}, supervisor.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- sup.Run(ctx) }()

	addr, err := web.Addr().Get(ctx) // waits until the server listens
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := http.Get("http://" + addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	fmt.Println(string(body), err)

	cancel()
	fmt.Println("the tree ended:", <-ended)
	// Output:
	// hello <nil>
	// the tree ended: <nil>
}

// What a request needs may be down while the server is up.
func ExampleGate() {
	var db supervisor.Ref[string] // of a worker that has not started yet
	orders := httpserver.Gate(&db, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "12 orders")
	}))
	w := httptest.NewRecorder()
	orders.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/orders", nil))
	fmt.Println(w.Code, w.Header().Get("Retry-After"))
	// Output: 503 1
}
