package sqldb

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"os"

	"github.com/jmoiron/sqlx"
	"modernc.org/sqlite"

	"github.com/coppice-go/coppice/services/internal/probed"
	"github.com/coppice-go/coppice/services/internal/sqlitedsn"
)

// sqliteDB opens a SQLite database in this process.
type sqliteDB struct {
	pool, own sqldriver.Connector
	memory    bool
}

// newSQLite gives the probe a busy timeout of its own, so that it can tell that
// the file is locked.
func newSQLite(cfg Config) (d driver, password string, err error) {
	dsn, err := sqlitedsn.Parse(cfg.DSN)
	if err != nil {
		return nil, "", fmt.Errorf("sqldb: Config.DSN %w", err)
	}
	pool, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, "", errors.New("sqldb: Config.DSN has conflicting vfs parameters; give one") // err may tell a password
	}
	own, _ := sqlite.NewConnector(dsn.WithBusyTimeout(cfg.ProbeTimeout / 2).String()) // as good as the other
	return sqliteDB{pool, own, dsn.InMemory()}, "", nil
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
	return cfg.single().limit(sqlx.NewDb(sql.OpenDB(s.own), "sqlite"))
}

// checker's check reads the file's header, which a plain SELECT 1 would not,
// and wants it to be the file that was opened: one that was deleted or
// replaced can still be written to, and all of that is lost.
func (s sqliteDB) checker(ctx context.Context, db *sqlx.DB) (probed.Check, error) {
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
