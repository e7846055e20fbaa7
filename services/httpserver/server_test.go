package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

var errBroken = errors.New("broken")

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// network is an in-memory one, so that time can be virtual. It keeps the last
// listener that was opened on it.
type network struct {
	mu    sync.Mutex
	l     *pipes
	opens int
}

func (n *network) Listen(context.Context, string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opens++
	n.l = &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	return n.l, nil
}

func (n *network) listener() *pipes {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.l
}

func (n *network) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	l := n.listener()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	}
}

// get makes a request on a connection of its own and returns the body.
func (n *network) get() (string, error) {
	c := http.Client{Transport: &http.Transport{DialContext: n.dial, DisableKeepAlives: true}}
	resp, err := c.Get("http://shop/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, errBroken
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// tree runs a server below a root, and records its events.
type tree struct {
	sup    *supervisor.Supervisor
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	events []supervisor.Event
}

func start(t *testing.T, s *Server) *tree {
	t.Helper()
	tr := &tree{done: make(chan error, 1)}
	sup, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{s.Spec("http")}}, supervisor.Options{Observer: tr.observe})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	tr.sup, tr.cancel = sup, cancel
	go func() { tr.done <- sup.Run(ctx) }()
	return tr
}

// startOn runs a server with handler in virtual time.
func startOn(t *testing.T, n *network, cfg Config, handler http.HandlerFunc) *tree {
	t.Helper()
	cfg.Listen, cfg.Handler = n.Listen, handler
	if cfg.ErrorLog == nil {
		cfg.ErrorLog = log.New(io.Discard, "", 0)
	}
	tr := start(t, New(cfg))
	if err := tr.sup.WaitReady(t.Context(), "shop/http"); err != nil {
		t.Fatal(err)
	}
	return tr
}

func (tr *tree) observe(e supervisor.Event) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.events = append(tr.events, e)
}

// first returns the first event of that kind, or the zero one.
func (tr *tree) first(kind supervisor.EventKind) supervisor.Event {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, e := range tr.events {
		if e.Kind == kind && e.Path == "shop/http" {
			return e
		}
	}
	return supervisor.Event{}
}

// stop ends the tree and returns how long that took.
func (tr *tree) stop() (time.Duration, error) {
	begin := time.Now()
	tr.cancel()
	err := <-tr.done
	return time.Since(begin), err
}

func TestConformance(t *testing.T) {
	servicetest.Run(t, servicetest.Subject{
		New: func(*testing.T) (supervisor.Spec, servicetest.Harm) {
			return New(Config{Addr: "127.0.0.1:0", Handler: http.HandlerFunc(ok)}).Spec("http"), servicetest.Harm{}
		},
		BadStarts: func(t *testing.T) []supervisor.Spec {
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { taken.Close() })
			var specs []supervisor.Spec
			for _, addr := range []string{taken.Addr().String(), "203.0.113.1:0", "8080", ":", ":99999", "", "a:b:c"} {
				specs = append(specs, New(Config{Addr: addr, Handler: http.HandlerFunc(ok)}).Spec("http"))
			}
			return append(specs, New(Config{Addr: ":0"}).Spec("http"))
		},
	})
}

// S5: every fault at once.
func TestFaultsNameTheFieldAndTheMend(t *testing.T) {
	fault := New(Config{
		Addr: "8080", ReadHeaderTimeout: -2, ReadTimeout: -2, WriteTimeout: -2, IdleTimeout: -2,
		MaxHeaderBytes: -1, DrainTimeout: -1, CertFile: "tls.crt",
	}).Spec("http").Fault
	if fault == nil {
		t.Fatal("no fault was found")
	}
	for _, want := range []string{"Addr \"8080\"", "Handler", "ReadHeaderTimeout", "ReadTimeout", "WriteTimeout", "IdleTimeout", "MaxHeaderBytes", "DrainTimeout", "KeyFile"} {
		if !strings.Contains(fault.Error(), want) {
			t.Errorf("the fault does not name %s: %v", want, fault)
		}
	}
	if err := New(Config{Addr: ":0", Handler: http.HandlerFunc(ok), TLS: &tls.Config{}}).Spec("http").Fault; err == nil || !strings.Contains(err.Error(), "TLS has no certificate") {
		t.Errorf("TLS without a certificate is reported as %v", err)
	}
	cfg := Config{Addr: "localhost:http", Handler: http.HandlerFunc(ok), ReadHeaderTimeout: NoTimeout, ReadTimeout: NoTimeout, WriteTimeout: NoTimeout, IdleTimeout: NoTimeout}
	if err := New(cfg).Spec("http").Fault; err != nil {
		t.Errorf("a legal Config has a fault: %v", err)
	}
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	err = New(Config{Addr: addr, Handler: http.HandlerFunc(ok)}).Spec("http").Run(t.Context(), func() { t.Error("it was ready") })
	if err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("Run returned %v, want an error that names %s", err, addr)
	}
}

