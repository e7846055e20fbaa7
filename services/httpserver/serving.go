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

	served chan struct{} // closed when Serve has returned
	err    error         // what it returned

	mu      sync.Mutex    // guards running and ended
	running int           // handlers, those of hijacked connections too
	ended   bool          // no more are let in
	idle    chan struct{} // closed when ended and none is running
}

// serve begins to serve l. Requests' contexts carry the values of ctx.
func serve(ctx context.Context, cfg *Config, l net.Listener) *serving {
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &serving{handler: cfg.Handler, cut: cut, served: make(chan struct{}), idle: make(chan struct{})}
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
	go func() {
		defer close(s.served)
		s.err = s.http.Serve(l)
	}()
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

func (s *serving) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.running++
	}
	return !s.ended
}

func (s *serving) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	s.closeIfIdle()
}

// turnAway lets no more requests in.
func (s *serving) turnAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.closeIfIdle()
}

func (s *serving) closeIfIdle() {
	if s.ended && s.running == 0 {
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
	s.turnAway()
	select {
	case <-s.idle:
	case <-patience.Done():
	}
	s.cut(cause)
	_ = s.http.Close()
	<-s.served
}
