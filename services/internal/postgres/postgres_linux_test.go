package postgres

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/coppice-go/coppice/services/internal/probed"
	"github.com/coppice-go/coppice/services/internal/servers"
)

func serve(t *testing.T, writable bool) (Server, servers.PostgreSQL) {
	t.Helper()
	real := servers.StartPostgreSQL(t)
	s, _, err := Parse(real.DSN(), 5*time.Second, writable)
	if err != nil {
		t.Fatal(err)
	}
	return s, real
}

// What the server says by itself costs nothing to heed; where it may not come
// through, the probe asks.
func TestAConnectionThatBecameReadOnlyIsReplacedBeforeItsNextUse(t *testing.T) {
	for _, writable := range []bool{true, false} {
		s, _ := serve(t, writable)
		for name, pool := range map[string]*sql.DB{"Open": s.Open(t.Context()), "OpenProbed": s.OpenProbed(t.Context())} {
			pool.SetMaxOpenConns(1)
			before := backend(t, pool)
			if _, err := pool.Exec("SET default_transaction_read_only = on"); err != nil {
				t.Fatal(err)
			}
			if after := backend(t, pool); (after == before) == writable {
				t.Errorf("%s, writable %v: backend %d, and then %d", name, writable, before, after)
			}
			pool.Close()
		}
	}
}

// What a server refuses tells, too: older ones say nothing by themselves, and
// poolers do not pass it on.
func TestAConnectionOnWhichAWriteWasRefusedIsReplaced(t *testing.T) {
	for _, writable := range []bool{true, false} {
		s, _ := serve(t, writable)
		pool := s.Open(t.Context())
		pool.SetMaxOpenConns(1)
		before := backend(t, pool)
		tx, err := pool.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = tx.Exec("CREATE TABLE item (name TEXT)")
		if refused, is := errors.AsType[*pgconn.PgError](err); !is || refused.Code != "25006" {
			t.Errorf("the server's refusal came as %v", err)
		}
		_ = tx.Rollback() // fails if the connection has ended
		after := backend(t, pool)
		if (after == before) == writable {
			t.Errorf("writable %v: backend %d, and then %d", writable, before, after)
		}
		if _, err := pool.Exec("SELECT 1/0"); err == nil || backend(t, pool) != after {
			t.Errorf("a division by zero ended with %v, and its connection, too", err)
		}
		pool.Close()
	}
}

func TestAServerThatTakesNoNewConnectionsIsMild(t *testing.T) {
	s, _ := serve(t, false)
	pool := s.OpenProbed(t.Context())
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	check, err := s.Checker(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec("ALTER ROLE app PASSWORD '" + hunter2 + "2'"); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err = check(t.Context()); err != nil {
			break
		}
	}
	if !probed.IsMild(err) || !strings.Contains(err.Error(), "new connections fail") || !strings.Contains(err.Error(), "28P01") {
		t.Errorf("the check says %v", err)
	}
}

func TestAServerThatIsGoneIsNotMild(t *testing.T) {
	s, real := serve(t, false)
	pool := s.OpenProbed(t.Context())
	defer pool.Close()
	check, err := s.Checker(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	real.Kill()
	if err := check(t.Context()); err == nil || probed.IsMild(err) {
		t.Errorf("the check says %v", err)
	}
}

// S28: connections in use are closed, too.
func TestConnectionsInUseEndWithTheLife(t *testing.T) {
	s, _ := serve(t, false)
	life, end := context.WithCancel(t.Context())
	pool := s.Open(life)
	defer pool.Close()
	backend(t, pool)
	ended := make(chan error)
	go func() {
		_, err := pool.Exec("SELECT pg_sleep(60)")
		ended <- err
	}()
	for pool.Stats().InUse == 0 {
		time.Sleep(time.Millisecond)
	}
	end()
	if err := <-ended; err == nil {
		t.Error("a query outlived the life")
	}
}

// backend returns the process that serves the pool's only connection.
func backend(t *testing.T, pool *sql.DB) (pid int) {
	t.Helper()
	if err := pool.QueryRow("SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}
