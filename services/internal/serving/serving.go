// Package serving serves HTTP on a listener until it is told to end, and knows
// when the last handler has returned.
package serving

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Serving is a listener that is being served, until End. Start makes one.
type Serving struct {
	Served chan error    // what Serve returned, once
	Idle   chan struct{} // closed when nobody is held; from then on nobody is let in

	http    *http.Server
	handler http.Handler
	cut     context.CancelCauseFunc // ends the contexts of all requests

	mu   sync.Mutex // guards held
	held int        // by each handler, those of hijacked connections too, and until End
}

// Start begins to serve l with what h says, over TLS if it has a TLSConfig.
// Requests' contexts carry the values of ctx.
func Start(ctx context.Context, h *http.Server, l net.Listener) *Serving {
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &Serving{
		Served: make(chan error, 1), Idle: make(chan struct{}),
		http: h, handler: h.Handler, cut: cut, held: 1,
	}
	h.Handler = s
	h.BaseContext = func(net.Listener) context.Context { return base }
	go func() { s.Served <- s.serve(l) }()
	return s
}

func (s *Serving) serve(l net.Listener) error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(l, "", "")
	}
	return s.http.Serve(l)
}

// ServeHTTP passes a request on to the handler, unless the end has come.
func (s *Serving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.leave()
	s.handler.ServeHTTP(w, r)
}

func (s *Serving) enter() (in bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in = s.held > 0; in {
		s.held++
	}
	return in
}

func (s *Serving) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held--; s.held == 0 {
		close(s.Idle)
	}
}

// End closes the listener, and then the contexts of all requests and all
// connections: once no request is under way, but after the given time at the
// latest. After it only handlers that ignore this are left; see Idle.
func (s *Serving) End(cause error, within time.Duration) {
	patience, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_ = s.http.Shutdown(patience) // fails if time is short; Close does the rest
	s.leave()
	select {
	case <-s.Idle:
	case <-patience.Done():
	}
	s.cut(cause)
	_ = s.http.Close()
}
