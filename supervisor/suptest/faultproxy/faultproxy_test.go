package faultproxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// silence is how long nothing must arrive, patience how long something may take.
const (
	silence  = 50 * time.Millisecond
	patience = 10 * time.Second
)

func TestPassForwardsBothWaysAndEnds(t *testing.T) {
	p := Listen(t, echo(t))
	c := dial(t, p)
	c.wantEcho("hazel")
	large := strings.Repeat("hazel", 100_000)
	go func() {
		c.Write([]byte(large))
		c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || string(got) != large {
		t.Errorf("%d bytes came back, %v; want %d, also of a connection that is closed for writing", len(got), err, len(large))
	}
}

func TestLatencyHoldsBackEachDirection(t *testing.T) {
	const late = 100 * time.Millisecond
	for name, each := range map[string]struct{ up, down, want time.Duration }{
		"to the server": {late, 0, late},
		"to the client": {0, late, late},
		"both":          {late, late, 2 * late},
	} {
		p := Listen(t, echo(t))
		c := dial(t, p)
		c.wantEcho("hazel")
		p.Latency(each.up, each.down)
		begin := time.Now()
		c.wantEcho("ash")
		if took := time.Since(begin); took < each.want {
			t.Errorf("%s: an echo took %v, want %v", name, took, each.want)
		}
	}
}

func TestPassEndsALatencyAtOnce(t *testing.T) {
	p := Listen(t, echo(t))
	c := dial(t, p)
	p.Latency(time.Hour, time.Hour)
	c.say("hazel")
	c.wantSilence()
	p.Pass()
	c.wantHear("hazel")
}

func TestStallHoldsOldAndNewConnectionsUntilItPasses(t *testing.T) {
	p := Listen(t, echo(t))
	old := dial(t, p)
	old.wantEcho("hazel")
	p.Stall()
	for _, c := range []conn{old, dial(t, p)} {
		c.say("ash")
		c.wantSilence()
		defer c.wantHear("ash")
	}
	p.Pass()
}

// The server hears, and what it answers is lost.
func TestStallOfOneDirection(t *testing.T) {
	heard := make(chan string, 1)
	p := Listen(t, serve(t, func(c net.Conn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		heard <- line
		fmt.Fprint(c, line)
	}))
	p.Latency(0, Forever)
	c := dial(t, p)
	c.say("hazel")
	if got := <-heard; got != "hazel\n" {
		t.Errorf("the server heard %q", got)
	}
	c.wantSilence()
	p.Pass()
	c.wantHear("hazel")
	c.wantEnd(io.EOF)
}

func TestResetEndsOldAndNewConnections(t *testing.T) {
	p := Listen(t, echo(t))
	old := dial(t, p)
	old.wantEcho("hazel")
	p.Reset()
	old.wantEnd(syscall.ECONNRESET)
	wantReset(t, p)
	p.Pass()
	dial(t, p).wantEcho("hazel")
}

func TestHalfOpenIsSeenByTheServerAlone(t *testing.T) {
	ended := make(chan struct{}, 2)
	p := Listen(t, serve(t, func(c net.Conn) {
		io.Copy(c, c)
		ended <- struct{}{}
	}))
	old := dial(t, p)
	old.wantEcho("hazel")
	p.HalfOpen()
	<-ended
	for _, c := range []conn{old, dial(t, p)} {
		c.say("ash")
		c.wantSilence()
		defer c.wantEnd(syscall.ECONNRESET)
	}
	p.Pass()
	dial(t, p).wantEcho("hazel")
}

func TestRefuseIsAsIfNobodyListened(t *testing.T) {
	p := Listen(t, echo(t))
	old := dial(t, p)
	old.wantEcho("hazel")
	for range 3 {
		p.Refuse()
		if c, err := net.Dial("tcp", p.Addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialing returned %v, %v", c, err)
		}
		p.Pass()
		dial(t, p).wantEcho("ash")
	}
	old.wantEnd(io.EOF)
}

func TestAServerThatIsDownIsAReset(t *testing.T) {
	wantReset(t, Listen(t, "127.0.0.1:1"))
}

// S28: in the middle of every fault.
func TestCloseLeavesNothingBehind(t *testing.T) {
	addr := echo(t)
	for name, fail := range faults {
		t.Run(name, func(t *testing.T) {
			others := goleak.IgnoreCurrent()
			p := Listen(t, addr)
			old := dial(t, p)
			old.wantEcho("hazel")
			fail(p)
			old.Write([]byte("ash\n"))
			if c, err := net.Dial("tcp", p.Addr); err == nil {
				defer c.Close()
			}
			p.Close()
			p.Pass() // a cleanup may come late
			p.Close()
			if c, err := net.Dial("tcp", p.Addr); err == nil {
				t.Errorf("it listens after Close, on %v", c.RemoteAddr())
			}
			old.Close()
			if err := goleak.Find(others, goleak.IgnoreAnyFunction("io.Copy")); err != nil { // the server's
				t.Error(err)
			}
		})
	}
}

// Every fault follows every other, on old connections and new ones.
func TestFaultsFollowEachOther(t *testing.T) {
	p := Listen(t, echo(t))
	for _, first := range faults {
		for _, second := range faults {
			c := dial(t, p)
			c.wantEcho("hazel")
			first(p)
			c.Write([]byte("ash\n"))
			second(p)
			p.Pass()
			c = dial(t, p)
			c.wantEcho("hazel")
		}
	}
}

var faults = map[string]func(*Proxy){
	"none": (*Proxy).Pass, "stall": (*Proxy).Stall, "reset": (*Proxy).Reset, "half-open": (*Proxy).HalfOpen, "refuse": (*Proxy).Refuse,
	"latency": func(p *Proxy) { p.Latency(time.Hour, time.Hour) },
}

// serve runs a server until the end of the test, and returns its address.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	return l.Addr().String()
}

func echo(t *testing.T) string {
	return serve(t, func(c net.Conn) { io.Copy(c, c) })
}

// conn is a client's connection.
type conn struct {
	*net.TCPConn
	t *testing.T
}

func dial(t *testing.T, p *Proxy) conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return conn{c.(*net.TCPConn), t}
}

// wantReset wants a new connection to be reset, if not while it is made.
func wantReset(t *testing.T, p *Proxy) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	if err == nil {
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 9))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection ended with %v", err)
	}
}

func (c conn) say(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c, line); err != nil {
		c.t.Error(err)
	}
}

func (c conn) wantHear(line string) {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(line)+1)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != line+"\n" {
		c.t.Errorf("heard %q, %v; want %s", got, err, line)
	}
}

func (c conn) wantEcho(line string) {
	c.t.Helper()
	c.say(line)
	c.wantHear(line)
}

func (c conn) wantSilence() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(silence))
	if n, err := c.Read(make([]byte, 9)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("heard %d bytes, %v; want silence", n, err)
	}
}

func (c conn) wantEnd(end error) {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 9)); n != 0 || !errors.Is(err, end) {
		c.t.Errorf("read %d bytes, %v; want the end with %v", n, err, end)
	}
}
