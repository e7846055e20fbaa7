package sqldb

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/services/internal/postgres"
	"github.com/coppice-go/coppice/services/internal/probed"
)

// postgresDriver connects to a PostgreSQL server.
type postgresDriver struct{ server postgres.Server }

func newPostgres(cfg Config) (d driver, password string, err error) {
	server, password, err := postgres.Parse(cfg.DSN, cfg.ConnectTimeout, cfg.Writable)
	if err != nil {
		return nil, "", fmt.Errorf("sqldb: Config.DSN %w", err)
	}
	return postgresDriver{server}, password, nil
}

func (p postgresDriver) open(life context.Context, cfg Config) *sqlx.DB {
	return cfg.limit(sqlx.NewDb(p.server.Open(life), "pgx"))
}

func (p postgresDriver) openProbed(life context.Context, cfg Config) *sqlx.DB {
	return cfg.single().limit(sqlx.NewDb(p.server.OpenProbed(life), "pgx"))
}

func (p postgresDriver) checker(ctx context.Context, db *sqlx.DB) (probed.Check, error) {
	return p.server.Checker(db.DB), db.PingContext(ctx)
}