// A broken listener fails the worker; the next incarnation listens on the port
// that the first was given.
func TestABrokenListenerIsReplacedOnTheSamePort(t *testing.T) {
	listeners := make(chan net.Listener, 10)
	s := New(Config{
		Addr: "127.0.0.1:0", Handler: http.HandlerFunc(ok),
		Listen: func(ctx context.Context, addr string) (net.Listener, error) {
			l, err := net.Listen("tcp", addr)
			listeners <- l
			return l, err
		},
	})
	tr := start(t, s)
	first, err := s.Addr().Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	broken := <-listeners
	broken.Close()
	<-listeners // the second incarnation listens
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if second, err := s.Addr().Get(ctx); err != nil || second != first {
		t.Errorf("listens on %q after a restart (%v), want %q", second, err, first)
	}
	resp, err := http.Get("http://" + first)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if _, err := tr.stop(); err != nil {
		t.Error(err)
	}
	if e := tr.first(supervisor.EventExited); e.Err == nil || !strings.Contains(e.Err.Error(), first) {
		t.Errorf("the first incarnation ended with %v, want an error that names %s", e.Err, first)
	}
	if addr, ok := s.Addr().Peek(); ok {
		t.Errorf("Addr is %s after the stop, want none", addr)
	}
}

func TestAStopLetsRequestsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		tr := startOn(t, &n, Config{}, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(3 * time.Second)
			if r.Context().Err() == nil {
				ok(w, r)
			}
		})
		go func() {
			if body, err := n.get(); body != "ok" {
				t.Errorf("the request got %q, %v, want ok", body, err)
			}
		}()
		synctest.Wait()
		tr.cancel()
		synctest.Wait()
		if _, err := n.get(); err == nil {
			t.Error("a new connection was accepted after the stop")
		}
		took, err := tr.stop()
		if err != nil || took < 3*time.Second || took > 4*time.Second {
			t.Errorf("the stop took %v and ended with %v, want 3 s to 4 s and nil", took, err)
		}
		synctest.Wait()
	})
}

// S24: the requests learn why.
func TestRequestsEndAfterTheDrainTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		var cause error
		tr := startOn(t, &n, Config{DrainTimeout: 2 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			cause = context.Cause(r.Context())
		})
		go func() { _, _ = n.get() }()
		synctest.Wait()
		if took, err := tr.stop(); took != 2*time.Second || err != nil {
			t.Errorf("the stop took %v and ended with %v, want the DrainTimeout of 2 s and nil", took, err)
		}
		if cause != supervisor.ErrShutdown {
			t.Errorf("the request's context ended with %v, want ErrShutdown", cause)
		}
		synctest.Wait()
	})
}

// S27: it is not left behind in silence.
func TestAHandlerThatHangsIsAbandonedWithTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		tr := startOn(t, &n, Config{WriteTimeout: NoTimeout}, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Hour) })
		go func() { _, _ = n.get() }()
		synctest.Wait()
		if took, err := tr.stop(); took != 10*time.Second || !errors.Is(err, supervisor.ErrAbandoned) {
			t.Errorf("the stop took %v and ended with %v, want 10 s and ErrAbandoned", took, err)
		}
		time.Sleep(2 * time.Hour)
	})
}

// net/http forgets hijacked connections; a stop must not.
func TestAStopWaitsForHijackedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		ended := false
		tr := startOn(t, &n, Config{}, func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			<-r.Context().Done()
			ended = true
		})
		go func() { _, _ = n.get() }()
		synctest.Wait()
		if took, err := tr.stop(); took != 5*time.Second || err != nil || !ended {
			t.Errorf("the stop took %v and ended with %v, the handler's end: %t; want 5 s, nil, true", took, err, ended)
		}
		synctest.Wait()
	})
}

