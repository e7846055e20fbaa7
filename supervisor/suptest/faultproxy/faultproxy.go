// Package faultproxy puts a TCP proxy in front of a server, so that a test can
// make the network between the two fail, and heal it again:
//
//	proxy := faultproxy.Listen(t, server.Addr)
//	client := dial(proxy.Addr)
//	proxy.Stall() // connections stay open, and nothing comes through
//	…
//	proxy.Pass()
//
// It works on a real network, the loopback, and so in no testing/synctest
// bubble. It is for tests only.
//
// # Concurrency
//
// All methods may be called from any goroutine. When one that sets a fault
// returns, the fault is in force, on the connections that there are too.
package faultproxy

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Forever is the latency of what does not come through at all.
const Forever time.Duration = math.MaxInt64

// A Proxy forwards connections to a server, as well as it was told to.
type Proxy struct {
	Addr string // host:port, on 127.0.0.1; the same as long as it lives

	t      testing.TB
	server string
	wg     sync.WaitGroup // of all its goroutines

	mu       sync.Mutex // guards the rest
	changed  *sync.Cond // when what it guards does, and when a latency is over
	fault    fault
	listener *net.TCPListener // nil while it refuses
	links    map[*link]bool
	closed   bool
}

// fault is what is done to connections. The zero value is nothing.
type fault struct {
	toServer, toClient         time.Duration
	resets, halfOpens, refuses bool
}

// Listen returns a Proxy in front of the server, which may be down, that passes
// everything. It is closed at the end of the test, if not before.
func Listen(t testing.TB, server string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, server: server, links: map[*link]bool{}}
	p.changed = sync.NewCond(&p.mu)
	for tries := 0; p.listener == nil; tries++ {
		// Below the ports of outgoing connections: a client that keeps dialing
		// one of those while nobody listens can end up connected to itself.
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if err := p.listen(addr); err != nil && tries == 100 {
			t.Fatalf("faultproxy: %v", err)
		}
	}
	p.wg.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// Pass ends every fault. What was held back comes through now.
func (p *Proxy) Pass() { p.set(fault{}) }

// Latency holds back what goes to the server and what comes back from it, each
// piece of up to 32 KiB after the other.
func (p *Proxy) Latency(toServer, toClient time.Duration) {
	p.set(fault{toServer: toServer, toClient: toClient})
}

// Stall keeps connections open, and accepts new ones, but forwards nothing, not
// even that one was closed: a server that is frozen, or a network that drops
// every packet. For one direction alone set a Latency of Forever.
func (p *Proxy) Stall() { p.Latency(Forever, Forever) }

// Reset answers with RST, on each connection and each new one.
func (p *Proxy) Reset() { p.set(fault{resets: true}) }

// HalfOpen ends all connections on the server's side only. The clients, old
// and new ones, have one that is established and silent, as after a power cut
// at the server. With the next fault, or Pass, they are reset, as by a server
// that is back and knows nothing of them.
func (p *Proxy) HalfOpen() { p.set(fault{toServer: Forever, toClient: Forever, halfOpens: true}) }

// Refuse closes all connections, and refuses new ones: nobody listens.
func (p *Proxy) Refuse() { p.set(fault{refuses: true}) }

// Close ends the proxy and its connections, and waits for its goroutines.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Refuse()
	p.wg.Wait()
}

func (p *Proxy) set(next fault) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.turn(p.fault, next)
	}
	p.fault = next
	p.changed.Broadcast()
	if open := !next.refuses && !p.closed; open == (p.listener != nil) {
		return
	}
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	} else if err := p.listen(p.Addr); err != nil {
		p.t.Errorf("faultproxy: listening again: %v", err)
	}
}

// listen is called with the lock held, or before anybody else is there.
func (p *Proxy) listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		p.listener, p.Addr = l.(*net.TCPListener), addr
	}
	return err
}

// accept is one goroutine for all the listeners of the proxy's life.
func (p *Proxy) accept() {
	for l := p.listening(); l != nil; l = p.listening() {
		client, err := l.AcceptTCP()
		if err == nil {
			p.wg.Go((&link{p: p, client: client}).serve)
		} else if !errors.Is(err, net.ErrClosed) {
			p.t.Errorf("faultproxy: %v", err)
			return
		}
	}
}

// listening waits until the proxy does not refuse. It is nil once it is closed.
func (p *Proxy) listening() *net.TCPListener {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.listener == nil && !p.closed {
		p.changed.Wait()
	}
	return p.listener
}

// hold returns when a piece has been held back as long as the fault of then
// says.
func (p *Proxy) hold(latency func(fault) time.Duration) {
	begin := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		left := latency(p.fault) - time.Since(begin)
		if left <= 0 {
			return
		}
		over := time.AfterFunc(left, p.wake)
		p.changed.Wait()
		over.Stop()
	}
}

// wake takes the lock, as who is just about to wait holds it.
func (p *Proxy) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed.Broadcast()
}
