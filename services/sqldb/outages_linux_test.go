package sqldb

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

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

func TestServerConformance(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		for name, harm := range map[string]servicetest.Harm{
			"killed": {Do: s.Kill, Undo: s.Start},
			"frozen": {Do: s.Freeze, Undo: s.Thaw},
		} {
			t.Run(name, func(t *testing.T) {
				servicetest.Run(t, servicetest.Subject{
					New:     func(*testing.T) (supervisor.Spec, servicetest.Harm) { return s.db(s.Addr).Spec("db"), harm },
					Secrets: []string{servers.Password},
				})
			})
		}
	})
}

func TestServerConformanceWhenCutOff(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		for name, cut := range networks {
			t.Run(name, func(t *testing.T) {
				servicetest.Run(t, servicetest.Subject{
					New: func(t *testing.T) (supervisor.Spec, servicetest.Harm) {
						proxy := faultproxy.Listen(t, s.Addr)
						return s.db(proxy.Addr).Spec("db"), servicetest.Harm{Do: func() { cut(proxy) }, Undo: proxy.Pass}
					},
					Secrets: []string{servers.Password},
				})
			})
		}
	})
}

func TestAPoolHealsWhenTheServerIsBack(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		db := s.db(s.Addr)
		tree := servicetest.Start(t, db.Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		mustPeek(t, db).MustExec("CREATE TABLE item (name VARCHAR(9))")

		s.Kill()
		tree.Await(supervisor.EventImpaired)
		if e := tree.Await(supervisor.EventExited); !errors.Is(e.Err, supervisor.ErrUnavailable) {
			t.Errorf("exited with %v, want ErrUnavailable", e.Err)
		}
		if e := tree.Await(supervisor.EventStartFailed); !errors.Is(e.Err, supervisor.ErrUnavailable) {
			t.Errorf("failed to start with %v, want ErrUnavailable", e.Err)
		}
		s.Start()
		tree.Await(supervisor.EventReady)
		pool := mustPeek(t, db)
		if _, err := pool.NamedExec("INSERT INTO item VALUES (:name)", map[string]any{"name": "hazel"}); err != nil {
			t.Errorf("the healed pool does not work: %v", err)
		}
		if err := pool.Get(new(string), pool.Rebind("SELECT name FROM item WHERE name = ?"), "hazel"); err != nil {
			t.Errorf("the healed pool does not work: %v", err)
		}
		tree.Stop()
	})
}

func TestAPoolHealsWhenTheServerIsReachedAgain(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		for name, cut := range networks {
			t.Run(name, func(t *testing.T) {
				proxy := faultproxy.Listen(t, s.Addr)
				db := s.db(proxy.Addr)
				tree := servicetest.Start(t, db.Spec("db"), servers.Password)
				tree.Await(supervisor.EventReady)
				tree.AwaitProbe()
				mustPeek(t, db).MustExec("SELECT 1")
				before := runtime.NumGoroutine()
				began := time.Now()
				cut(proxy)
				if e := tree.Await(supervisor.EventExited); !errors.Is(e.Err, supervisor.ErrUnavailable) {
					t.Errorf("exited with %v, want ErrUnavailable", e.Err)
				}
				noticed := time.Since(began)
				for range 2 {
					tree.Await(supervisor.EventStartFailed)
				}
				proxy.Pass()
				began = time.Now()
				tree.Await(supervisor.EventReady)
				t.Logf("replaced after %v; back %v after the network", noticed.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
				mustPeek(t, db).MustExec("SELECT 1")
				wantNoMoreGoroutines(t, before+4) // a connection, and the proxy's
				tree.Stop()
			})
		}
	})
}

// A server that hangs for less than FailuresToRestart probes.
func TestAServerThatHesitatesImpairs(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		db := s.db(s.Addr)
		db.cfg.FailuresToRestart = 1000
		tree := servicetest.Start(t, db.Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		s.Freeze()
		if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "no answer within 1s") {
			t.Errorf("impaired because %v", e.Err)
		}
		s.Thaw()
		tree.Await(supervisor.EventRecovered)
		tree.Stop()
	})
}

