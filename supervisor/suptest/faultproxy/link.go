package faultproxy

import (
	"io"
	"net"
	"time"
)

// link is one client's connection, and the one to the server that is made for
// it.
type link struct {
	p      *Proxy
	client *net.TCPConn
	server *net.TCPConn // nil before it is connected; guarded by p.mu until then
	half   bool         // the server's side was ended; guarded by p.mu
}

// serve is the life of a link.
func (l *link) serve() {
	defer l.end()
	if !l.begin() {
		return
	}
	server, err := new(net.Dialer).DialContext(l.p.t.Context(), "tcp", l.p.server)
	if l.join(server, err) {
		l.forward()
	}
	_, _ = io.Copy(io.Discard, l.client) // of a half-open link; others are over
}

// begin makes the link known, unless the fault is against it.
func (l *link) begin() bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if l.p.fault.resets || l.p.fault.refuses {
		l.reset()
		return false
	}
	l.p.links[l] = true
	return true
}

// join gives the link its server, if there is one.
func (l *link) join(server net.Conn, err error) bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if err == nil {
		l.server = server.(*net.TCPConn)
	}
	switch {
	case l.p.fault.halfOpens:
		l.halve()
	case err != nil:
		l.reset()
	default:
		return true
	}
	return false
}

// forward returns when both directions have ended.
func (l *link) forward() {
	back := make(chan struct{})
	l.p.wg.Go(func() {
		defer close(back)
		l.pump(l.client, l.server, func(f fault) time.Duration { return f.toClient })
	})
	l.pump(l.server, l.client, func(f fault) time.Duration { return f.toServer })
	<-back
}

// pump forwards one direction, its end too.
func (l *link) pump(to, from *net.TCPConn, latency func(fault) time.Duration) {
	for piece := make([]byte, 32<<10); ; {
		n, err := from.Read(piece)
		l.p.hold(latency)
		if _, failed := to.Write(piece[:n]); failed != nil {
			err = failed
		}
		switch err {
		case nil:
		case io.EOF:
			_ = to.CloseWrite()
			return
		default:
			l.fail()
			return
		}
	}
}

// fail ends a link one of whose sides has failed.
func (l *link) fail() {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if !l.half {
		l.reset()
	}
}

// turn is called, as all below but end, with p.mu held, when the fault changes.
func (l *link) turn(was, next fault) {
	switch {
	case next.refuses:
		l.close()
	case next.resets, was.halfOpens && !next.halfOpens:
		l.reset()
	case next.halfOpens:
		l.halve()
	}
}

func (l *link) halve() {
	l.half = true
	if l.server != nil {
		_ = l.server.Close()
	}
}

// reset ends both sides with RST.
func (l *link) reset() {
	_ = l.client.SetLinger(0)
	if l.server != nil {
		_ = l.server.SetLinger(0)
	}
	l.close()
}

func (l *link) close() {
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
}

func (l *link) end() {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.close()
	delete(l.p.links, l)
}
