package httpserver

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// Gate returns a handler that passes a request on to next while ref has a
// value. While it has none the answer is 503 Service Unavailable, at once, with
// a Retry-After (RFC 9110, 10.2.3) of when the worker is started next, but 1 s
// at least. Gates can be nested, one for each thing that next needs.
//
//	mux.Handle("/orders", httpserver.Gate(&db.DB, orders))
//
// It opens and closes with what it needs, while the server's readiness is that
// of the tree. The value may go while next runs: next takes it by Peek or Do.
func Gate[T any](ref *supervisor.Ref[T], next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := ref.Peek(); ok {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", seconds(ref.RetryAfter()))
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
	})
}

// seconds returns d in whole seconds: not sooner than that, and not at once.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}
