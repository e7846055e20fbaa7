// Package httpserver runs an HTTP server as a supervised worker.
//
// The worker listens, is ready, and serves. When it is stopped it refuses new
// connections, lets requests that are under way finish for
// Config.DrainTimeout, then ends their contexts and closes their connections,
// and returns when the last handler has: a handler that hangs is seen, as an
// abandoned worker, and not left behind in silence. If the listener fails
// the worker fails, and the next incarnation listens anew.
package httpserver

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// A Server is an HTTP server. New makes one; its methods may be called
// concurrently.
type Server struct {
	cfg   Config
	fault error
	live  supervisor.Ref[string]
	addr  atomic.Pointer[string] // to listen on: Config.Addr, once listening with its port
}

// New returns a server, which runs where its Spec stands in a tree. It never
// fails; faults in cfg are reported by supervisor.New.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), fault: cfg.validate()}
	s.addr.Store(&cfg.Addr)
	return s
}

// Spec returns a worker that is ready once the server listens. It fails to
// start while the address cannot be listened on.
func (s *Server) Spec(name string) supervisor.Spec {
	return supervisor.Spec{
		Name: name, Run: s.live.Run(s.run), Fault: s.fault,
		StopTimeout: s.cfg.DrainTimeout + stopMargin,
	}
}

// Addr refers to the address that the live incarnation listens on, such as
// "127.0.0.1:8080" or "[::]:8080".
func (s *Server) Addr() *supervisor.Ref[string] { return &s.live }

// run is one incarnation.
func (s *Server) run(ctx context.Context, ready func(string)) error {
	l, err := s.listen(ctx)
	if err != nil {
		return fmt.Errorf("httpserver: %w", err)
	}
	serving := serve(ctx, &s.cfg, l)
	ready(l.Addr().String())
	select {
	case <-ctx.Done():
		serving.end(context.Cause(ctx), s.cfg.DrainTimeout)
		<-serving.idle   // however long it takes: the supervisor counts the time
		<-serving.served //nolint:errcheck // it says that it was closed
		return nil
	case err := <-serving.served:
		serving.end(err, 0)
		select { // nobody counts the time
		case <-serving.idle:
		case <-time.After(stopMargin):
		}
		return fmt.Errorf("httpserver: serve %s: %w", l.Addr(), err)
	}
}

// listen opens the listener. A port that was given instead of 0 is kept, so
// that clients find the next incarnation where they found this one.
func (s *Server) listen(ctx context.Context) (net.Listener, error) {
	addr := *s.addr.Load()
	l, err := s.cfg.Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(addr)
	if _, given, err := net.SplitHostPort(l.Addr().String()); err == nil && port == "0" {
		s.addr.Store(new(net.JoinHostPort(host, given)))
	}
	return l, nil
}
