package sqldb

import (
	sqldriver "database/sql/driver"
	"errors"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/services/internal/servers"
	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

func TestMariaDBBadStartsTellNoPassword(t *testing.T) {
	s := startMariaDB(t)
	at := "@tcp(" + s.Addr + ")"
	servicetest.Run(t, servicetest.Subject{
		New: func(*testing.T) (supervisor.Spec, servicetest.Harm) {
			return s.db(s.Addr).Spec("db"), servicetest.Harm{}
		},
		Secrets: []string{servers.Password, hunter2},
		BadStarts: func(*testing.T) (specs []supervisor.Spec) {
			for _, dsn := range []string{
				"app:wrong-" + hunter2 + at + "/app",
				"nobody:" + hunter2 + at + "/app",
				hunter2 + ":" + hunter2 + at + "/app",
				"app:" + servers.Password + at + "/nosuch",
				"app:" + servers.Password + at + "/" + servers.Password,
				"app:" + servers.Password + at + "/app?tls=true",
				"app:" + servers.Password + at + "/app?nosuch=1",
				"app:" + hunter2 + "@tcp(127.0.0.1:1)/app",
				"app:" + hunter2 + "@tcp(no.such.host.invalid)/app",
				"app:" + hunter2 + "@unix(/no/such/socket)/app",
				// What follows are faults.
				"app:" + servers.Password + at + "/app?tls=" + hunter2,
				"app:" + servers.Password + at + "/app?timeout=" + hunter2,
				"app:" + servers.Password + at + "/app?Password='" + hunter2 + "'",
				"app:" + servers.Password + at + "/%zz" + hunter2,
				"mysql://app:" + hunter2 + "@127.0.0.1:3306/app",
				"app:" + hunter2 + "@127.0.0.1:3306/app",
				"app:" + hunter2 + "tcp(127.0.0.1:3306)/app",
				"app:" + hunter2 + "@tcp(127.0.0.1:3306",
				"postgres://app:" + hunter2 + "@127.0.0.1/app",
				hunter2,
			} {
				specs = append(specs, New(s.config(dsn)).Spec("db"))
			}
			return specs
		},
	})
}

// A server does not say that it has become read-only: the refusal of a write
// does, and then the write is tried again on another connection.
func TestReadOnlyMariaDBConnectionsAreEvicted(t *testing.T) {
	s := startMariaDB(t)
	for _, writable := range []bool{true, false} {
		pool, stop := s.pool(t, writable)
		pool.MustExec("CREATE TABLE IF NOT EXISTS item (name TEXT)")
		pool.MustExec("SET SESSION tx_read_only = 1")
		_, err := pool.Exec("INSERT INTO item VALUES ('hazel')")
		if got := err == nil; got != writable {
			t.Errorf("writable: %v, and writing on a connection that became read-only ended with %v", writable, err)
		}
		if refused, is := errors.AsType[*mysql.MySQLError](err); !writable && (!is || refused.Number != 1792) {
			t.Errorf("the server's refusal came as %v", err)
		}
		stop()
	}
}

// 1290 is what a server that is read-only refuses with. In a transaction nothing
// is tried again: who began it is told.
func TestWhatAReadOnlyMariaDBServerRefusesEndsTheConnection(t *testing.T) {
	s := startMariaDB(t)
	pool, stop := s.pool(t, true)
	pool.MustExec("CREATE TABLE item (name TEXT)")
	var before, after int
	if err := pool.Get(&before, "SELECT CONNECTION_ID()"); err != nil {
		t.Fatal(err)
	}
	tx := pool.MustBegin()
	s.do(t, s.readOnly...)
	if _, err := tx.Exec("INSERT INTO item VALUES ('hazel')"); !errors.Is(err, sqldriver.ErrBadConn) {
		t.Errorf("writing ended with %v", err)
	}
	if err := tx.Commit(); err == nil {
		t.Error("a transaction whose connection was ended was committed")
	}
	s.do(t, s.readWrite...)
	if _, err := pool.Exec("INSERT INTO item VALUES ('ash')"); err != nil {
		t.Errorf("writing to a server that is writable again ended with %v", err)
	}
	if err := pool.Get(&after, "SELECT CONNECTION_ID()"); err != nil || after == before {
		t.Errorf("connection %d after the refusal, %d before, %v", after, before, err)
	}
	stop()
}

// pool returns a pool of one connection, which no probe replaces.
func (s server) pool(t *testing.T, writable bool) (pool *sqlx.DB, stop func()) {
	t.Helper()
	cfg := s.config(s.dsn(s.Addr, "app", s.owned))
	cfg.Writable, cfg.MaxOpen, cfg.ProbeInterval = writable, 1, time.Hour
	db := New(cfg)
	tree := servicetest.Start(t, db.Spec("db"), servers.Password)
	tree.Await(supervisor.EventReady)
	return mustPeek(t, db), tree.Stop
}
