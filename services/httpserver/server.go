// Package httpserver runs an HTTP server as a supervised worker.
//
// The worker listens, is ready, and serves. When it is stopped it refuses new
// connections, lets requests that are under way finish for
// Config.DrainTimeout, then ends their contexts and closes their connections,
// and returns when the last handler has: a handler that hangs is seen, as an
// abandoned worker, and not left behind in silence. If the listener fails
// the worker fails, and the next incarnation listens anew.
//
// With a certificate it speaks TLS, HTTP/2 too, and a certificate that is
// renewed in its files is served without a restart. Gate answers in the place of
// handlers that need what is not there now.
package httpserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coppice-go/coppice/services/internal/certfile"
	"github.com/coppice-go/coppice/services/internal/serving"
	"github.com/coppice-go/coppice/supervisor"
)

// A Server is an HTTP server. New makes one; its methods may be called
// concurrently.
type Server struct {
	cfg   Config
	fault error
	live  supervisor.Ref[string]
	addr  atomic.Pointer[string] // to listen on: Config.Addr, once listening with its port
	cert  certfile.Pair
}

// New returns a server, which runs where its Spec stands in a tree. It never
// fails; faults in cfg are reported by supervisor.New.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), fault: cfg.validate(), cert: certfile.Pair{Cert: cfg.CertFile, Key: cfg.KeyFile}}
	s.addr.Store(&cfg.Addr)
	return s
}

// Spec returns a worker that is ready once the server listens. It fails to
// start while the address cannot be listened on, or the certificate not be read.
func (s *Server) Spec(name string) supervisor.Spec {
	spec := supervisor.Spec{
		Name: name, Run: s.live.Run(s.run), Fault: s.fault,
		StopTimeout: s.cfg.DrainTimeout + stopMargin,
	}
	if s.cfg.CertFile != "" {
		spec.Probe = &supervisor.Probe{Check: s.renew}
	}
	return spec
}

// Addr refers to the address that the live incarnation listens on, such as
// "127.0.0.1:8080" or "[::]:8080".
func (s *Server) Addr() *supervisor.Ref[string] { return &s.live }

// run is one incarnation.
func (s *Server) run(ctx context.Context, ready func(string)) error {
	secure, err := s.tls()
	if err != nil {
		return fmt.Errorf("httpserver: %w: %w", supervisor.ErrUnavailable, err)
	}
	l, err := s.listen(ctx)
	if err != nil {
		return fmt.Errorf("httpserver: %w", err)
	}
	up := serving.Start(ctx, s.http(secure), l)
	ready(l.Addr().String())
	select {
	case <-ctx.Done():
		up.End(context.Cause(ctx), s.cfg.DrainTimeout)
		<-up.Idle   // however long it takes: the supervisor counts the time
		<-up.Served //nolint:errcheck // it says that it was closed
		return nil
	case err := <-up.Served:
		up.End(err, 0)
		select { // nobody counts the time
		case <-up.Idle:
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

// tls returns what the server's TLS is like, nil if it has none.
func (s *Server) tls() (*tls.Config, error) {
	secure := s.cfg.TLS.Clone()
	if s.cfg.CertFile == "" {
		return secure, nil
	}
	if secure == nil {
		secure = &tls.Config{}
	}
	secure.GetCertificate = s.cert.Get
	return secure, s.cert.Require()
}

// renew serves the certificate that is in the files now. What is wrong with it
// impairs: a restart would take away the one that there is.
func (s *Server) renew(ctx context.Context) error {
	supervisor.Impaired(ctx, s.cert.Renew())
	return nil
}

func (s *Server) http(secure *tls.Config) *http.Server {
	return &http.Server{
		Handler:           s.cfg.Handler,
		TLSConfig:         secure,
		ReadHeaderTimeout: s.cfg.ReadHeaderTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeaderBytes,
		ErrorLog:          s.cfg.ErrorLog,
		HTTP2:             &http.HTTP2Config{WriteByteTimeout: max(0, s.cfg.WriteTimeout)},
	}
}
