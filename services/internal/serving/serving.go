package httpserver

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// serving is a listener that is being served, until end.
type serving struct {
	http    http.Server
	handler http.Handler
	cut     context.CancelCauseFunc // ends the contexts of all requests
	served  chan error              // what Serve returned, once

	mu   sync.Mutex    // guards held
	held int           // by each handler, those of hijacked connections too, and until end
	idle chan struct{} // closed when held is 0; from then on nobody is let in
}

// serve begins to serve l. Requests' contexts carry the values of ctx.
func serve(ctx context.Context, cfg *Config, l net.Listener) *serving {
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &serving{handler: cfg.Handler, cut: cut, served: make(chan error, 1), held: 1, idle: make(chan struct{})}
	s.http = http.Server{
		Handler:           s,
		ReadHeaderTimeout: cfg.ReadHeaderTimeout,
		ReadTimeout:       cfg.ReadTimeout,
		WriteTimeout:      cfg.WriteTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    cfg.MaxHeaderBytes,
		ErrorLog:          cfg.ErrorLog,
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	go func() { s.served <- s.http.Serve(l) }()
	return s
}

// ServeHTTP passes a request on to the handler, unless the end has come.
func (s *serving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.leave()
	s.handler.ServeHTTP(w, r)
}

func (s *serving) enter() (in bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in = s.held > 0; in {
		s.held++
	}
	return in
}

func (s *serving) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held--; s.held == 0 {
		close(s.idle)
	}
}

// end closes the listener, and then the contexts of all requests and all
// connections: once no request is under way, but after the given time at the
// latest. After it only handlers that ignore this are left; see idle.
func (s *serving) end(cause error, within time.Duration) {
	patience, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_ = s.http.Shutdown(patience) // fails if time is short; Close does the rest
	s.leave()
	select {
	case <-s.idle:
	case <-patience.Done():
	}
	s.cut(cause)
	_ = s.http.Close()
}
