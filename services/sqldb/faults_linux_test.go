package sqldb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/services/internal/servers"
	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

// After a failover the old primary answers, and refuses to write (SQLSTATE
// 25006; 1290 in MySQL). Asked for, that is an outage.
func TestAReadOnlyServerIsNoneForWhoWantsToWrite(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		cfg := s.config(s.dsn(s.Addr, "app", s.owned))
		cfg.Writable = true
		db := New(cfg)
		tree := servicetest.Start(t, db.Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		s.do(t, s.readOnly...)
		wantOutage(t, tree, s.sayReadOnly, supervisor.EventImpaired, supervisor.EventExited, supervisor.EventStartFailed)
		s.do(t, s.readWrite...)
		tree.Await(supervisor.EventReady)
		mustPeek(t, db).MustExec("CREATE TABLE item (name VARCHAR(9))")
		tree.Stop()
	})
}

func TestAReadOnlyServerIsWellForWhoOnlyReads(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		s.do(t, s.readOnly...)
		tree := servicetest.Start(t, s.db(s.Addr).Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		tree.AwaitProbe()
		tree.Stop()
		if tree.Seen(supervisor.EventImpaired) {
			t.Error("a server that is read-only impairs who only reads")
		}
	})
}

// Too many clients (SQLSTATE 53300; 1040) is weather: it is retried for ever,
// and those who are connected stay so.
func TestTooManyClientsAreWeather(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		s.do(t, s.few...)
		cfg := s.config(s.dsn(s.Addr, s.fewUser, s.owned))
		db := New(cfg)
		tree := servicetest.Start(t, db.Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		pool := mustPeek(t, db)
		pool.MustExec("SELECT 1")
		leave := crowd(t, tree, s, cfg.DSN)
		if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), s.sayTooMany) || !strings.Contains(e.Err.Error(), "new connections fail") {
			t.Errorf("impaired because %v", e.Err)
		}
		late := servicetest.Start(t, New(cfg).Spec("late"), servers.Password)
		for range 3 {
			wantOutage(t, late, s.sayTooMany, supervisor.EventStartFailed)
		}
		leave()
		late.Await(supervisor.EventReady)
		late.Stop()
		tree.Await(supervisor.EventRecovered)
		if _, err := pool.Exec("SELECT 1"); err != nil || mustPeek(t, db) != pool {
			t.Errorf("the pool was replaced, or does not work (%v)", err)
		}
		tree.Stop()
	})
}

// crowd takes connections until the tree's probe finds none that is free.
func crowd(t *testing.T, tree *servicetest.Tree, s server, dsn string) (leave func()) {
	t.Helper()
	greedy := connect(t, map[string]string{"postgres": "pgx", "mysql": "mysql"}[s.driver], dsn)
	greedy.SetMaxOpenConns(100)
	var taken []*sqlx.Conn
	for deadline := time.Now().Add(10 * time.Second); !tree.Seen(supervisor.EventImpaired); {
		if conn, err := greedy.Connx(t.Context()); err == nil {
			taken = append(taken, conn)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server has room for %d more clients", len(taken))
		}
	}
	return func() {
		for _, conn := range taken {
			conn.Close()
		}
		greedy.Close()
	}
}

// The connections that there are go on; new ones fail, and that is seen before
// the old ones are gone.
func TestAChangedPasswordImpairsAndThenIsAnOutage(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		db := s.db(s.Addr)
		tree := servicetest.Start(t, db.Spec("db"), servers.Password, hunter2)
		tree.Await(supervisor.EventReady)
		pool := mustPeek(t, db)
		pool.MustExec("SELECT 1")
		s.do(t, fmt.Sprintf(s.setPassword, hunter2+"2"))
		if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), s.sayPassword) {
			t.Errorf("impaired because %v", e.Err)
		}
		if _, err := pool.Exec("SELECT 1"); err != nil {
			t.Errorf("the connections of before do not work: %v", err)
		}
		s.do(t, s.endOthers)
		wantOutage(t, tree, s.sayPassword, supervisor.EventExited, supervisor.EventStartFailed)
		s.do(t, fmt.Sprintf(s.setPassword, servers.Password))
		tree.Await(supervisor.EventReady)
		tree.Stop()
	})
}

