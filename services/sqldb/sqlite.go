package sqldb

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"

	"modernc.org/sqlite"

	"github.com/coppice-go/coppice/services/internal/probed"
	"github.com/coppice-go/coppice/services/internal/sqlitedsn"
	"github.com/coppice-go/coppice/services/internal/sqlitefile"
)

// sqliteDB opens a SQLite database in this process.
type sqliteDB struct {
	pool, own sqldriver.Connector
	writable  bool
}

// newSQLite gives the probe a busy timeout of its own, so that it can tell that
// the file is locked. It also returns cfg with the limits that a database in
// memory needs: a second connection would have another, and it ends with its
// last.
func newSQLite(cfg Config) (sqliteDB, Config, error) {
	dsn, err := sqlitedsn.Parse(cfg.DSN)
	if err != nil {
		return sqliteDB{}, cfg, err
	}
	pool, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return sqliteDB{}, cfg, errors.New("has conflicting vfs parameters; give one") // err may tell a password
	}
	own, _ := sqlite.NewConnector(dsn.WithBusyTimeout(cfg.ProbeTimeout / 2).String()) // as good as the other
	if dsn.InMemory() {
		cfg = cfg.single()
	}
	return sqliteDB{pool, own, cfg.Writable}, cfg, nil
}

// Open's connections are not closed when life ends, if they are in use. They
// write nothing from then on.
func (s sqliteDB) Open(life context.Context) *sql.DB {
	return sql.OpenDB(sqlitefile.Tied(life, s.pool))
}

func (s sqliteDB) OpenProbed(life context.Context) *sql.DB {
	return sql.OpenDB(sqlitefile.Tied(life, s.own))
}

func (s sqliteDB) Checker(ctx context.Context, db *sql.DB) (probed.Check, error) {
	return sqlitefile.Checker(ctx, db, s.writable)
}