// While nobody told it to stop, nobody counts the time that it takes to fail.
func TestAHandlerThatHangsDoesNotKeepABrokenListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		causes := make(chan error, 1)
		tr := startOn(t, &n, Config{WriteTimeout: NoTimeout}, func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			causes <- context.Cause(r.Context())
			time.Sleep(time.Hour)
		})
		go func() { _, _ = n.get() }()
		synctest.Wait()
		n.listener().Close()
		time.Sleep(10 * time.Second)
		if e := tr.first(supervisor.EventExited); !errors.Is(e.Err, errBroken) {
			t.Errorf("the worker failed with %v, want the listener's error", e.Err)
		}
		if cause := <-causes; !errors.Is(cause, errBroken) {
			t.Errorf("the request's context ended with %v, want the listener's error", cause)
		}
		if n.opens != 2 {
			t.Errorf("listened %d times, want 2", n.opens)
		}
		if _, err := tr.stop(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Hour)
	})
}

// Even if it was told to stop before net/http knew of the listener.
func TestTheListenerIsClosedWhenTheWorkerReturns(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		var n network
		s := New(Config{Handler: http.HandlerFunc(ok), Listen: n.Listen})
		if err := s.run(ctx, func(string) {}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-n.listener().closed:
		default:
			t.Fatal("the listener is open")
		}
	}
}

func TestASlowClientIsCutOff(t *testing.T) {
	for _, tc := range []struct {
		name, sends string
		after       time.Duration
	}{
		{"silent", "", 5 * time.Second},
		{"in the header", "GET / HTTP/1.1\r\nHost:", 5 * time.Second},
		{"in the body", "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nabc", time.Minute},
		{"idle", "GET / HTTP/1.1\r\nHost: shop\r\n\r\n", 2 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n network
				tr := startOn(t, &n, Config{}, func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.Copy(io.Discard, r.Body); err == nil {
						ok(w, r)
					}
				})
				conn, err := n.dial(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				if _, err := io.WriteString(conn, tc.sends); err != nil {
					t.Error(err)
				}
				_, _ = io.Copy(io.Discard, conn) // until the server closes it
				if took := time.Since(begin); took < tc.after || took > tc.after+time.Second {
					t.Errorf("the connection was closed after %v, want %v", took, tc.after)
				}
				if _, err := tr.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		took := make(chan time.Duration)
		tr := startOn(t, &n, Config{}, func(w http.ResponseWriter, _ *http.Request) {
			begin := time.Now()
			for _, err := w.Write(make([]byte, 4096)); err == nil; _, err = w.Write(make([]byte, 4096)) {
			}
			took <- time.Since(begin)
		})
		conn, err := n.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
			t.Error(err)
		}
		if took := <-took; took != time.Minute {
			t.Errorf("the handler could not write for %v, want the WriteTimeout of 1m", took)
		}
		if _, err := tr.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAHeaderThatIsTooLargeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		tr := startOn(t, &n, Config{}, ok)
		conn, err := n.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: shop\r\nX: "+strings.Repeat("x", 100<<10)+"\r\n\r\n")
		}()
		answer, _ := io.ReadAll(conn)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
			t.Errorf("100 KiB of header were answered with %q, want 431", answer)
		}
		if _, err := tr.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A client that has not sent its whole request yet is under way, too.
func TestAStopClosesConnectionsAfterTheDrainTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		tr := startOn(t, &n, Config{ReadHeaderTimeout: NoTimeout, ReadTimeout: NoTimeout}, ok)
		conn, err := n.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost:"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if took, err := tr.stop(); took != 5*time.Second || err != nil {
			t.Errorf("the stop took %v and ended with %v, want the DrainTimeout of 5 s and nil", took, err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("the connection was not closed: %v", err)
		}
	})
}

func TestAHandlersPanicIsLoggedAndServingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		var logged strings.Builder
		first := true
		tr := startOn(t, &n, Config{ErrorLog: log.New(&logged, "", 0)}, func(w http.ResponseWriter, r *http.Request) {
			if first {
				first = false
				panic("oops")
			}
			ok(w, r)
		})
		if _, err := n.get(); err == nil {
			t.Error("the request got an answer")
		}
		if body, err := n.get(); body != "ok" {
			t.Errorf("the next request got %q, %v, want ok", body, err)
		}
		if _, err := tr.stop(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(logged.String(), "oops") {
			t.Errorf("the log does not hold the panic: %q", logged.String())
		}
		if e := tr.first(supervisor.EventExited); e.Err != nil {
			t.Errorf("the worker failed: %v", e.Err)
		}
	})
}

// S41: and nothing of the worker's context's end.
func TestRequestsHaveTheWorkersValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		tr := startOn(t, &n, Config{}, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, supervisor.PathFrom(r.Context()))
		})
		if body, err := n.get(); body != "shop/http" {
			t.Errorf("the path in the request's context is %q (%v), want shop/http", body, err)
		}
		if _, err := tr.stop(); err != nil {
			t.Error(err)
		}
	})
}
