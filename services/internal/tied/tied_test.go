package tied

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
)

var errOver = errors.New("over")

// S28: nobody goes on dialing for an incarnation that is gone.
func TestADialEndsWithTheLifeOrItsContext(t *testing.T) {
	for name, dialer := range map[string]func(context.Context, Dialer) Dialer{"Dial": Dial, "Conns": Conns} {
		for _, ends := range []string{"life", "context", "before"} {
			synctest.Test(t, func(t *testing.T) {
				life, end := context.WithCancelCause(t.Context())
				ctx, cancel := context.WithCancelCause(t.Context())
				defer end(nil)
				defer cancel(nil)
				failed := make(chan error, 1)
				if ends == "before" {
					end(errOver)
				}
				go func() {
					_, err := dialer(life, func(ctx context.Context, _, _ string) (net.Conn, error) {
						<-ctx.Done()
						return nil, context.Cause(ctx)
					})(ctx, "tcp", "shop:1")
					failed <- err
				}()
				synctest.Wait()
				switch ends {
				case "life":
					end(errOver)
				case "context":
					cancel(errOver)
				}
				if err := <-failed; err != errOver {
					t.Errorf("%s, ended by %s, returned %v", name, ends, err)
				}
			})
		}
	}
}

// S28: a connection in use is closed too; one that was closed before leaves
// nothing behind.
func TestAConnectionEndsWithTheLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, end := context.WithCancel(t.Context())
		here, there := net.Pipe()
		dial := Conns(life, func(context.Context, string, string) (net.Conn, error) { return here, nil })
		c, err := dial(t.Context(), "tcp", "shop:1")
		if err != nil {
			t.Fatal(err)
		}
		reading := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			reading <- err
		}()
		synctest.Wait()
		end()
		if err := <-reading; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("reading ended with %v", err)
		}
		if _, err := there.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the other side read %v", err)
		}
	})
}

func TestAConnectionThatWasClosedIsUntied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, end := context.WithCancel(t.Context())
		closes := 0
		dial := Conns(life, func(context.Context, string, string) (net.Conn, error) { return counted{closes: &closes}, nil })
		c, _ := dial(t.Context(), "tcp", "shop:1")
		c.Close()
		end()
		synctest.Wait()
		if closes != 1 {
			t.Errorf("closed %d times, want once", closes)
		}
	})
}

// counted is a connection that counts how often it is closed.
type counted struct {
	net.Conn
	closes *int
}

func (c counted) Close() error { *c.closes++; return nil }

// Drivers that look into a connection before they use it again must find what
// they look for, and only where there is one.
func TestASocketStaysOne(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, _ := net.Pipe()
	for want, dial := range map[bool]Dialer{
		true:  new(net.Dialer).DialContext,
		false: func(context.Context, string, string) (net.Conn, error) { return here, nil },
	} {
		life, end := context.WithCancel(t.Context())
		c, err := Conns(life, dial)(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, is := c.(syscall.Conn); is != want {
			t.Errorf("%T is a socket: %v, want %v", c, is, want)
		}
		end()
		if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("%T outlives the life: %v", c, err)
		}
	}
}