func TestADroppedDatabaseIsAnOutageUntilItIsThereAgain(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		s.do(t, s.shop...)
		tree := servicetest.Start(t, New(s.config(s.dsn(s.Addr, "app", "shop"))).Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		s.do(t, s.dropShop)
		wantOutage(t, tree, s.sayNoDatabase, supervisor.EventExited, supervisor.EventStartFailed)
		s.do(t, s.shop...)
		tree.Await(supervisor.EventReady)
		tree.Stop()
	})
}

// Slow queries in all connections of the pool are no failure, and the probe
// does not queue behind them.
func TestAPoolOfSlowQueriesIsBusyNotBroken(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		db := s.db(s.Addr)
		db.cfg.MaxOpen, db.cfg.MaxIdle = 2, 2
		tree := servicetest.Start(t, db.Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		pool, done := mustPeek(t, db), make(chan error)
		for range 6 {
			go func() {
				_, err := pool.ExecContext(t.Context(), s.sleep)
				done <- err
			}()
		}
		for range 6 {
			if err := <-done; err != nil {
				t.Error(err)
			}
			if node, _ := tree.Sup.Snapshot().Find(tree.Path); node.Probe == nil || node.Probe.Err != nil || time.Since(node.Probe.At) > time.Second {
				t.Errorf("the probe says %+v", node.Probe)
			}
		}
		tree.Stop()
		if tree.Seen(supervisor.EventImpaired) {
			t.Error("a busy pool counts as a failure")
		}
	})
}

func TestAnExhaustedPoolOfAServerIsNoFailure(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		db := s.db(s.Addr)
		db.cfg.MaxOpen, db.cfg.MaxIdle = 1, 1
		exhaust(t, db)
	})
}

// Whoever sees the database sees it migrated, in each incarnation, and the pool
// that did so is the one that is used.
func TestAMigrationOfAServerComesBeforeReady(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		cfg := s.config(s.dsn(s.Addr, "app", s.owned))
		var migrations atomic.Int64
		cfg.Migrate = func(ctx context.Context, db *sqlx.DB) error {
			migrations.Add(1)
			_, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS item (name VARCHAR(9))")
			return err
		}
		db := New(cfg)
		tree := servicetest.Start(t, db.Spec("db"), servers.Password)
		for n := range 2 {
			tree.Await(supervisor.EventReady)
			mustPeek(t, db).MustExec("INSERT INTO item VALUES ('hazel')")
			var items int
			if err := mustPeek(t, db).Get(&items, "SELECT count(*) FROM item"); err != nil || items != n+1 || migrations.Load() != int64(n+1) {
				t.Errorf("incarnation %d has %d items after %d migrations, %v", n+1, items, migrations.Load(), err)
			}
			if err := tree.Sup.Restart(t.Context(), tree.Path); err != nil {
				t.Fatal(err)
			}
		}
		tree.Stop()
	})
}

func TestAMigrationTellsNoPassword(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		cfg := s.config(s.dsn(s.Addr, "app", s.owned))
		cfg.Migrate = func(context.Context, *sqlx.DB) error { return errors.New("cannot migrate " + cfg.DSN) }
		tree := servicetest.Start(t, New(cfg).Spec("db"), servers.Password)
		if e := tree.Await(supervisor.EventStartFailed); !strings.Contains(e.Err.Error(), "migrate: cannot migrate ") || !strings.Contains(e.Err.Error(), "app:xxxxx@") {
			t.Errorf("failed to start with %v", e.Err)
		}
		tree.Stop()
	})
}

// wantOutage wants each of these events to be of an outage, and to say why.
func wantOutage(t *testing.T, tree *servicetest.Tree, why string, kinds ...supervisor.EventKind) {
	t.Helper()
	for _, kind := range kinds {
		if e := tree.Await(kind); !errors.Is(e.Err, supervisor.ErrUnavailable) || !strings.Contains(e.Err.Error(), why) {
			t.Errorf("%s with %v, want an outage that says %s", kind, e.Err, why)
		}
	}
}
