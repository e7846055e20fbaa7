// Package redisembed runs a Redis server inside this process as a supervised
// worker: for development, for tests, and as a cache that needs no other
// machine.
//
//	cache := redisembed.New(redisembed.Config{})
//	rd := rediskv.New(rediskv.Config{Dialer: cache.Dial})
//	tree := supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
//		cache.Spec("redis"), rd.Spec("cache"), …
//	}}
//
// The server is miniredis: most commands, nothing on disk, and keys that
// expire with a delay of up to 1 s. Each incarnation has a server of its own,
// which starts empty, as a cache does after a crash.
package redisembed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/coppice-go/coppice/supervisor"
)

// Config describes a Redis. Its zero value is a server without a port, to be
// reached by Dial. What is wrong is reported by supervisor.New.
type Config struct {
	// Addr is the "host:port" to listen on. With port 0 the first incarnation
	// picks one, and later ones keep it. Empty means no port.
	Addr string

	// Password is what clients must give as the default user. It is a secret.
	// Empty means none.
	Password string
}

func (c Config) validate() error {
	if _, _, err := net.SplitHostPort(c.Addr); c.Addr != "" && err != nil {
		return errors.New(`redisembed: Config.Addr is no "host:port"; write "127.0.0.1:0", or nothing for no port`)
	}
	return nil
}

// Redis is a Redis server in this process, as a supervised worker. Make one
// with New, for one place in one tree. Its methods may be called concurrently.
type Redis struct {
	// Server holds the server of the live incarnation.
	Server supervisor.Ref[*miniredis.Miniredis]

	cfg   Config
	fault error

	mu   sync.Mutex // guards addr, and keeps Dial and the end of a server apart
	addr string     // what to listen on; its port is not 0 once one was picked
}

// New returns a Redis for cfg. It starts nothing, and never fails: what is
// wrong with cfg is in the Spec's Fault.
func New(cfg Config) *Redis {
	return &Redis{cfg: cfg, fault: cfg.validate(), addr: cfg.Addr}
}

// Spec returns the worker, for the tree.
func (r *Redis) Spec(name string) supervisor.Spec {
	return supervisor.Spec{Name: name, Run: r.Server.Run(r.run), Fault: r.fault}
}

// Addr returns the "host:port" that the server listens on, "" if it has no
// port. Before the first incarnation was ready it is Config.Addr.
func (r *Redis) Addr() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addr
}

// Dial returns a connection to the live server that needs no port; network
// and addr are ignored. While there is no server it fails at once, with an
// error that wraps supervisor.ErrUnavailable.
func (r *Redis) Dial(_ context.Context, network, addr string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.Server.Peek()
	if !ok || m.Ctx.Err() != nil { // a closed one would come back to life
		return nil, fmt.Errorf("redisembed: dial: %w: the server is not running", supervisor.ErrUnavailable)
	}
	return m.Dial()
}

func (r *Redis) run(ctx context.Context, ready func(*miniredis.Miniredis)) error {
	m := miniredis.NewMiniRedis()
	defer r.close(m)
	m.RequireAuth(r.cfg.Password)
	if err := r.listen(m); err != nil {
		return fmt.Errorf("start: %w", err) // it names the address
	}
	ready(m)
	expire(ctx, m)
	if ctx.Err() == nil {
		return errors.New("redisembed: the server was closed")
	}
	return nil
}

// listen keeps the address, so that clients find later incarnations again.
func (r *Redis) listen(m *miniredis.Miniredis) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.addr == "" {
		return nil // the first Dial starts it
	}
	if err := m.StartAddr(r.addr); err != nil {
		return err
	}
	r.addr = m.Addr()
	return nil
}

// close also ends a server that nobody has dialed, which Close alone does not.
func (r *Redis) close(m *miniredis.Miniredis) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.CtxCancel()
	m.Close()
}

// expire moves the time to live of m's keys, which stands still by itself,
// until ctx is done or somebody closes m.
func expire(ctx context.Context, m *miniredis.Miniredis) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.FastForward(time.Second)
		case <-ctx.Done():
			return
		case <-m.Ctx.Done():
			return
		}
	}
}
