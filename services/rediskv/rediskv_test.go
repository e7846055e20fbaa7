package rediskv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest/faultproxy"
)

const hunter2 = "s3cret-hunter2"

// quick notices at once that its server is gone, and within 2 s that it does
// not answer: a busy machine needs that long too.
func quick(cfg Config) Config {
	cfg.ProbeInterval, cfg.ProbeTimeout, cfg.FailuresToRestart = 20*time.Millisecond, time.Second, 2
	cfg.ConnectTimeout = 500 * time.Millisecond
	return cfg
}

func TestConformance(t *testing.T) {
	servicetest.Run(t, servicetest.Subject{
		New: func(t *testing.T) (supervisor.Spec, servicetest.Harm) {
			m := miniredis.RunT(t)
			m.RequireAuth(hunter2)
			proxy := faultproxy.Listen(t, m.Addr())
			return New(quick(Config{Addr: proxy.Addr, Password: hunter2})).Spec("cache"), servicetest.Harm{Do: proxy.Refuse, Undo: proxy.Pass}
		},
		Secrets: []string{hunter2},
		BadStarts: func(t *testing.T) []supervisor.Spec {
			m := miniredis.RunT(t)
			m.RequireAuth("another")
			return []supervisor.Spec{
				New(quick(Config{Addr: m.Addr(), Password: hunter2})).Spec("cache"),
				New(quick(Config{Addr: m.Addr()})).Spec("cache"),
				New(quick(Config{Addr: "127.0.0.1:1", Password: hunter2})).Spec("cache"),
				New(quick(Config{Addr: "/no/such/socket", Password: hunter2})).Spec("cache"),
				New(quick(Config{Addr: "no.such.host.invalid:6379", Password: hunter2})).Spec("cache"),
				New(quick(Config{Addr: "127.0.0.1:6379", Password: hunter2, Dialer: dialTo(parrot)})).Spec("cache"),
				New(quick(Config{Addr: "127.0.0.1:6379", Password: hunter2, Dialer: dialTo(silence)})).Spec("cache"),
				New(Config{Addr: "redis://:" + hunter2 + "@cache:6379"}).Spec("cache"),
				New(Config{Addr: hunter2}).Spec("cache"),
			}
		},
	})
}

// S5: every fault at once, each with the path and the mend.
func TestFaultsAreReportedBeforeAnythingStarts(t *testing.T) {
	kv := New(Config{Addr: "cache", DB: -1, PoolSize: -1, DialTimeout: -1, ReadTimeout: -1, WriteTimeout: -1, ConnectTimeout: -1, ProbeInterval: -1, ProbeTimeout: -1, FailuresToRestart: -1})
	_, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{kv.Spec("cache")}}, supervisor.Options{})
	if err == nil {
		t.Fatal("New accepted a faulty Config")
	}
	for _, want := range []string{"shop/cache", "Addr", "DB", "PoolSize", "DialTimeout", "ReadTimeout", "WriteTimeout", "ConnectTimeout", "ProbeInterval", "ProbeTimeout", "FailuresToRestart"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the fault does not name %s: %v", want, err)
		}
	}
}

// S32 and S33: one failed probe impairs, as many as configured restart; with
// the defaults that is one after 5 s and the third within 16.5 s.
func TestProbesImpairThenRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		defer m.Close()
		kv := New(Config{Dialer: dialTo(func(c net.Conn) { serve(m, c) })})
		tree := servicetest.Start(t, kv.Spec("cache"))
		tree.Await(supervisor.EventReady)
		first := mustPeek(t, kv)
		time.Sleep(time.Hour)
		if tree.Seen(supervisor.EventImpaired) {
			t.Error("impaired while all was well")
		}

		m.SetError("LOADING Redis is loading the dataset in memory")
		if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "LOADING") {
			t.Errorf("impaired because %v", e.Err)
		}
		m.SetError("")
		tree.Await(supervisor.EventRecovered)
		if mustPeek(t, kv) != first {
			t.Error("one failed probe restarted it")
		}

		m.SetError("LOADING Redis is loading the dataset in memory")
		begin := time.Now()
		if e := tree.Await(supervisor.EventExited); !errors.Is(e.Err, supervisor.ErrUnavailable) {
			t.Errorf("exited with %v, want ErrUnavailable", e.Err)
		}
		if took := time.Since(begin); took < 13*time.Second || took > 17*time.Second {
			t.Errorf("it took three probes %v to fail", took)
		}
		m.SetError("")
		tree.Await(supervisor.EventReady)
		if mustPeek(t, kv) == first {
			t.Error("the second incarnation has the client of the first")
		}
		if err := first.Ping(t.Context()).Err(); !errors.Is(err, redis.ErrClosed) {
			t.Errorf("the first incarnation's client answers with %v", err)
		}
		tree.Stop()
	})
}

// S33: a probe is bounded by its timeout, and holds up nothing.
func TestASilentServerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		defer m.Close()
		silent := make(chan struct{})
		kv := New(Config{Dialer: dialTo(func(c net.Conn) { serve(m, muted{c, silent}) })})
		tree := servicetest.Start(t, kv.Spec("cache"))
		tree.Await(supervisor.EventReady)
		close(silent)
		if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "no answer within 1s") {
			t.Errorf("impaired because %v", e.Err)
		}
		tree.Await(supervisor.EventExited)
		begin := time.Now()
		tree.Await(supervisor.EventStartFailed)
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("connecting to a silent server took %v", took)
		}
		tree.Stop()
	})
}

