package sqldb

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"modernc.org/sqlite"
)

// sqliteDB opens a SQLite database in this process.
type sqliteDB struct {
	pool, probed sqldriver.Connector
	memory       bool
}

// newSQLite does not repeat a DSN that it cannot use: it may be meant for
// another driver, and hold a password.
func newSQLite(cfg Config) (driver, error) {
	name, query, _ := strings.Cut(cfg.DSN, "?")
	if strings.Contains(name, "://") && !strings.HasPrefix(name, "file://") {
		return nil, errors.New(`sqldb: Config.DSN is a URL of another database; set Config.Driver to "postgres", or give a file name`)
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("sqldb: Config.DSN has parameters that cannot be parsed; write name=value&… after '?', with %XX for special characters")
	}
	setDefaults(params)
	pool, err := sqlite.NewConnector(name + "?" + params.Encode())
	if err != nil {
		return nil, errors.New("sqldb: Config.DSN has conflicting vfs parameters; give one")
	}
	setBusyTimeout(params, cfg.ProbeTimeout/2)
	probed, _ := sqlite.NewConnector(name + "?" + params.Encode()) // as good as the other
	memory := strings.TrimPrefix(name, "file:") == ":memory:" || params.Get("mode") == "memory"
	return sqliteDB{pool, probed, memory}, nil
}

// setDefaults adds what a service wants of SQLite, unless params say
// otherwise: readers that do not block the writer, writers that wait for each
// other, foreign keys that hold, and errors that do not say "out of memory"
// when a file is missing.
func setDefaults(params url.Values) {
	readOnly := params.Get("mode") == "ro" || params.Has("immutable")
	if !readOnly && !hasPragma(params, "journal_mode", "_journal") {
		params.Set("_journal_mode", "WAL")
	}
	if !hasPragma(params, "busy_timeout", "_timeout") {
		params.Set("_busy_timeout", "5000")
	}
	if !hasPragma(params, "foreign_keys", "_fk") {
		params.Set("_foreign_keys", "on")
	}
	if !params.Has("_error_rc") {
		params.Set("_error_rc", "1")
	}
}

// setBusyTimeout overrides the busy timeout. SQLite waits it out even when
// nobody waits for the answer any more.
func setBusyTimeout(params url.Values, d time.Duration) {
	params.Del("_timeout")
	params.Set("_busy_timeout", strconv.FormatInt(d.Milliseconds(), 10))
	params["_pragma"] = slices.DeleteFunc(params["_pragma"], func(p string) bool { return isPragma(p, "busy_timeout") })
}

// hasPragma reports whether params set a pragma, in any of the driver's ways.
func hasPragma(params url.Values, name, alias string) bool {
	return params.Has("_"+name) || params.Has(alias) ||
		slices.ContainsFunc(params["_pragma"], func(p string) bool { return isPragma(p, name) })
}

func isPragma(p, name string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(p)), name)
}

// open keeps a database in memory on one connection: a second one would have
// another, and it ends with its last.
func (s sqliteDB) open(_ context.Context, cfg Config) *sqlx.DB {
	if s.memory {
		cfg = cfg.single()
	}
	return cfg.limit(sqlx.NewDb(sql.OpenDB(s.pool), "sqlite"))
}

func (s sqliteDB) openProbed(_ context.Context, cfg Config) *sqlx.DB {
	return cfg.single().limit(sqlx.NewDb(sql.OpenDB(s.probed), "sqlite"))
}

// checker's check reads the file's header, which a plain SELECT 1 would not,
// and wants it to be the file that was opened: one that was deleted or
// replaced can still be written to, and all of that is lost.
func (s sqliteDB) checker(ctx context.Context, db *sqlx.DB) (func(context.Context) error, error) {
	var path string
	if err := db.GetContext(ctx, &path, "SELECT file FROM pragma_database_list WHERE name = 'main'"); err != nil {
		return nil, err
	}
	opened, noFile := os.Stat(path) // in memory, or in a VFS of its own
	check := func(ctx context.Context) error {
		var version int
		if err := db.GetContext(ctx, &version, "PRAGMA schema_version"); err != nil {
			return err
		}
		if now, err := os.Stat(path); noFile == nil && (err != nil || !os.SameFile(opened, now)) {
			return errors.New("the database file was deleted or replaced")
		}
		return nil
	}
	return check, check(ctx)
}

func (sqliteDB) password() string { return "" }