// S28: nobody who waits for a server that does not answer waits longer than the
// incarnation lives, with or without a deadline of his own; and what he does by
// Ref.Do learns that the incarnation has ended.
func TestAFrozenServerHoldsUpNobody(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		db := s.db(s.Addr)
		tree := servicetest.Start(t, db.Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		pool := mustPeek(t, db)
		connectTwice(t, pool) // what waits for a connection is bounded by ConnectTimeout
		s.Freeze()
		waiting, doing := make(chan error), make(chan error)
		go func() {
			_, err := pool.Exec("SELECT 1")
			waiting <- err
		}()
		go func() {
			doing <- db.DB.Do(t.Context(), func(ctx context.Context, pool *sqlx.DB) error {
				_, err := pool.ExecContext(ctx, "SELECT 1")
				<-ctx.Done() // its connection may have been closed first
				if context.Cause(ctx) != supervisor.ErrReplaced {
					t.Errorf("the context ended with %v", context.Cause(ctx))
				}
				return err
			})
		}()
		tree.Await(supervisor.EventExited)
		for _, ended := range []chan error{waiting, doing} {
			if err := <-ended; err == nil {
				t.Error("a frozen server answered")
			}
		}
		tree.Stop()
		s.Thaw()
	})
}

func connectTwice(t *testing.T, pool *sqlx.DB) {
	t.Helper()
	for range 2 {
		conn, err := pool.Connx(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() // back into the pool, once there are two
	}
}

// Neither while it is frozen nor after: who waits in a pool, for its connections
// or behind those who have them, goes with it, and each attempt to connect leaves
// nothing behind.
func TestRestartsAtAFrozenServerPileUpNoGoroutines(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		db := s.db(s.Addr)
		db.cfg.MaxOpen, db.cfg.MaxIdle = 3, 3
		tree := servicetest.Start(t, db.Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		tree.AwaitProbe()
		before := runtime.NumGoroutine()
		for range 2 {
			pool := mustPeek(t, db)
			connectTwice(t, pool)
			s.Freeze()
			var waiting sync.WaitGroup
			for range 20 {
				waiting.Go(func() {
					if _, err := pool.Exec("SELECT 1"); err == nil {
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
			s.Thaw()
			tree.Await(supervisor.EventReady)
		}
		wantNoMoreGoroutines(t, before)
		tree.Stop()
	})
}

// What was begun in a pool that is replaced is not done, and who began it is
// told.
func TestATransactionInFlightEndsWithAnErrorAndIsNotCommitted(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		proxy := faultproxy.Listen(t, s.Addr)
		db := s.db(proxy.Addr)
		tree := servicetest.Start(t, db.Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		mustPeek(t, db).MustExec("CREATE TABLE item (name VARCHAR(9))")
		tx := mustPeek(t, db).MustBegin()
		tx.MustExec("INSERT INTO item VALUES ('hazel')")
		idle := mustPeek(t, db).MustBegin()
		proxy.Stall()
		committed := make(chan error)
		go func() { committed <- tx.Commit() }()
		tree.Await(supervisor.EventExited)
		if err := <-committed; err == nil {
			t.Error("a commit that did not reach the server succeeded")
		}
		if err := idle.Commit(); err == nil {
			t.Error("a commit after the pool was replaced succeeded")
		}
		// Not Pass: the COMMIT was sent, and would come through.
		proxy.Refuse()
		proxy.Pass()
		tree.Await(supervisor.EventReady)
		var items int
		if err := mustPeek(t, db).Get(&items, "SELECT count(*) FROM item"); err != nil || items != 0 {
			t.Errorf("%d items were committed, %v", items, err)
		}
		tree.Stop()
	})
}

// The probe's connection can be lost without the server being down: an
// administrator, or a proxy, ended it. The check that meets this makes another.
func TestALostConnectionIsNoFailure(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		answered := make(chan struct{})
		cfg := s.config(s.dsn(s.Addr, "app", s.owned))
		cfg.FailuresToRestart, cfg.ProbeTimeout = 1, time.Minute // on a busy machine logging in takes its time
		cfg.Check = func(ctx context.Context, _ *sqlx.DB) error {
			select {
			case answered <- struct{}{}:
			case <-ctx.Done():
			}
			return nil
		}
		tree := servicetest.Start(t, New(cfg).Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		for range 5 {
			<-answered // so it is between two checks, or at the end of one
			s.do(t, s.endOthers)
			<-answered
			<-answered
		}
		tree.Stop()
		if tree.Seen(supervisor.EventExited) || tree.Seen(supervisor.EventImpaired) {
			t.Error("it was impaired, or restarted")
		}
	})
}
