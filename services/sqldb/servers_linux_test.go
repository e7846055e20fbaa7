package sqldb

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/services/internal/servers"
)

// A server is a real one, and what the tests must know of its kind to harm it:
// statements for its admin, and what it says then.
type server struct {
	*servers.Server
	driver string
	dsn    func(addr, user, database string) string
	owned  string   // the database of the user app
	admin  *sqlx.DB // one connection, which is none of the tree's

	sleep               string   // takes a second
	readOnly, readWrite []string // from now on, for app
	shop                []string // makes a database in which app may do everything
	dropShop            string   // whoever uses it
	few                 []string // makes the user or the server take few clients…
	fewUser             string   // …that log in as this one
	setPassword         string   // of app, to %s
	endOthers           string   // ends all connections but the admin's

	sayReadOnly, sayTooMany, sayPassword, sayNoDatabase string
}

// eachServer runs f as a subtest with a new server of each kind.
func eachServer(t *testing.T, f func(t *testing.T, s server)) {
	for name, start := range map[string]func(*testing.T) server{"PostgreSQL": startPostgreSQL, "MariaDB": startMariaDB} {
		t.Run(name, func(t *testing.T) { f(t, start(t)) })
	}
}

func startPostgreSQL(t *testing.T) server {
	s := servers.StartPostgreSQL(t)
	dsn := func(addr, user, database string) string {
		return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", user, servers.Password, addr, database)
	}
	return server{
		Server: s.Server, driver: "postgres", dsn: dsn, owned: "postgres", admin: connect(t, "pgx", s.DSN()),
		sleep:    "SELECT pg_sleep(1)",
		readOnly: []string{"ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"},
		readWrite: []string{
			"SET default_transaction_read_only = off", "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()",
		},
		shop:        []string{"CREATE DATABASE shop"},
		dropShop:    "DROP DATABASE shop WITH (FORCE)",
		few:         []string{"CREATE ROLE buyer LOGIN CONNECTION LIMIT 5 PASSWORD '" + servers.Password + "'"},
		fewUser:     "buyer",
		setPassword: "ALTER ROLE app PASSWORD '%s'",
		endOthers:   "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
		sayReadOnly: "read only", sayTooMany: "53300", sayPassword: "28P01", sayNoDatabase: "3D000",
	}
}

func startMariaDB(t *testing.T) server {
	s := servers.StartMariaDB(t)
	dsn := func(addr, user, database string) string {
		return fmt.Sprintf("%s:%s@tcp(%s)/%s", user, servers.Password, addr, database)
	}
	return server{
		Server: s.Server, driver: "mysql", dsn: dsn, owned: "app", admin: connect(t, "mysql", s.AdminDSN()),
		sleep:       "SELECT SLEEP(1)",
		readOnly:    []string{"SET GLOBAL read_only = ON"},
		readWrite:   []string{"SET GLOBAL read_only = OFF"},
		shop:        []string{"CREATE DATABASE shop", "GRANT ALL ON shop.* TO app@'%'"},
		dropShop:    "DROP DATABASE shop",
		few:         []string{"SET GLOBAL max_connections = 10"}, // fewer it does not allow
		fewUser:     "app",
		setPassword: "ALTER USER app@'%%' IDENTIFIED BY '%s'",
		endOthers:   "KILL USER app",
		sayReadOnly: "read only", sayTooMany: "1040", sayPassword: "1045", sayNoDatabase: "1049",
	}
}

// db returns a DB of the server at addr, which may be a proxy's.
func (s server) db(addr string) *DB { return New(s.config(s.dsn(addr, "app", s.owned))) }

func (s server) config(dsn string) Config { return quick(Config{Driver: s.driver, DSN: dsn}) }

// do has the admin do it.
func (s server) do(t *testing.T, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := s.admin.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// connect opens a database that is none of the tree's, on one connection.
func connect(t *testing.T, driver, dsn string) *sqlx.DB {
	t.Helper()
	db, err := sqlx.Connect(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
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
