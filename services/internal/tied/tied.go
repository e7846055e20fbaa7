// Package tied ends connections, and the making of them, with the incarnation
// that they were made for. A client library closes its connections in its own
// time: some wait first for a server that does not answer.
package tied

import (
	"context"
	"net"
	"syscall"
)

// Dialer makes a connection, as net.Dialer.DialContext does.
type Dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// Dial returns dial, but that it fails as soon as life has ended. The
// connections are not tied: they are what dial makes, of the same type.
func Dial(life context.Context, dial Dialer) Dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(life, func() { cancel(context.Cause(life)) })()
		return dial(ctx, network, addr)
	}
}

// Conns returns Dial(life, dial) whose connections are closed, if not before,
// when life ends.
func Conns(life context.Context, dial Dialer) Dialer {
	dial = Dial(life, dial)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tied := &conn{c, context.AfterFunc(life, func() { _ = c.Close() })}
		if raw, is := c.(syscall.Conn); is {
			return rawConn{tied, raw}, nil
		}
		return tied, nil
	}
}

// conn is a connection that is closed when a context ends.
type conn struct {
	net.Conn
	untie func() bool
}

func (c *conn) Close() error {
	c.untie()
	return c.Conn.Close()
}

// rawConn is a conn that drivers can look into: before they use it again, has
// the other side closed it?
type rawConn struct {
	*conn
	syscall.Conn
}
