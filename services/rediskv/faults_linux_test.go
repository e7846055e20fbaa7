package rediskv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/coppice-go/coppice/services/internal/servers"
	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest/faultproxy"
)

// networks are the ways in which a server can be cut off.
var networks = map[string]func(*faultproxy.Proxy){
	"stall": (*faultproxy.Proxy).Stall, "reset": (*faultproxy.Proxy).Reset,
	"half-open": (*faultproxy.Proxy).HalfOpen, "refuse": (*faultproxy.Proxy).Refuse,
	"answers lost": func(p *faultproxy.Proxy) { p.Latency(0, faultproxy.Forever) },
	"too slow":     func(p *faultproxy.Proxy) { p.Latency(2*time.Second, 0) },
}

func TestRedisConformanceWhenCutOff(t *testing.T) {
	server := servers.StartRedis(t)
	for name, cut := range networks {
		t.Run(name, func(t *testing.T) {
			servicetest.Run(t, servicetest.Subject{
				New: func(t *testing.T) (supervisor.Spec, servicetest.Harm) {
					proxy := faultproxy.Listen(t, server.Addr)
					return realKVAt(proxy.Addr, "").Spec("cache"), servicetest.Harm{Do: func() { cut(proxy) }, Undo: proxy.Pass}
				},
				Secrets: []string{servers.Password},
			})
		})
	}
}

func TestRedisHealsWhenItIsReachedAgain(t *testing.T) {
	server := servers.StartRedis(t)
	for name, cut := range networks {
		t.Run(name, func(t *testing.T) {
			proxy := faultproxy.Listen(t, server.Addr)
			kv := realKVAt(proxy.Addr, "")
			tree := servicetest.Start(t, kv.Spec("cache"), servers.Password)
			tree.Await(supervisor.EventReady)
			tree.AwaitProbe()
			before := runtime.NumGoroutine()
			began := time.Now()
			cut(proxy)
			if e := tree.Await(supervisor.EventExited); !errors.Is(e.Err, supervisor.ErrUnavailable) {
				t.Errorf("exited with %v, want ErrUnavailable", e.Err)
			}
			noticed := time.Since(began)
			for range 3 {
				tree.Await(supervisor.EventStartFailed)
			}
			proxy.Pass()
			began = time.Now()
			tree.Await(supervisor.EventReady)
			t.Logf("replaced after %v; back %v after the network", noticed.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
			if err := mustPeek(t, kv).Ping(t.Context()).Err(); err != nil {
				t.Error(err)
			}
			for deadline := time.Now().Add(3 * time.Second); runtime.NumGoroutine() > before+4 && time.Now().Before(deadline); {
				runtime.Gosched()
			}
			if n := runtime.NumGoroutine(); n > before+4 { // a connection, and the proxy's
				t.Errorf("%d goroutines after the outage, %d before", n, before)
			}
			tree.Stop()
		})
	}
}

// A server that takes no writes can still be read, which a restart would end:
// it impairs as long as it lasts, and each reason has its name.
func TestAServerThatTakesNoWritesImpairs(t *testing.T) {
	for says, test := range map[string]struct{ harm, mend func(*admin) }{
		"READONLY": {
			func(a *admin) { a.do("REPLICAOF", "127.0.0.1", "1") },
			func(a *admin) { a.do("REPLICAOF", "NO", "ONE") },
		},
		"OOM": {
			func(a *admin) { a.do("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1") },
			func(a *admin) { a.do("CONFIG", "SET", "maxmemory", "0") },
		},
		"NOREPLICAS": {
			func(a *admin) { a.do("CONFIG", "SET", "min-replicas-to-write", "1") },
			func(a *admin) { a.do("CONFIG", "SET", "min-replicas-to-write", "0") },
		},
		"MISCONF": {
			func(a *admin) {
				a.mkdir("dump.rdb") // in the way of its file
				a.do("CONFIG", "SET", "save", "3600 1")
				a.do("BGSAVE")
			},
			func(a *admin) { a.do("CONFIG", "SET", "save", "") },
		},
	} {
		t.Run(says, func(t *testing.T) {
			server := servers.StartRedis(t)
			a := newAdmin(t, server)
			a.do("SET", "wood", "hazel")
			kv := realKVAt(server.Addr, "coppice:probe")
			tree := servicetest.Start(t, kv.Spec("cache"), servers.Password)
			tree.Await(supervisor.EventReady)
			test.harm(a)
			if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), says) {
				t.Errorf("impaired because %v, want %s", e.Err, says)
			}
			if got, err := mustPeek(t, kv).Get(t.Context(), "wood").Result(); got != "hazel" || err != nil {
				t.Errorf("it reads %q, %v", got, err)
			}
			late := realKVAt(server.Addr, "coppice:probe") // can be read, too
			another := servicetest.Start(t, late.Spec("late"), servers.Password)
			another.Await(supervisor.EventReady)
			another.Await(supervisor.EventImpaired)
			another.Stop()
			test.mend(a)
			tree.Await(supervisor.EventRecovered)
			tree.Stop()
			if tree.Seen(supervisor.EventExited) {
				t.Error("it was restarted")
			}
		})
	}
}

// Who only reads needs no key to write, and is well.
func TestAReplicaIsWellForWhoOnlyReads(t *testing.T) {
	server := servers.StartRedis(t)
	newAdmin(t, server).do("REPLICAOF", "127.0.0.1", "1")
	tree := servicetest.Start(t, realKVAt(server.Addr, "").Spec("cache"), servers.Password)
	tree.Await(supervisor.EventReady)
	tree.AwaitProbe()
	tree.Stop()
	if tree.Seen(supervisor.EventImpaired) {
		t.Error("a replica impairs who only reads")
	}
}

