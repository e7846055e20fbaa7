package mysql

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/coppice-go/coppice/services/internal/servers"
)

// The driver looks whether the server has closed a connection before it uses it
// again: then another is taken, and nobody sees an error.
func TestAConnectionThatTheServerClosedIsNotUsed(t *testing.T) {
	real := servers.StartMariaDB(t)
	pool := open(t, real.DSN())
	admin := open(t, real.AdminDSN())
	for range 5 {
		kill(t, admin)
		if _, err := pool.Exec("DO 0"); err != nil {
			t.Errorf("a statement met a connection that was closed: %v", err)
		}
	}
}

// Whoever may write to a replica all the same must not, if he wants a primary.
func TestAnAdminsConnectionIsReadOnlyWithTheServer(t *testing.T) {
	real := servers.StartMariaDB(t)
	admin := open(t, real.AdminDSN())
	s, _, err := Parse(real.AdminDSN(), time.Second, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Checker(t.Context(), admin); err != nil {
		t.Errorf("a server that is writable is not: %v", err)
	}
	if _, err := admin.Exec("SET GLOBAL read_only = 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Checker(t.Context(), admin); err == nil || !strings.Contains(err.Error(), "read only") {
		t.Errorf("a server that is read only is well: %v", err)
	}
}

// A name may have every character.
func TestADatabaseIsEnteredByWhateverName(t *testing.T) {
	real := servers.StartMariaDB(t)
	admin := open(t, real.AdminDSN())
	if _, err := admin.Exec("CREATE DATABASE `a``b c`"); err != nil {
		t.Fatal(err)
	}
	s, _, err := Parse(real.AdminDSN()+"a`b%20c", time.Second, false)
	if err != nil {
		t.Fatal(err)
	}
	pool := s.OpenProbed(t.Context())
	defer pool.Close()
	if _, err := s.Checker(t.Context(), pool); err != nil {
		t.Error(err)
	}
}

// kill ends the connections of app, and returns when they are closed.
func kill(t *testing.T, admin *sql.DB) {
	t.Helper()
	if _, err := admin.Exec("KILL USER app"); err != nil {
		t.Fatal(err)
	}
	for left := -1; left != 0; {
		if err := admin.QueryRow("SELECT count(*) FROM information_schema.processlist WHERE user = 'app'").Scan(&left); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	s, _, err := Parse(dsn, 5*time.Second, false)
	if err != nil {
		t.Fatal(err)
	}
	pool := s.Open(t.Context())
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() { pool.Close() })
	if err := pool.Ping(); err != nil {
		t.Fatal(err)
	}
	return pool
}
