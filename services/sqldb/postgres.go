package sqldb

import (
	"context"
	"errors"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
)

// postgres connects to a PostgreSQL server.
type postgres struct{ conf *pgx.ConnConfig }

// newPostgres does not repeat what pgx says about a DSN that it cannot parse:
// pgx masks the password where it recognises it, and here it may not.
func newPostgres(cfg Config) (driver, error) {
	conf, err := pgx.ParseConfig(cfg.DSN)
	if err != nil {
		return nil, errors.New(`sqldb: Config.DSN is no PostgreSQL URL or keyword list; write "postgres://user:password@host:5432/database" or "host=… user=…"`)
	}
	conf.ConnectTimeout = cfg.ConnectTimeout
	return postgres{conf}, nil
}

func (p postgres) open(life context.Context, cfg Config) *sqlx.DB {
	conf := p.conf.Copy()
	conf.DialFunc = tie(life, conf.DialFunc)
	return cfg.limit(sqlx.NewDb(stdlib.OpenDB(*conf), "pgx"))
}

func (p postgres) openProbed(life context.Context, cfg Config) *sqlx.DB {
	return p.open(life, cfg.single())
}

func (p postgres) checker(ctx context.Context, db *sqlx.DB) (func(context.Context) error, error) {
	return db.PingContext, db.PingContext(ctx)
}

func (p postgres) password() string { return p.conf.Password }

// tie returns a dial whose connections are closed when life ends, if not
// before, and which fails from then on. Without it pgx waits, in the
// background, 15 s for a server that does not answer.
func tie(life context.Context, dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(life, func() { cancel(context.Cause(life)) })()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &tied{conn, context.AfterFunc(life, func() { _ = conn.Close() })}, nil
	}
}

// tied is a connection that is closed when a context ends.
type tied struct {
	net.Conn
	untie func() bool
}

func (t *tied) Close() error {
	t.untie()
	return t.Conn.Close()
}
