package sqldb

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/services/internal/probed"
	"github.com/coppice-go/coppice/services/internal/tied"
)

// postgres connects to a PostgreSQL server.
type postgres struct{ conf *pgx.ConnConfig }

// newPostgres does not repeat what pgx says about a DSN that it cannot parse:
// pgx masks the password where it recognises it, and here it may not.
func newPostgres(cfg Config) (d driver, password string, err error) {
	conf, err := pgx.ParseConfig(cfg.DSN)
	if err != nil {
		return nil, "", errors.New(`sqldb: Config.DSN is no PostgreSQL URL or keyword list; write "postgres://user:password@host:5432/database" or "host=… user=…"`)
	}
	conf.ConnectTimeout = cfg.ConnectTimeout
	return postgres{conf}, conf.Password, nil
}

// open ties the connections to life: pgx would wait, in the background, 15 s
// for a server that does not answer.
func (p postgres) open(life context.Context, cfg Config) *sqlx.DB {
	conf := p.conf.Copy()
	conf.DialFunc = tied.Conns(life, conf.DialFunc)
	return cfg.limit(sqlx.NewDb(stdlib.OpenDB(*conf), "pgx"))
}

func (p postgres) openProbed(life context.Context, cfg Config) *sqlx.DB {
	return p.open(life, cfg.single())
}

func (p postgres) checker(ctx context.Context, db *sqlx.DB) (probed.Check, error) {
	return db.PingContext, db.PingContext(ctx)
}