// S28: a dial that hangs, in the network or in a tunnel, does not outlive the
// incarnation, nor does anybody wait for it longer.
func TestAHangingDialEndsWithTheIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		defer m.Close()
		dial := dialTo(func(c net.Conn) { serve(m, c) })
		var hangs atomic.Bool
		kv := New(Config{DialTimeout: time.Hour, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if hangs.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return dial(ctx, network, addr)
		}})
		tree := servicetest.Start(t, kv.Spec("cache"))
		tree.Await(supervisor.EventReady)
		hangs.Store(true)
		client, waiting := mustPeek(t, kv), make(chan error, 1)
		go func() { waiting <- client.Ping(context.Background()).Err() }()
		synctest.Wait()
		begin := time.Now()
		tree.Stop()
		if err := <-waiting; err == nil {
			t.Error("PING succeeded without a connection")
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("the dial outlived the incarnation by %v", took)
		}
	})
}

// S33: what the program knows to be wrong with a server that answers impairs
// too, and is mended, if it can be, without a restart.
func TestPoisonedEntriesArePurged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		defer m.Close()
		var kv *KV
		kv = New(Config{
			Dialer: dialTo(func(c net.Conn) { serve(m, c) }), Password: hunter2,
			Check: func(ctx context.Context, client *redis.Client) error {
				if client.Get(ctx, "wood").Val() == "plastic" {
					return errors.New("wood is plastic, and the password " + hunter2)
				}
				return nil
			},
			Remedies: []supervisor.Remedy{{Name: "purge", Do: func(ctx context.Context) error {
				return kv.Client.Do(ctx, func(ctx context.Context, client *redis.Client) error { return client.Del(ctx, "wood").Err() })
			}}},
		})
		m.RequireAuth(hunter2)
		tree := servicetest.Start(t, kv.Spec("cache"), hunter2)
		tree.Await(supervisor.EventReady)
		m.Set("wood", "plastic")
		if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "wood is plastic") {
			t.Errorf("impaired because %v", e.Err)
		}
		if e := tree.Await(supervisor.EventRemedy); e.Remedy != "purge" || e.Err != nil {
			t.Errorf("the event %q, want that the purge helped", e)
		}
		tree.Await(supervisor.EventRecovered)
		if m.Exists("wood") {
			t.Error("the poisoned entry is still there")
		}
		tree.Stop()
		if tree.Seen(supervisor.EventExited) {
			t.Error("it was restarted")
		}
	})
}

// An exhausted pool is busy, not broken. In real time: go-redis keeps the
// timers of those who wait for a connection for the next bubble.
func TestAnExhaustedPoolIsNoFailure(t *testing.T) {
	m := miniredis.RunT(t)
	kv := New(quick(Config{Addr: m.Addr(), PoolSize: 1, Check: func(ctx context.Context, client *redis.Client) error {
		return client.Get(ctx, "wood").Err()
	}}))
	m.Set("wood", "hazel")
	tree := servicetest.Start(t, kv.Spec("cache"))
	tree.Await(supervisor.EventReady)
	client := mustPeek(t, kv)
	conn := client.Conn()
	if err := conn.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*kv.cfg.ProbeTimeout)
	defer cancel()
	if err := client.Ping(ctx).Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the pool has more than its only connection (%v)", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	tree.Stop()
	if tree.Seen(supervisor.EventImpaired) {
		t.Error("an exhausted pool counts as a failure")
	}
}

// dialTo returns a Dialer to a server in this process, without a port.
func dialTo(server func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, conn := net.Pipe()
		go func() {
			defer conn.Close()
			server(conn)
		}()
		return client, nil
	}
}

// serve connects conn to m.
func serve(m *miniredis.Miniredis, conn net.Conn) {
	up, err := m.Dial()
	if err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(conn, up)
		conn.Close()
	}()
	io.Copy(up, conn)
	up.Close()
	<-done
}

// muted says nothing once silent is closed.
type muted struct {
	net.Conn
	silent chan struct{}
}

func (m muted) Write(p []byte) (int, error) {
	select {
	case <-m.silent:
		return len(p), nil
	default:
		return m.Conn.Write(p)
	}
}

// parrot repeats the commands that it does not know, as real servers do, and
// knows none.
func parrot(conn net.Conn) {
	for r := bufio.NewReader(conn); ; {
		var words, length int
		if _, err := fmt.Fscanf(r, "*%d\r\n", &words); err != nil {
			return
		}
		command := make([]string, words)
		for i := range command {
			fmt.Fscanf(r, "$%d\r\n%s\r\n", &length, &command[i])
		}
		fmt.Fprintf(conn, "-ERR unknown command %q\r\n", command)
	}
}

// silence takes everything and answers nothing.
func silence(conn net.Conn) { io.Copy(io.Discard, conn) }

func mustPeek(t *testing.T, kv *KV) *redis.Client {
	t.Helper()
	client, ok := kv.Client.Peek()
	if !ok {
		t.Fatal("there is no client")
	}
	return client
}