// S19: a server that loads its data, or wants another password by now, is an
// outage, until it is over.
func TestAServerThatAnswersNobodyIsAnOutage(t *testing.T) {
	server := servers.StartRedis(t, "--enable-debug-command", "local")
	loaded := make(chan error)
	for says, test := range map[string]struct{ harm, mend func(*admin) }{
		"LOADING": {
			func(a *admin) {
				for i := range 200 {
					a.do("SET", fmt.Sprint("wood", i), strings.Repeat("hazel", 1000))
				}
				a.do("CONFIG", "SET", "key-load-delay", "20000", "loading-process-events-interval-bytes", "1024")
				go func() { loaded <- a.Do(context.Background(), "DEBUG", "RELOAD").Err() }()
			},
			func(a *admin) { // it is over by itself
				if err := <-loaded; err != nil {
					a.t.Error(err)
				}
			},
		},
		"WRONGPASS": {
			func(a *admin) {
				a.do("CONFIG", "SET", "requirepass", hunter2+"2")
				a.do("CLIENT", "KILL", "TYPE", "normal")
			},
			func(a *admin) { a.do("CONFIG", "SET", "requirepass", servers.Password) },
		},
	} {
		t.Run(says, func(t *testing.T) {
			a := newAdmin(t, server)
			a.do("PING")
			kv := realKVAt(server.Addr, "")
			tree := servicetest.Start(t, kv.Spec("cache"), servers.Password, hunter2)
			tree.Await(supervisor.EventReady)
			test.harm(a)
			said := false // by one of them: who loads does not always answer in time
			for _, kind := range []supervisor.EventKind{supervisor.EventImpaired, supervisor.EventExited, supervisor.EventStartFailed, supervisor.EventStartFailed} {
				e := tree.Await(kind)
				if !errors.Is(e.Err, supervisor.ErrUnavailable) {
					t.Errorf("%s with %v, want an outage", kind, e.Err)
				}
				said = said || strings.Contains(e.Err.Error(), says)
			}
			if !said {
				t.Errorf("nothing says %s", says)
			}
			test.mend(a)
			tree.Await(supervisor.EventReady)
			tree.Stop()
		})
	}
}

// Redis asks for a password once, and counts its clients when they come: those
// that it has go on, and one sees that no others can follow.
func TestNewConnectionsThatFailImpair(t *testing.T) {
	for name, test := range map[string]struct {
		says       string
		harm, mend func(*admin)
	}{
		"another password": {
			"WRONGPASS",
			func(a *admin) { a.do("CONFIG", "SET", "requirepass", hunter2+"2") },
			func(a *admin) { a.do("CONFIG", "SET", "requirepass", servers.Password) },
		},
		"too many clients": {
			"", // it does say so, and closes the connection: who writes meanwhile does not read it
			func(a *admin) { a.do("CONFIG", "SET", "maxclients", "1") }, // it has three
			func(a *admin) { a.do("CONFIG", "SET", "maxclients", "1000") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := servers.StartRedis(t)
			a := newAdmin(t, server)
			a.do("PING")
			kv := realKVAt(server.Addr, "")
			tree := servicetest.Start(t, kv.Spec("cache"), servers.Password, hunter2)
			tree.Await(supervisor.EventReady)
			client := mustPeek(t, kv)
			if err := client.Ping(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			test.harm(a)
			if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "new connections fail") || !strings.Contains(e.Err.Error(), test.says) {
				t.Errorf("impaired because %v", e.Err)
			}
			if err := client.Ping(t.Context()).Err(); err != nil {
				t.Errorf("the connections of before do not work: %v", err)
			}
			test.mend(a)
			tree.Await(supervisor.EventRecovered)
			tree.Stop()
			if tree.Seen(supervisor.EventExited) {
				t.Error("it was restarted")
			}
		})
	}
}

func TestAServerThatWantsAPasswordSaysSo(t *testing.T) {
	server := servers.StartRedis(t)
	tree := servicetest.Start(t, New(quick(Config{Addr: server.Addr})).Spec("cache"))
	if e := tree.Await(supervisor.EventStartFailed); !strings.Contains(e.Err.Error(), "NOAUTH") || !errors.Is(e.Err, supervisor.ErrUnavailable) {
		t.Errorf("failed to start with %v", e.Err)
	}
	tree.Stop()
}

func realKVAt(addr, key string) *KV {
	return New(quick(Config{Addr: addr, Password: servers.Password, ProbeKey: key}))
}

// admin does to a server what the service does not. It has one connection, says
// nothing twice, and waits.
type admin struct {
	*redis.Client
	t *testing.T
}

func newAdmin(t *testing.T, server *servers.Server) *admin {
	a := &admin{redis.NewClient(&redis.Options{Addr: server.Addr, Password: servers.Password, PoolSize: 1, MaxRetries: -1, ReadTimeout: time.Minute}), t}
	t.Cleanup(func() { a.Close() })
	return a
}

func (a *admin) do(command ...any) {
	a.t.Helper()
	if err := a.Do(a.t.Context(), command...).Err(); err != nil {
		a.t.Fatalf("%v: %v", command, err)
	}
}

func (a *admin) mkdir(name string) {
	a.t.Helper()
	dir, err := a.ConfigGet(a.t.Context(), "dir").Result()
	if err == nil {
		err = os.Mkdir(filepath.Join(dir["dir"], name), 0o700)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}
