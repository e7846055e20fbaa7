package rediskv

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/coppice-go/coppice/services/internal/servers"
	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

func realKV(server *servers.Server) *KV {
	return New(quick(Config{Addr: server.Addr, Password: servers.Password}))
}

func TestRedisConformance(t *testing.T) {
	server := servers.StartRedis(t)
	for name, harm := range map[string]servicetest.Harm{
		"killed": {Do: server.Kill, Undo: server.Start},
		"frozen": {Do: server.Freeze, Undo: server.Thaw},
	} {
		t.Run(name, func(t *testing.T) {
			servicetest.Run(t, servicetest.Subject{
				New:     func(*testing.T) (supervisor.Spec, servicetest.Harm) { return realKV(server).Spec("cache"), harm },
				Secrets: []string{servers.Password},
				BadStarts: func(*testing.T) []supervisor.Spec {
					return []supervisor.Spec{
						New(quick(Config{Addr: server.Addr, Password: "wrong-" + servers.Password})).Spec("cache"),
						New(quick(Config{Addr: server.Addr, Username: "nobody", Password: servers.Password})).Spec("cache"),
						New(quick(Config{Addr: server.Addr})).Spec("cache"),
						New(quick(Config{Addr: server.Addr, Password: servers.Password, DB: 1000})).Spec("cache"),
					}
				},
			})
		})
	}
}

func TestRedisHealsWhenTheServerIsBack(t *testing.T) {
	server := servers.StartRedis(t)
	kv := realKV(server)
	tree := servicetest.Start(t, kv.Spec("cache"), servers.Password)
	tree.Await(supervisor.EventReady)
	if err := mustPeek(t, kv).Set(t.Context(), "wood", "hazel", 0).Err(); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	tree.Await(supervisor.EventImpaired)
	if e := tree.Await(supervisor.EventExited); !errors.Is(e.Err, supervisor.ErrUnavailable) {
		t.Errorf("exited with %v, want ErrUnavailable", e.Err)
	}
	if e := tree.Await(supervisor.EventStartFailed); !errors.Is(e.Err, supervisor.ErrUnavailable) {
		t.Errorf("failed to start with %v, want ErrUnavailable", e.Err)
	}
	server.Start()
	tree.Await(supervisor.EventReady)
	if got, err := mustPeek(t, kv).Get(t.Context(), "wood").Result(); got != "hazel" || err != nil {
		t.Errorf("the healed client reads %q, %v", got, err)
	}
	tree.Stop()
}

func TestAFrozenRedisServerHoldsUpNobody(t *testing.T) {
	server := servers.StartRedis(t)
	kv := realKV(server)
	kv.cfg.ReadTimeout = time.Hour
	tree := servicetest.Start(t, kv.Spec("cache"), servers.Password)
	tree.Await(supervisor.EventReady)
	client := mustPeek(t, kv)
	server.Freeze()
	waiting := make(chan error)
	go func() { waiting <- client.Get(t.Context(), "wood").Err() }()
	tree.Await(supervisor.EventExited)
	if err := <-waiting; err == nil {
		t.Error("a frozen server answered")
	}
	tree.Stop()
	server.Thaw()
}

// Neither while it is frozen nor after: who waits in a pool, for its connections
// or behind those who have them, goes with it, and each attempt to connect leaves
// nothing behind.
func TestRestartsAtAFrozenRedisServerPileUpNoGoroutines(t *testing.T) {
	server := servers.StartRedis(t)
	kv := realKV(server)
	kv.cfg.ReadTimeout, kv.cfg.PoolSize = time.Hour, 3
	tree := servicetest.Start(t, kv.Spec("cache"), servers.Password)
	tree.Await(supervisor.EventReady)
	tree.AwaitProbe()
	before := runtime.NumGoroutine()
	for range 2 {
		client := mustPeek(t, kv)
		server.Freeze()
		var waiting sync.WaitGroup
		for range 20 {
			waiting.Go(func() {
				if err := client.Get(t.Context(), "wood").Err(); err == nil || err == redis.Nil {
					t.Error("a frozen server answered")
				}
			})
		}
		tree.Await(supervisor.EventExited)
		waiting.Wait()
		for range 3 {
			tree.Await(supervisor.EventStartFailed)
		}
		wantNoMoreGoroutines(t, before)
		server.Thaw()
		tree.Await(supervisor.EventReady)
	}
	wantNoMoreGoroutines(t, before)
	tree.Stop()
}

func wantNoMoreGoroutines(t *testing.T, than int) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Second); runtime.NumGoroutine() > than && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > than {
		t.Errorf("%d goroutines, want at most %d", n, than)
	}
}
