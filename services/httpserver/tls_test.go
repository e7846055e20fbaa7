package httpserver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// renewal is how long it takes until a certificate that was renewed is served.
const renewal = 12 * time.Second

// mount is a directory like one in which the kubelet mounts a Secret: its files
// are links through ..data, a link that is swapped when the Secret changes.
type mount struct {
	t    *testing.T
	dir  string
	next int64
}

func newMount(t *testing.T) *mount {
	m := &mount{t: t, dir: t.TempDir()}
	for _, name := range []string{"tls.crt", "tls.key"} {
		m.must(os.Symlink(filepath.Join("..data", name), filepath.Join(m.dir, name)))
	}
	return m
}

func (m *mount) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *mount) file(name string) string { return filepath.Join(m.dir, name) }

// renew mounts a new certificate, which lives for so long, and returns its
// serial number.
func (m *mount) renew(life time.Duration) int64 {
	m.t.Helper()
	m.next++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	m.must(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	m.must(err)
	about := &x509.Certificate{
		SerialNumber: big.NewInt(m.next), DNSNames: []string{"shop"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(life),
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	m.must(err)
	dir := m.file("..version" + about.SerialNumber.String())
	m.must(os.Mkdir(dir, 0o700))
	m.must(os.WriteFile(filepath.Join(dir, "tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	m.must(os.WriteFile(filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	m.must(os.Symlink(filepath.Base(dir), m.file("..next")))
	m.must(os.Rename(m.file("..next"), m.file("..data")))
	return m.next
}

// config is of a server with the certificate of m.
func (m *mount) config() Config {
	return Config{CertFile: m.file("tls.crt"), KeyFile: m.file("tls.key")}
}

// client returns a client that keeps its connections, and believes whatever
// certificate it is shown: tests look at which it was.
func (n *network) client(t *testing.T, http2 bool) *http.Client {
	c := &http.Client{Transport: &http.Transport{
		DialContext: n.dialBuffered, ForceAttemptHTTP2: http2,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "shop"},
	}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// buffered is a client's connection that takes what it is to write, as a socket
// does: in TLS both sides say goodbye, at once and without reading, and in a
// pipe would wait for each other.
type buffered struct {
	net.Conn
	queue chan []byte
	ctx   context.Context
	end   context.CancelFunc
}

func (n *network) dialBuffered(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := n.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	b := &buffered{Conn: c, queue: make(chan []byte, 100)}
	b.ctx, b.end = context.WithCancel(context.Background())
	go b.write()
	return b, nil
}

func (b *buffered) write() {
	for {
		select {
		case p := <-b.queue:
			_, _ = b.Conn.Write(p) // the server is gone: the reader learns it
		case <-b.ctx.Done():
			return
		}
	}
}

func (b *buffered) Write(p []byte) (int, error) {
	b.queue <- bytes.Clone(p)
	return len(p), nil
}

func (b *buffered) Close() error {
	b.end()
	return b.Conn.Close()
}

// wantServed wants the certificate with that number on a new connection.
func (n *network) wantServed(t *testing.T, serial int64) {
	t.Helper()
	c := n.client(t, true)
	resp, err := c.Get("https://shop/")
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if got := resp.TLS.PeerCertificates[0].SerialNumber.Int64(); got != serial {
		t.Errorf("the certificate is number %d, want %d", got, serial)
	}
}

// get makes a request whose response is read to its end.
func get(c *http.Client) (resp *http.Response, err error) {
	if resp, err = c.Get("https://shop/"); err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return resp, err
}

func TestARenewedCertificateIsServedWithoutARestart(t *testing.T) {
	m := newMount(t)
	synctest.Test(t, func(t *testing.T) {
		var n network
		m.renew(time.Hour)
		tr := startOn(t, &n, m.config(), ok)
		n.wantServed(t, 1)
		kept := n.client(t, true)
		if _, err := get(kept); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			serial := m.renew(time.Hour)
			time.Sleep(renewal)
			n.wantServed(t, serial)
		}
		if resp, err := get(kept); err != nil || resp.TLS.PeerCertificates[0].SerialNumber.Int64() != 1 {
			t.Errorf("the connection of before did not go on: %v", err)
		}
		if _, err := tr.stop(); err != nil || tr.first(supervisor.EventImpaired).Kind != "" {
			t.Errorf("the stop ended with %v; impaired: %v", err, tr.first(supervisor.EventImpaired))
		}
	})
}

// S32: a restart would take the good one away, too.
func TestACertificateThatIsNoneImpairsAndTheLastOneIsServed(t *testing.T) {
	for name, harm := range map[string]func(m *mount){
		"another's key": func(m *mount) {
			key, err := os.ReadFile(m.file("tls.key"))
			m.must(err)
			m.renew(time.Hour)
			m.must(os.WriteFile(m.file("tls.key"), key, 0o600))
		},
		"half of it": func(m *mount) {
			cert, err := os.ReadFile(m.file("tls.crt"))
			m.must(err)
			m.must(os.WriteFile(m.file("tls.crt"), bytes.TrimSpace(cert)[:len(cert)/2], 0o600))
		},
		"missing": func(m *mount) { m.must(os.Remove(m.file("..data"))) },
	} {
		m := newMount(t)
		synctest.Test(t, func(t *testing.T) {
			var n network
			m.renew(time.Hour)
			tr := startOn(t, &n, m.config(), ok)
			harm(m)
			time.Sleep(renewal)
			if e := tr.first(supervisor.EventImpaired); e.Kind != "" {
				t.Errorf("%s: it may be half written, and impairs at once: %v", name, e)
			}
			time.Sleep(renewal)
			if e := tr.first(supervisor.EventImpaired); e.Err == nil || !strings.Contains(e.Err.Error(), m.file("tls.crt")) {
				t.Errorf("%s: impaired because %v, want the file's name", name, e.Err)
			}
			if err := tr.sup.Restart(t.Context(), "shop/http"); err != nil {
				t.Errorf("%s: a restart lost the good one: %v", name, err)
			}
			n.wantServed(t, 1)
			serial := m.renew(time.Hour)
			time.Sleep(renewal)
			n.wantServed(t, serial)
			node, _ := tr.sup.Snapshot().Find("shop/http")
			if node.Status != supervisor.Up || tr.first(supervisor.EventExited).Kind != "" {
				t.Errorf("%s: it is %v, or has failed", name, node.Status)
			}
			if _, err := tr.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAnExpiredCertificateImpairsUntilItIsRenewed(t *testing.T) {
	m := newMount(t)
	synctest.Test(t, func(t *testing.T) {
		var n network
		m.renew(time.Hour)
		tr := startOn(t, &n, m.config(), ok)
		time.Sleep(time.Hour + renewal)
		if e := tr.first(supervisor.EventImpaired); e.Err == nil || !strings.Contains(e.Err.Error(), "expired at 2000-01-01T01:00:00Z") {
			t.Errorf("impaired because %v", e.Err)
		}
		m.renew(time.Hour)
		time.Sleep(renewal)
		if tr.first(supervisor.EventRecovered).Kind == "" {
			t.Error("it has not recovered")
		}
		if _, err := tr.stop(); err != nil {
			t.Error(err)
		}
	})
}

// S19: a Secret that is not there yet is weather.
func TestAMissingCertificateIsAnOutage(t *testing.T) {
	m := newMount(t)
	synctest.Test(t, func(t *testing.T) {
		var n network
		cfg := m.config()
		cfg.Handler, cfg.Listen = http.HandlerFunc(ok), n.Listen
		tr := start(t, New(cfg))
		time.Sleep(time.Minute)
		if e := tr.first(supervisor.EventStartFailed); !errors.Is(e.Err, supervisor.ErrUnavailable) || !strings.Contains(e.Err.Error(), m.file("tls.crt")) {
			t.Errorf("failed to start with %v", e.Err)
		}
		serial := m.renew(time.Hour)
		if err := tr.sup.WaitReady(t.Context(), "shop/http"); err != nil {
			t.Fatal(err)
		}
		n.wantServed(t, serial)
		if _, err := tr.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTLSTakesBothVersionsOfHTTP(t *testing.T) {
	m := newMount(t)
	synctest.Test(t, func(t *testing.T) {
		var n network
		m.renew(time.Hour)
		cfg := m.config()
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
		tr := startOn(t, &n, cfg, ok)
		for http2, want := range map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"} {
			c := n.client(t, http2)
			if resp, err := get(c); err != nil || resp.Proto != want || resp.TLS.Version != tls.VersionTLS13 {
				t.Errorf("got %v, %v; want %s over TLS 1.3", resp, err, want)
			}
		}
		old := n.client(t, true)
		old.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS12
		if _, err := get(old); err == nil {
			t.Error("Config.TLS does not count")
		}
		if _, err := tr.stop(); err != nil {
			t.Error(err)
		}
		if cfg.TLS.GetCertificate != nil {
			t.Error("the caller's Config.TLS was changed")
		}
	})
}

// Requests finish, connections that are kept alive end at once, and no new
// request comes in by them.
func TestAStopDrainsConnectionsThatAreKeptAlive(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		m := newMount(t)
		synctest.Test(t, func(t *testing.T) {
			var n network
			m.renew(time.Hour)
			busy := false
			tr := startOn(t, &n, m.config(), func(w http.ResponseWriter, r *http.Request) {
				if busy {
					time.Sleep(3 * time.Second)
				}
				ok(w, r)
			})
			idle, working := n.client(t, http2), n.client(t, http2)
			for _, c := range []*http.Client{idle, working} {
				if _, err := get(c); err != nil {
					t.Fatal(err)
				}
			}
			busy = true
			finished := make(chan error, 1)
			go func() {
				_, err := get(working)
				finished <- err
			}()
			synctest.Wait()
			tr.cancel()
			time.Sleep(time.Second)
			for _, c := range []*http.Client{idle, working} {
				if _, err := get(c); err == nil {
					t.Errorf("HTTP/2 %v: a request came in after the stop", http2)
				}
			}
			if took, err := tr.stop(); took > 3*time.Second || err != nil {
				t.Errorf("HTTP/2 %v: the stop took another %v, and ended with %v", http2, took, err)
			}
			if err := <-finished; err != nil {
				t.Errorf("HTTP/2 %v: the request under way ended with %v", http2, err)
			}
		})
	}
}

// HTTP/2 waits a second for the client to see its GOAWAY.
func TestIdleConnectionsDoNotHoldUpAStop(t *testing.T) {
	for http2, most := range map[bool]time.Duration{true: 1200 * time.Millisecond, false: 100 * time.Millisecond} {
		m := newMount(t)
		synctest.Test(t, func(t *testing.T) {
			var n network
			m.renew(time.Hour)
			tr := startOn(t, &n, m.config(), ok)
			c := n.client(t, http2)
			if _, err := get(c); err != nil {
				t.Fatal(err)
			}
			if took, err := tr.stop(); took > most || err != nil {
				t.Errorf("HTTP/2 %v: the stop took %v and ended with %v, want at most %v", http2, took, err, most)
			}
		})
	}
}

// S24 over HTTP/2: one connection carries many requests; those that hang end
// with the DrainTimeout.
func TestStreamsThatHangEndAfterTheDrainTimeout(t *testing.T) {
	m := newMount(t)
	synctest.Test(t, func(t *testing.T) {
		var n network
		m.renew(time.Hour)
		ended := make(chan error, 2)
		tr := startOn(t, &n, m.config(), func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		})
		c := n.client(t, true)
		for range 2 {
			go func() { _, _ = get(c) }()
		}
		synctest.Wait()
		if took, err := tr.stop(); took < 5*time.Second || took > 7*time.Second || err != nil {
			t.Errorf("the stop took %v and ended with %v, want the DrainTimeout of 5 s", took, err)
		}
		for range 2 {
			if cause := <-ended; cause != supervisor.ErrShutdown {
				t.Errorf("a request's context ended with %v, want ErrShutdown", cause)
			}
		}
	})
}

// deaf is a client's connection that can stop to read, for ever.
type deaf struct {
	net.Conn
	stops *atomic.Bool
	never chan struct{}
}

func (d deaf) Read(p []byte) (int, error) {
	if d.stops.Load() {
		<-d.never
		return 0, io.EOF
	}
	return d.Conn.Read(p)
}

// Over HTTP/2 a stream is cut off by telling the client so. One that takes nothing
// any more cannot be told: its connection is closed, for which TLS takes 5 s.
func TestAnHTTP2ClientThatDoesNotReadIsCutOff(t *testing.T) {
	for stops, most := range map[bool]time.Duration{true: 65 * time.Second, false: time.Minute} {
		m := newMount(t)
		synctest.Test(t, func(t *testing.T) {
			var n network
			client := deaf{stops: new(atomic.Bool), never: make(chan struct{})}
			took := make(chan time.Duration, 1)
			m.renew(time.Hour)
			tr := startOn(t, &n, m.config(), func(w http.ResponseWriter, _ *http.Request) {
				begin := time.Now()
				client.stops.Store(stops)
				for _, err := w.Write(make([]byte, 4096)); err == nil; _, err = w.Write(make([]byte, 4096)) {
				}
				took <- time.Since(begin)
			})
			c := n.client(t, true)
			c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := n.dialBuffered(ctx, network, addr)
				return deaf{conn, client.stops, client.never}, err
			}
			go func() {
				if resp, err := c.Get("https://shop/"); err == nil {
					<-client.never
					resp.Body.Close()
				}
			}()
			time.Sleep(time.Hour)
			select {
			case took := <-took:
				if took < time.Minute || took > most {
					t.Errorf("the connection stops %v: the handler could not write for %v, want the WriteTimeout of 1m", stops, took)
				}
			default:
				t.Errorf("the connection stops %v: the handler still writes", stops)
			}
			close(client.never)
			if _, err := tr.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What a slow client sends over HTTP/2: RFC 9113, 3.4 and 4.1, and RFC 7541, A.
const (
	preface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	post     = "\x83\x84\x87\x41\x04shop" // POST / https shop
	begun    = "\x00\x00\x09\x01\x00\x00\x00\x00\x01" + post
	ended    = "\x00\x00\x09\x01\x04\x00\x00\x00\x01" + post
	body     = "\x00\x00\x03\x00\x00\x00\x00\x00\x01abc"
)

func TestASlowHTTP2ClientIsCutOff(t *testing.T) {
	for name, tc := range map[string]struct {
		sends string
		after time.Duration
	}{
		"silent":        {"", 10 * time.Second}, // net/http's own
		"idle":          {preface + settings, 2 * time.Minute},
		"in the header": {preface + settings + begun, 2 * time.Minute},        // no request yet, and so idle
		"in the body":   {preface + settings + ended + body, 3 * time.Minute}, // ReadTimeout, and then it is idle
	} {
		m := newMount(t)
		synctest.Test(t, func(t *testing.T) {
			var n network
			m.renew(time.Hour)
			tr := startOn(t, &n, m.config(), func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err == nil {
					t.Errorf("%s: the whole body came", name)
				}
			})
			raw, err := n.dialBuffered(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, ServerName: "shop", NextProtos: []string{"h2"}})
			defer conn.Close()
			begin := time.Now()
			if _, err := io.WriteString(conn, tc.sends); err != nil {
				t.Error(err)
			}
			_, _ = io.Copy(io.Discard, conn) // until the server closes it
			if took := time.Since(begin); took < tc.after || took > tc.after+2*time.Second {
				t.Errorf("%s: the connection was closed after %v, want %v", name, took, tc.after)
			}
			if _, err := tr.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASilentTLSClientIsCutOff(t *testing.T) {
	m := newMount(t)
	synctest.Test(t, func(t *testing.T) {
		var n network
		m.renew(time.Hour)
		tr := startOn(t, &n, m.config(), ok)
		conn, err := n.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, _ = io.Copy(io.Discard, conn) // until the server closes it
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("the handshake was given up after %v, want 5 s", took)
		}
		if _, err := tr.stop(); err != nil {
			t.Error(err)
		}
	})
}
