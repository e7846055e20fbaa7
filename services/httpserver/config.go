package httpserver

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/coppice-go/coppice/services/internal/fault"
)

// NoTimeout, as one of a Config's timeouts other than DrainTimeout, is none.
const NoTimeout time.Duration = -1

// Config describes a Server. Addr and Handler are needed; every other field
// has a useful zero value. Faults are reported by supervisor.New.
type Config struct {
	// Addr is the TCP address to listen on: "host:port", or ":port" for every
	// address of the host. Port 0 is any free one; later incarnations listen
	// on the one that the first was given.
	Addr string

	// Handler serves the requests. The context of a request carries the values
	// of the worker's, and ends, with the worker's cause, when DrainTimeout has
	// passed since the server was told to stop. A handler that ignores that
	// keeps the worker from stopping, and after another 5 s is abandoned with
	// it. Handler panics are net/http's to recover, and go to ErrorLog.
	Handler http.Handler

	// CertFile and KeyFile, if set, are the PEM files of a certificate (with
	// those between it and the root) and its key: the server speaks TLS,
	// HTTP/2 and HTTP/1.1. They are read each 10 s, so that one that is renewed,
	// as in a mounted Secret, is served from the next handshake on. Files that
	// cannot be read twice in a row, or do not belong together, or a certificate
	// that has expired, impair, and the last good one is served on.
	CertFile, KeyFile string

	// TLS, if set, is what TLS is like: versions, clients' certificates. With
	// CertFile its GetCertificate is replaced; without, it must have
	// certificates. Nil means Go's defaults, TLS 1.2 at least.
	TLS *tls.Config

	// ReadHeaderTimeout bounds reading a request's header, and before that the
	// TLS handshake. Zero means 5 s. Over HTTP/2 IdleTimeout bounds the header.
	ReadHeaderTimeout time.Duration

	// ReadTimeout bounds reading a request with its body. Zero means 1 min.
	ReadTimeout time.Duration

	// WriteTimeout bounds a request from the end of its header to the end of
	// its response. Zero means 1 min. For responses that take longer, such as
	// streams, a handler can move it with http.ResponseController. An HTTP/2
	// connection that takes no byte for so long is closed, whatever a handler
	// moved: its client reads nothing.
	WriteTimeout time.Duration

	// IdleTimeout is how long a connection is kept for the next request. Zero
	// means 2 min.
	IdleTimeout time.Duration

	// MaxHeaderBytes bounds a request's header. Zero means 64 KiB.
	MaxHeaderBytes int

	// DrainTimeout is how long requests may go on once the server is told to
	// stop. New connections are refused at once. Zero means 5 s.
	DrainTimeout time.Duration

	// ErrorLog takes what net/http has to say of connections and of panics in
	// handlers, with their stacks. Nil means the log package's standard logger.
	ErrorLog *log.Logger

	// Listen, if set, opens the listener instead of TCP: for a Unix socket, a
	// limit on connections. It gets Addr as it is, or with the port
	// that an earlier incarnation was given.
	Listen func(ctx context.Context, addr string) (net.Listener, error)
}

// stopMargin is what handlers have to return, after their requests' contexts
// ended, before the worker is abandoned.
const stopMargin = 5 * time.Second

// validate returns every fault of c's fields, each with its mend.
func (c Config) validate() error {
	faults := fault.Of("httpserver")
	timeout := func(field string, d time.Duration) {
		faults.Check(d < 0 && d != NoTimeout, "%s is negative (%v); zero means its default, NoTimeout none", field, d)
	}
	if c.Listen == nil {
		err := checkAddr(c.Addr)
		faults.Check(err != nil, "Addr %q: %w; use \"host:port\", or \":0\" for any port", c.Addr, err)
	}
	faults.Check(c.Handler == nil, "Handler is nil; set what serves the requests")
	faults.Check((c.CertFile == "") != (c.KeyFile == ""), "CertFile and KeyFile need each other; set both, or neither")
	faults.Check(c.CertFile == "" && lacksCertificate(c.TLS), "TLS has no certificate; set CertFile and KeyFile, or one of its fields")
	timeout("ReadHeaderTimeout", c.ReadHeaderTimeout)
	timeout("ReadTimeout", c.ReadTimeout)
	timeout("WriteTimeout", c.WriteTimeout)
	timeout("IdleTimeout", c.IdleTimeout)
	faults.Check(c.MaxHeaderBytes < 0, "MaxHeaderBytes is negative (%d); zero means 64 KiB", c.MaxHeaderBytes)
	faults.Check(c.DrainTimeout < 0, "DrainTimeout is negative (%v); zero means 5 s", c.DrainTimeout)
	return faults.Err()
}

func lacksCertificate(c *tls.Config) bool {
	return c != nil && len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfigForClient == nil
}

// checkAddr checks what can be known without listening.
func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil && port == "" {
		err = errors.New("missing port")
	}
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	return err
}

func (c Config) withDefaults() Config {
	c.ReadHeaderTimeout = cmp.Or(c.ReadHeaderTimeout, 5*time.Second)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, time.Minute)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, time.Minute)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 2*time.Minute)
	c.MaxHeaderBytes = cmp.Or(c.MaxHeaderBytes, 64<<10)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 5*time.Second)
	if c.Listen == nil {
		c.Listen = func(ctx context.Context, addr string) (net.Listener, error) {
			return new(net.ListenConfig).Listen(ctx, "tcp", addr)
		}
	}
	return c
}
