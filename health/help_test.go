package health_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// errRefused holds what must not be published.
var errRefused = errors.New("dial 10.1.2.3:5432: connection refused")

// ask sends a request to h; header is pairs of names and values.
func ask(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "localhost"
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	return ask(h, http.MethodGet, target, header...)
}

// requireCodes fails the test unless livez, startupz and readyz answer so, and
// healthz as readyz.
func requireCodes(t *testing.T, h http.Handler, livez, startupz, readyz int) {
	t.Helper()
	for path, want := range map[string]int{"/livez": livez, "/startupz": startupz, "/readyz": readyz, "/healthz": readyz} {
		if w := get(h, path); w.Code != want {
			t.Errorf("%s is %d, want %d: %s", path, w.Code, want, w.Body)
		}
	}
}

func requireText(t *testing.T, w *httptest.ResponseRecorder, code int, body string) {
	t.Helper()
	if w.Code != code || w.Body.String() != body {
		t.Errorf("got %d\n%s\nwant %d\n%s", w.Code, w.Body, code, body)
	}
}

func requireHas(t *testing.T, body string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not in\n%s", want, body)
		}
	}
}

func requireHasNot(t *testing.T, body string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if strings.Contains(body, want) {
			t.Errorf("%q is in\n%s", want, body)
		}
	}
}

// shop is a tree with a database, a cache that is optional, and a server.
func shop(db, cache, http *suptest.Worker) supervisor.Spec {
	optional := cache.Spec("cache")
	optional.Optional = true
	return supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
		{Name: "storage", Children: []supervisor.Spec{db.Spec("db"), optional}},
		http.Spec("http"),
	}}
}

func idle(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return nil
}

// pool is a tree of n nodes: a root, and workers below it.
func pool(n int, run supervisor.RunFunc) supervisor.Spec {
	spec := supervisor.Spec{Name: "pool", Concurrent: true, Intensity: supervisor.Unlimited}
	for i := range n - 1 {
		spec.Children = append(spec.Children, supervisor.Spec{Name: fmt.Sprint("w", i), Run: run})
	}
	return spec
}

// running runs spec until the end of the test, outside of a bubble.
func running(t testing.TB, spec supervisor.Spec, opts supervisor.Options) *supervisor.Supervisor {
	t.Helper()
	sup, err := supervisor.New(spec, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- sup.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := sup.WaitReady(ctx, ""); err != nil {
		t.Fatal(err)
	}
	return sup
}
