package servers

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// StartRedis starts a new Redis server that keeps its data on disk, with more
// options if any are given. The test is skipped where none is installed.
func StartRedis(t testing.TB, options ...string) *Server {
	t.Helper()
	redis := program(t, "redis-server")
	s := newServer(t, "")
	s.args = append([]string{
		redis, "--port", s.Port, "--bind", "127.0.0.1", "--dir", s.dir, "--requirepass", Password,
		"--save", "", "--appendonly", "yes",
	}, options...)
	s.answers = func(ctx context.Context) error { return ping(ctx, s.Addr) }
	s.Start()
	return s
}

// ping asks whether the server at addr takes the password, which it does when
// it has loaded its data.
func ping(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\nPING\r\n", Password); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	for _, want := range []string{"+OK", "+PONG"} {
		line, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("instead of %q: %w", want, err)
		}
		if strings.TrimSpace(line) != want {
			return fmt.Errorf("it said %q, want %q", line, want)
		}
	}
	return nil
}
