package sqldb

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
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

func TestPostgreSQLConformanceWhenCutOff(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	for name, cut := range networks {
		t.Run(name, func(t *testing.T) {
			servicetest.Run(t, servicetest.Subject{
				New: func(t *testing.T) (supervisor.Spec, func()) {
					proxy := faultproxy.Listen(t, server.Addr)
					return postgresDB(dsnAt(proxy.Addr)).Spec("db"), func() { cut(proxy) }
				},
				Secrets: []string{servers.Password},
			})
		})
	}
}

func TestPostgreSQLHealsWhenItIsReachedAgain(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	for name, cut := range networks {
		t.Run(name, func(t *testing.T) {
			proxy := faultproxy.Listen(t, server.Addr)
			db := postgresDB(dsnAt(proxy.Addr))
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
			for range 3 {
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
}

// What was begun in a pool that is replaced is not done, and who began it is
// told.
func TestATransactionInFlightEndsWithAnErrorAndIsNotCommitted(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	proxy := faultproxy.Listen(t, server.Addr)
	db := postgresDB(dsnAt(proxy.Addr))
	tree := servicetest.Start(t, db.Spec("db"), servers.Password)
	tree.Await(supervisor.EventReady)
	mustPeek(t, db).MustExec("CREATE TABLE item (name TEXT)")
	tx := mustPeek(t, db).MustBegin()
	tx.MustExec("INSERT INTO item VALUES ('hazel')")
	proxy.Stall()
	committed := make(chan error)
	go func() { committed <- tx.Commit() }()
	tree.Await(supervisor.EventExited)
	if err := <-committed; err == nil {
		t.Error("a commit that did not reach the server succeeded")
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
}

// After a failover the old primary answers, and refuses to write (SQLSTATE
// 25006). Asked for, that is an outage.
func TestAReadOnlyPostgreSQLServerIsNoneForWhoWantsToWrite(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	admin := connect(t, server.DSN())
	db := New(quick(Config{Driver: "postgres", DSN: server.DSN(), Writable: true}))
	tree := servicetest.Start(t, db.Spec("db"), servers.Password)
	tree.Await(supervisor.EventReady)
	admin.MustExec("ALTER SYSTEM SET default_transaction_read_only = on")
	admin.MustExec("SELECT pg_reload_conf()")
	for _, kind := range []supervisor.EventKind{supervisor.EventImpaired, supervisor.EventExited, supervisor.EventStartFailed} {
		if e := tree.Await(kind); !errors.Is(e.Err, supervisor.ErrUnavailable) || !strings.Contains(e.Err.Error(), "read only") {
			t.Errorf("%s with %v, want an outage that says why", kind, e.Err)
		}
	}
	admin.MustExec("SET default_transaction_read_only = off")
	admin.MustExec("ALTER SYSTEM RESET default_transaction_read_only")
	admin.MustExec("SELECT pg_reload_conf()")
	tree.Await(supervisor.EventReady)
	mustPeek(t, db).MustExec("CREATE TABLE item (name TEXT)")
	tree.Stop()
}

func TestAReadOnlyPostgreSQLServerIsWellForWhoOnlyReads(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	admin := connect(t, server.DSN())
	admin.MustExec("ALTER SYSTEM SET default_transaction_read_only = on")
	admin.MustExec("SELECT pg_reload_conf()")
	tree := servicetest.Start(t, postgresDB(server.DSN()).Spec("db"), servers.Password)
	tree.Await(supervisor.EventReady)
	tree.AwaitProbe()
	tree.Stop()
	if tree.Seen(supervisor.EventImpaired) {
		t.Error("a server that is read-only impairs who only reads")
	}
}

// A pool heals by itself of connections that became read-only, at the cost of
// one statement each.
func TestReadOnlyConnectionsAreEvicted(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	for _, writable := range []bool{true, false} {
		cfg := quick(Config{Driver: "postgres", DSN: server.DSN(), Writable: writable, MaxOpen: 1})
		db := New(cfg)
		tree := servicetest.Start(t, db.Spec("db"), servers.Password)
		tree.Await(supervisor.EventReady)
		pool := mustPeek(t, db)
		pool.MustExec("CREATE TABLE IF NOT EXISTS item (name TEXT)")
		pool.MustExec("SET default_transaction_read_only = on")
		_, err := pool.Exec("INSERT INTO item VALUES ('hazel')")
		if got := err == nil; got != writable {
			t.Errorf("writable: %v, and writing on a connection that became read-only ended with %v", writable, err)
		}
		if refused, is := errors.AsType[*pgconn.PgError](err); !writable && (!is || refused.Code != "25006") {
			t.Errorf("the server's refusal came as %v", err)
		}
		tree.Stop()
	}
}

// Too many clients (SQLSTATE 53300) is weather: it is retried for ever, and
// those who are connected stay so.
func TestTooManyClientsAreWeather(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	admin := connect(t, server.DSN())
	admin.MustExec("CREATE ROLE shop LOGIN CONNECTION LIMIT 3")
	admin.MustExec(fmt.Sprintf("ALTER ROLE shop PASSWORD '%s'", hunter2))
	dsn := fmt.Sprintf("postgres://shop:%s@%s/postgres?sslmode=disable", hunter2, server.Addr)
	greedy := connect(t, dsn)
	db := postgresDB(dsn)
	tree := servicetest.Start(t, db.Spec("db"), hunter2)
	tree.Await(supervisor.EventReady)
	pool := mustPeek(t, db)
	pool.MustExec("SELECT 1") // its second connection; the third is greedy's
	if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "53300") || !strings.Contains(e.Err.Error(), "new connections fail") {
		t.Errorf("impaired because %v", e.Err)
	}
	late := servicetest.Start(t, postgresDB(dsn).Spec("late"), hunter2)
	for range 3 {
		if e := late.Await(supervisor.EventStartFailed); !errors.Is(e.Err, supervisor.ErrUnavailable) || !strings.Contains(e.Err.Error(), "53300") {
			t.Errorf("failed to start with %v, want ErrUnavailable", e.Err)
		}
	}
	greedy.Close()
	late.Await(supervisor.EventReady)
	late.Stop()
	tree.Await(supervisor.EventRecovered)
	if _, err := pool.Exec("SELECT 1"); err != nil || mustPeek(t, db) != pool {
		t.Errorf("the pool was replaced, or does not work (%v)", err)
	}
	tree.Stop()
}

// The connections that there are go on; new ones fail, and that is seen before
// the old ones are gone.
func TestAChangedPasswordImpairsAndThenIsAnOutage(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	db := postgresDB(server.DSN())
	tree := servicetest.Start(t, db.Spec("db"), servers.Password, hunter2)
	tree.Await(supervisor.EventReady)
	pool := mustPeek(t, db)
	pool.MustExec("ALTER ROLE app PASSWORD '" + hunter2 + "2'")
	if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "28P01") {
		t.Errorf("impaired because %v", e.Err)
	}
	if _, err := pool.Exec("SELECT 1"); err != nil {
		t.Errorf("the connections of before do not work: %v", err)
	}
	admin := connect(t, strings.Replace(server.DSN(), servers.Password, hunter2+"2", 1))
	admin.MustExec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
	for _, kind := range []supervisor.EventKind{supervisor.EventExited, supervisor.EventStartFailed} {
		if e := tree.Await(kind); !errors.Is(e.Err, supervisor.ErrUnavailable) || !strings.Contains(e.Err.Error(), "28P01") {
			t.Errorf("%s with %v, want an outage", kind, e.Err)
		}
	}
	admin.MustExec("ALTER ROLE app PASSWORD '" + servers.Password + "'")
	admin.Close()
	tree.Await(supervisor.EventReady)
	tree.Stop()
}

func TestADroppedDatabaseIsAnOutageUntilItIsThereAgain(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	admin := connect(t, server.DSN())
	admin.MustExec("CREATE DATABASE shop")
	tree := servicetest.Start(t, postgresDB(strings.Replace(server.DSN(), "/postgres?", "/shop?", 1)).Spec("db"), servers.Password)
	tree.Await(supervisor.EventReady)
	admin.MustExec("DROP DATABASE shop WITH (FORCE)")
	for _, kind := range []supervisor.EventKind{supervisor.EventExited, supervisor.EventStartFailed} {
		if e := tree.Await(kind); !errors.Is(e.Err, supervisor.ErrUnavailable) || !strings.Contains(e.Err.Error(), "3D000") {
			t.Errorf("%s with %v, want an outage", kind, e.Err)
		}
	}
	admin.MustExec("CREATE DATABASE shop")
	tree.Await(supervisor.EventReady)
	tree.Stop()
}

// Slow queries in all connections of the pool are no failure, and the probe
// does not queue behind them.
func TestAPoolOfSlowQueriesIsBusyNotBroken(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	db := postgresDB(server.DSN())
	db.cfg.MaxOpen, db.cfg.MaxIdle = 2, 2
	tree := servicetest.Start(t, db.Spec("db"), servers.Password)
	tree.Await(supervisor.EventReady)
	pool, done := mustPeek(t, db), make(chan error)
	for range 6 {
		go func() {
			_, err := pool.ExecContext(t.Context(), "SELECT pg_sleep(1)")
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
}

func TestAMigrationTellsNoPassword(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	db := New(quick(Config{Driver: "postgres", DSN: server.DSN(), Migrate: func(context.Context, *sqlx.DB) error {
		return errors.New("cannot migrate " + server.DSN())
	}}))
	tree := servicetest.Start(t, db.Spec("db"), servers.Password)
	if e := tree.Await(supervisor.EventStartFailed); !strings.Contains(e.Err.Error(), "migrate: cannot migrate postgres://app:xxxxx@") {
		t.Errorf("failed to start with %v", e.Err)
	}
	tree.Stop()
}

// connect opens a database that is none of the tree's.
func connect(t *testing.T, dsn string) *sqlx.DB {
	t.Helper()
	db, err := sqlx.Connect("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func dsnAt(addr string) string {
	return fmt.Sprintf("postgres://app:%s@%s/postgres?sslmode=disable", servers.Password, addr)
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
