package redisembed

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

const hunter2 = "s3cret-hunter2"

func init() { logging.Disable() }

func TestConformance(t *testing.T) {
	for _, addr := range []string{"", "127.0.0.1:0"} {
		t.Run("on "+addr, func(t *testing.T) {
			servicetest.Run(t, servicetest.Subject{
				New: func(*testing.T) (supervisor.Spec, servicetest.Harm) {
					return New(Config{Addr: addr, Password: hunter2}).Spec("redis"), servicetest.Harm{}
				},
				Secrets: []string{hunter2},
				BadStarts: func(t *testing.T) []supervisor.Spec {
					return []supervisor.Spec{
						New(Config{Addr: taken(t), Password: hunter2}).Spec("redis"),
						New(Config{Addr: "no.such.host.invalid:0", Password: hunter2}).Spec("redis"),
						New(Config{Addr: "redis://:" + hunter2 + "@localhost:6379", Password: hunter2}).Spec("redis"),
						New(Config{Addr: "6379", Password: hunter2}).Spec("redis"),
					}
				},
			})
		})
	}
}

// taken returns an address that somebody else listens on until the test ends.
func taken(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestAFailedStartNamesTheAddress(t *testing.T) {
	addr := taken(t)
	tree := servicetest.Start(t, New(Config{Addr: addr}).Spec("redis"))
	if e := tree.Await(supervisor.EventStartFailed); !strings.Contains(e.Err.Error(), addr) {
		t.Errorf("failed to start with %v, which does not name %s", e.Err, addr)
	}
	tree.Stop()
}

// A restarted server is found where it was, and starts empty.
func TestLaterIncarnationsKeepTheAddress(t *testing.T) {
	r := New(Config{Addr: "127.0.0.1:0", Password: hunter2})
	var addr string
	for range 3 {
		tree := servicetest.Start(t, r.Spec("redis"), hunter2)
		tree.Await(supervisor.EventReady)
		if addr == "" {
			addr = r.Addr()
		}
		if r.Addr() != addr {
			t.Errorf("moved from %s to %s", addr, r.Addr())
		}
		client := redis.NewClient(&redis.Options{Addr: addr, Password: hunter2})
		if n, err := client.Incr(t.Context(), "starts").Result(); n != 1 || err != nil {
			t.Errorf("counted %d starts, %v; want an empty server", n, err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		tree.Stop()
	}
}

func TestDialNeedsNoPortAndFailsWhileThereIsNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		for range 2 {
			client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Dialer: r.Dial, MaxRetries: -1, DialerRetries: 1})
			defer client.Close()
			if err := client.Ping(t.Context()).Err(); !errors.Is(err, supervisor.ErrUnavailable) {
				t.Errorf("without a server, PING failed with %v, want ErrUnavailable", err)
			}
			tree := servicetest.Start(t, r.Spec("redis"))
			tree.Await(supervisor.EventReady)
			if err := client.Ping(t.Context()).Err(); err != nil {
				t.Errorf("PING failed with %v", err)
			}
			tree.Stop()
		}
		if r.Addr() != "" {
			t.Errorf("it has the address %s", r.Addr())
		}
	})
}

// Between the end of the server and the withdrawal of the Ref's value.
func TestDialDoesNotReviveAServer(t *testing.T) {
	r := New(Config{})
	run := r.Server.Run(func(_ context.Context, ready func(*miniredis.Miniredis)) error {
		m := miniredis.NewMiniRedis()
		ready(m)
		r.close(m)
		_, err := r.Dial(t.Context(), "", "")
		return err
	})
	if err := run(t.Context(), func() {}); !errors.Is(err, supervisor.ErrUnavailable) {
		t.Errorf("Dial returned %v, want ErrUnavailable", err)
	}
}

// Dial must not bring a server back to life that has just stopped; that would
// be a leak, which the tree finds.
func TestDialsDuringAStopLeaveNothing(t *testing.T) {
	for range 20 {
		r := New(Config{})
		tree := servicetest.Start(t, r.Spec("redis"))
		tree.Await(supervisor.EventReady)
		var dialers sync.WaitGroup
		for range 4 {
			dialers.Go(func() {
				for {
					conn, err := r.Dial(t.Context(), "", "")
					if err != nil {
						return
					}
					conn.Close()
				}
			})
		}
		tree.Stop()
		dialers.Wait()
	}
}

func TestKeysExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		tree := servicetest.Start(t, r.Spec("redis"))
		tree.Await(supervisor.EventReady)
		m, _ := r.Server.Peek()
		if err := m.Set("wood", "hazel"); err != nil {
			t.Fatal(err)
		}
		m.SetTTL("wood", 10*time.Second)
		time.Sleep(9 * time.Second)
		if !m.Exists("wood") {
			t.Error("the key was gone early")
		}
		time.Sleep(2 * time.Second)
		if m.Exists("wood") {
			t.Error("the key is still there")
		}
		tree.Stop()
	})
}

// TestAClosedServerIsReplaced: one that is closed underneath does not pass for
// a living one.
func TestAClosedServerIsReplaced(t *testing.T) {
	r := New(Config{Addr: "127.0.0.1:0"})
	tree := servicetest.Start(t, r.Spec("redis"))
	tree.Await(supervisor.EventReady)
	m, ok := r.Server.Peek()
	if !ok {
		t.Fatal("there is no server")
	}
	m.Close()
	tree.Await(supervisor.EventExited)
	tree.Await(supervisor.EventReady)
	if again, ok := r.Server.Peek(); !ok || again == m {
		t.Errorf("the server is %p, as before", again)
	}
	tree.Stop()
}
