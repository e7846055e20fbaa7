package sqldb

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/services/internal/servers"
	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

func TestPostgreSQLBadStartsTellNoPassword(t *testing.T) {
	s := startPostgreSQL(t)
	servicetest.Run(t, servicetest.Subject{
		New: func(*testing.T) (supervisor.Spec, servicetest.Harm) {
			return s.db(s.Addr).Spec("db"), servicetest.Harm{}
		},
		Secrets: []string{servers.Password, hunter2},
		BadStarts: func(*testing.T) (specs []supervisor.Spec) {
			for _, dsn := range badPostgreSQL(s.dsn(s.Addr, "app", s.owned)) {
				specs = append(specs, New(s.config(dsn)).Spec("db"))
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

// A pool heals by itself of connections that became read-only, at the cost of
// one statement each.
func TestReadOnlyPostgreSQLConnectionsAreEvicted(t *testing.T) {
	s := startPostgreSQL(t)
	for _, writable := range []bool{true, false} {
		cfg := s.config(s.dsn(s.Addr, "app", s.owned))
		cfg.Writable, cfg.MaxOpen = writable, 1
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

// SQLSTATE 25006 is what a server that is read-only refuses with: each connection
// that there is learns it by one statement, and is not used again.
func TestWhatAReadOnlyPostgreSQLServerRefusesEndsTheConnection(t *testing.T) {
	s := startPostgreSQL(t)
	pool, stop := s.pool(t, true)
	pool.MustExec("CREATE TABLE item (name TEXT)")
	var before, after int
	if err := pool.Get(&before, "SELECT pg_backend_pid()"); err != nil {
		t.Fatal(err)
	}
	s.do(t, s.readOnly...)
	if code := refusal(pool, func(err error) bool { return err != nil }); code != "25006" {
		t.Errorf("the server's refusal came with the code %q", code)
	}
	if _, err := pool.Exec("INSERT INTO item VALUES ('ash')"); err == nil || !strings.Contains(err.Error(), s.sayReadOnly) {
		t.Errorf("the next connection, to a server that is read-only, ended with %v", err)
	}
	s.do(t, s.readWrite...)
	if code := refusal(pool, func(err error) bool { return err == nil }); code != "" {
		t.Errorf("writing to a server that is writable again ended with the code %q", code)
	}
	if err := pool.Get(&after, "SELECT pg_backend_pid()"); err != nil || after == before {
		t.Errorf("backend %d after the refusal, %d before, %v", after, before, err)
	}
	stop()
}

// refusal writes until that ends as it should, for a server reads its new
// configuration in its own time, and returns the code of the server's error.
func refusal(pool *sqlx.DB, ends func(error) bool) (code string) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		_, err := pool.Exec("INSERT INTO item VALUES ('hazel')")
		if refused, is := errors.AsType[*pgconn.PgError](err); is {
			code = refused.Code
		} else {
			code = ""
		}
		if ends(err) {
			return code
		}
	}
	return "none within 10 s"
}
