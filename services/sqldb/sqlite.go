package sqldb

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
	"modernc.org/sqlite"

	"github.com/coppice-go/coppice/services/internal/probed"
	"github.com/coppice-go/coppice/services/internal/sqlitedsn"
	"github.com/coppice-go/coppice/services/internal/sqlitefile"
)

// sqliteDB opens a SQLite database in this process.
type sqliteDB struct {
	pool, own        sqldriver.Connector
	memory, writable bool
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
	return sqliteDB{pool, own, dsn.InMemory(), cfg.Writable}, "", nil
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

func (s sqliteDB) checker(ctx context.Context, db *sqlx.DB) (probed.Check, error) {
	return sqlitefile.Checker(ctx, db.DB, s.writable)
}
