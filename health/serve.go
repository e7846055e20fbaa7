package health

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// Server is a listener with a handler behind it, outside of every tree. Serve
// and ServeAdmin make one that serves already.
type Server struct {
	http     http.Server
	listener net.Listener
	done     chan struct{} // closed when nothing is accepted any more
	err      error         // why, unless Shutdown was called; read it after done
}

// limits are what one client may cost.
type limits struct {
	header, read, write, idle time.Duration
	headerBytes               int
	bodyBytes                 int64
}

// A probe takes microseconds and kubelet waits for one second; an action may
// take up to actionTimeout. No request needs a body.
var (
	probeLimits = limits{
		header: 5 * time.Second, read: 5 * time.Second, write: 10 * time.Second, idle: 2 * time.Minute,
		headerBytes: 16 << 10, bodyBytes: 4 << 10,
	}
	adminLimits = limits{
		header: 5 * time.Second, read: 10 * time.Second, write: actionTimeout + 20*time.Second, idle: 2 * time.Minute,
		headerBytes: 64 << 10, bodyBytes: 4 << 10,
	}
)

// Serve listens on addr, "host:port" or ":port", and answers the probes of
// Handler there until Shutdown. Port 0 is any free one; see Addr. Call it
// before sup.Run, so that probes are answered before the first child starts.
// Every connection has a header, read, write and idle timeout (5 s, 5 s, 10 s,
// 2 min) and bounds on its header and body (16 KiB, 4 KiB). The error, of an
// address that is bad or in use, names it.
func Serve(addr string, sup *supervisor.Supervisor) (*Server, error) {
	return serve(addr, Handler(sup), probeLimits)
}

func serve(addr string, h http.Handler, l limits) (*Server, error) {
	listener, err := listen(addr)
	if err != nil {
		return nil, err
	}
	return start(listener, h, l), nil
}

func listen(addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("health: cannot listen on %q: %w", addr, err)
	}
	return listener, nil
}

func start(listener net.Listener, h http.Handler, l limits) *Server {
	open, shut := context.WithCancel(context.Background())
	s := &Server{listener: listener, done: make(chan struct{}), http: http.Server{
		BaseContext:                  func(net.Listener) context.Context { return open },
		Handler:                      recovered(bounded(h, l.bodyBytes)),
		ReadHeaderTimeout:            l.header,
		ReadTimeout:                  l.read,
		WriteTimeout:                 l.write,
		IdleTimeout:                  l.idle,
		MaxHeaderBytes:               l.headerBytes,
		DisableGeneralOptionsHandler: true,
	}}
	s.http.RegisterOnShutdown(shut) // streams end then; no other answer looks
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.err = fmt.Errorf("health: %s: %w", s.Addr(), err)
		}
	}()
	return s
}

// Addr is the address that the server listens on, with the port it was given.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Shutdown stops listening, waits until the answers under way are sent, or
// until ctx is done, and closes all connections. Call it after sup.Run has
// returned. The error says that answers were cut off, or that the server had
// stopped serving earlier, and why. Calls after the first do nothing more.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("health: %s: answers cut off: %w", s.Addr(), context.Cause(ctx)), s.http.Close())
	}
	<-s.done
	return errors.Join(s.err, err)
}

// bounded refuses requests with more of a body than anybody needs.
func bounded(h http.Handler, bytes int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > bytes {
			w.Header().Set("Connection", "close") // rather than read what is left
			say(http.StatusRequestEntityTooLarge, "the body is too large").write(w, r)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bytes)
		h.ServeHTTP(w, r)
	})
}

// recovered answers 500 where a handler panics. Answers are made before they
// are sent, so nothing was.
func recovered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v)
			default:
				log.Printf("health: panic while answering %q: %v\n%s", r.URL.Path, v, debug.Stack())
				say(http.StatusInternalServerError, "internal error").write(w, r)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// say is an answer of one line.
func say(code int, text string) answer { return newAnswer(code, typeText, []byte(text+"\n")) }
