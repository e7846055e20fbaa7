package sqldb

import (
	"context"
	"errors"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coppice-go/coppice/services/internal/servers"
	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

func postgresDB(dsn string) *DB { return New(quick(Config{Driver: "postgres", DSN: dsn})) }

func TestPostgreSQLConformance(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	for name, harm := range map[string]struct{ do, undo func() }{
		"killed": {server.Kill, server.Start},
		"frozen": {server.Freeze, server.Thaw},
	} {
		t.Run(name, func(t *testing.T) {
			servicetest.Run(t, servicetest.Subject{
				New: func(t *testing.T) (supervisor.Spec, func()) {
					return postgresDB(server.DSN()).Spec("db"), func() {
						t.Cleanup(harm.undo)
						harm.do()
					}
				},
				Secrets: []string{servers.Password},
			})
		})
	}
}

func TestPostgreSQLBadStartsTellNoPassword(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	servicetest.Run(t, servicetest.Subject{
		New:     func(*testing.T) (supervisor.Spec, func()) { return postgresDB(server.DSN()).Spec("db"), nil },
		Secrets: []string{servers.Password, hunter2},
		BadStarts: func(*testing.T) (specs []supervisor.Spec) {
			for _, dsn := range badPostgreSQL(server.DSN()) {
				specs = append(specs, postgresDB(dsn).Spec("db"))
			}
			return specs
		},
	})
}

func badPostgreSQL(good string) []string {
	u, err := url.Parse(good)
	if err != nil {
		panic(err)
	}
	at := u.Host
	return []string{
		"postgres://app:wrong-" + hunter2 + "@" + at + "/postgres?sslmode=disable",
		"postgres://nobody:" + hunter2 + "@" + at + "/postgres?sslmode=disable",
		"postgres://app:" + servers.Password + "@" + at + "/nosuch?sslmode=disable",
		"postgres://app:" + servers.Password + "@" + at + "/postgres?sslmode=require",
		"postgres://app:" + servers.Password + "@" + at + "/postgres?sslmode=disable&nosuch=1",
		"postgres://app:" + hunter2 + "@127.0.0.1:1/postgres",
		"postgres://app:" + hunter2 + "@no.such.host.invalid/postgres",
		"postgres://" + hunter2 + ":" + hunter2 + "@127.0.0.1:1/" + hunter2,
		"host=127.0.0.1 port=1 user=app password=" + hunter2,
		// What follows cannot be parsed.
		"postgres://app:" + hunter2 + "@127.0.0.1:port/postgres",
		"postgres://app:" + hunter2 + "%zz@127.0.0.1/postgres",
		"postgres://app:pass word" + hunter2 + "@127.0.0.1/postgres",
		"postgres://app@127.0.0.1/postgres?password=" + hunter2 + "&sslmode=nosuch",
		"host=127.0.0.1 password='" + hunter2,
		"host=127.0.0.1 Password = \"" + hunter2 + " pw\" sslmode=nosuch",
		hunter2,
		"postgresql:/app:" + hunter2,
	}
}

func TestPostgreSQLHealsWhenTheServerIsBack(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	db := postgresDB(server.DSN())
	tree := servicetest.Start(t, db.Spec("db"), servers.Password)
	tree.Await(supervisor.EventReady)
	mustPeek(t, db).MustExec("CREATE TABLE item (name TEXT)")

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
	pool := mustPeek(t, db)
	if _, err := pool.NamedExec("INSERT INTO item VALUES (:name)", map[string]any{"name": "hazel"}); err != nil {
		t.Errorf("the healed pool does not work: %v", err)
	}
	if err := pool.Get(new(string), pool.Rebind("SELECT name FROM item WHERE name = ?"), "hazel"); err != nil {
		t.Errorf("the healed pool does not work: %v", err)
	}
	tree.Stop()
}

// A server that hangs for less than FailuresToRestart probes.
func TestAPostgreSQLServerThatHesitatesImpairs(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	db := postgresDB(server.DSN())
	db.cfg.FailuresToRestart = 1000
	tree := servicetest.Start(t, db.Spec("db"), servers.Password)
	tree.Await(supervisor.EventReady)
	server.Freeze()
	if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "no answer within 1s") {
		t.Errorf("impaired because %v", e.Err)
	}
	server.Thaw()
	tree.Await(supervisor.EventRecovered)
	tree.Stop()
}

// Nobody who waits for a server that does not answer waits longer than the
// incarnation lives, with or without a deadline of his own.
func TestAFrozenPostgreSQLServerHoldsUpNobody(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	db := postgresDB(server.DSN())
	tree := servicetest.Start(t, db.Spec("db"), servers.Password)
	tree.Await(supervisor.EventReady)
	pool := mustPeek(t, db)
	if err := pool.Ping(); err != nil {
		t.Fatal(err)
	}
	server.Freeze()
	waiting := make(chan error)
	go func() {
		_, err := pool.Exec("SELECT 1")
		waiting <- err
	}()
	tree.Await(supervisor.EventExited)
	if err := <-waiting; err == nil {
		t.Error("a frozen server answered")
	}
	tree.Stop()
	server.Thaw()
}

func TestRestartsAtAFrozenPostgreSQLServerPileUpNoGoroutines(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	tree := servicetest.Start(t, postgresDB(server.DSN()).Spec("db"), servers.Password)
	tree.Await(supervisor.EventReady)
	tree.AwaitProbe()
	before := runtime.NumGoroutine()
	for range 2 {
		server.Freeze()
		tree.Await(supervisor.EventExited)
		tree.Await(supervisor.EventStartFailed)
		tree.Await(supervisor.EventStartFailed)
		server.Thaw()
		tree.Await(supervisor.EventReady)
	}
	deadline := time.Now().Add(time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines after two outages, %d before", after, before)
	}
	tree.Stop()
}

func TestAnExhaustedPostgreSQLPoolIsNoFailure(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	db := postgresDB(server.DSN())
	db.cfg.MaxOpen, db.cfg.MaxIdle = 1, 1
	exhaust(t, db)
}

// The probe's connection can be lost without the server being down: an
// administrator, or a proxy, ended it. The first use of the next one tells.
func TestALostConnectionIsNoFailure(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	db := postgresDB(server.DSN())
	tree := servicetest.Start(t, db.Spec("db"), servers.Password)
	tree.Await(supervisor.EventReady)
	pool := mustPeek(t, db)
	const others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
	for range 5 {
		var ended int
		if err := pool.Get(&ended, others); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*db.cfg.ProbeInterval)
		<-ctx.Done()
		cancel()
	}
	tree.Stop()
	if tree.Seen(supervisor.EventExited) {
		t.Error("it was restarted")
	}
}
