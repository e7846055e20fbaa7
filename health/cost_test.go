package health_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

// discard is the least that can be a ResponseWriter.
type discard struct {
	header http.Header
	code   int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) Write(p []byte) (int, error) {
	if d.code == 0 {
		d.code = http.StatusOK
	}
	return len(p), nil
}
func (d *discard) WriteHeader(code int) { d.code = code }

// A green answer costs the same whatever the size of the tree: nothing.
func TestGreenAnswersAllocateNothing(t *testing.T) {
	for _, nodes := range []int{10, 1_000} {
		h := health.Handler(running(t, pool(nodes, idle), supervisor.Options{}))
		for _, path := range []string{"/livez", "/startupz", "/readyz", "/healthz"} {
			for _, accept := range []string{"*/*", "application/health+json"} {
				w, r := &discard{header: http.Header{}}, httptest.NewRequest(http.MethodGet, path, nil)
				r.Header.Set("Accept", accept)
				if n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); n != 0 || w.code != http.StatusOK {
					t.Errorf("%s of %d nodes: %v allocations, %d", path, nodes, n, w.code)
				}
			}
		}
	}
}

// The answer of one node costs as much as its path is deep.
func TestOneNodesAnswerDoesNotGrowWithTheTree(t *testing.T) {
	allocs := func(nodes int) float64 {
		h := health.Handler(running(t, pool(nodes, idle), supervisor.Options{}))
		w, r := &discard{header: http.Header{}}, httptest.NewRequest(http.MethodGet, "/readyz/pool/w3", nil)
		return testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) })
	}
	if few, many := allocs(10), allocs(1_000); few != many {
		t.Errorf("%v allocations in a tree of 10, %v in one of 1,000", few, many)
	}
}

// BenchmarkGreenBesidePreparedText says what a green answer costs beside a handler
// that writes a prepared text whatever is: the least that an answer can cost.
func BenchmarkGreenBesidePreparedText(b *testing.B) {
	text, kind := []byte("ok\n"), []string{"text/plain; charset=utf-8"}
	prepared := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = kind
		_, _ = w.Write(text)
	})
	noStore := []string{"no-store"}
	uncached := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"], h["Cache-Control"] = kind, noStore
		_, _ = w.Write(text)
	})
	tree := health.Handler(running(b, pool(1_000, idle), supervisor.Options{}))
	for _, c := range []struct {
		name string
		h    http.Handler
	}{{"prepared", prepared}, {"prepared, not to be cached", uncached}, {"readyz", tree}} {
		b.Run(c.name, func(b *testing.B) {
			w, r := &discard{header: http.Header{}}, httptest.NewRequest(http.MethodGet, "/readyz", nil)
			for b.Loop() {
				c.h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkAnswers(b *testing.B) {
	for _, nodes := range []int{10, 100_000} {
		h := health.Handler(running(b, pool(nodes, idle), supervisor.Options{}))
		for _, path := range []string{"/livez", "/readyz", "/readyz/pool/w3", "/readyz?verbose"} {
			b.Run(fmt.Sprintf("%s/nodes=%d", path[1:], nodes), func(b *testing.B) {
				w, r := &discard{header: http.Header{}}, httptest.NewRequest(http.MethodGet, path, nil)
				b.ReportAllocs()
				for b.Loop() {
					h.ServeHTTP(w, r)
				}
				if w.code != http.StatusOK {
					b.Fatal(w.code)
				}
			})
		}
	}
}

// BenchmarkAdmin says what the admin side costs: it is proportional to the tree,
// and paid for by who looks.
func BenchmarkAdmin(b *testing.B) {
	for _, nodes := range []int{10, 10_000} {
		recent := health.NewLog(0)
		h := health.Admin(running(b, pool(nodes, idle), supervisor.Options{Observer: recent.Observe}), health.AdminOptions{Log: recent})
		for _, path := range []string{"/fragment", "/tree"} {
			b.Run(fmt.Sprintf("%s/nodes=%d", path[1:], nodes), func(b *testing.B) {
				w, r := &discard{header: http.Header{}}, httptest.NewRequest(http.MethodGet, path, nil)
				r.Host = "localhost"
				for b.Loop() {
					h.ServeHTTP(w, r)
				}
				if w.code != http.StatusOK {
					b.Fatal(w.code)
				}
			})
		}
	}
}
