// Package postgres makes connections to a PostgreSQL server that end with an
// incarnation, and are what they were asked to be as long as they live.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/coppice-go/coppice/services/internal/probed"
	"github.com/coppice-go/coppice/services/internal/tied"
)

// A Server is where connections are made to.
type Server struct {
	conf     *pgx.ConnConfig
	writable bool
}

// Parse returns the server that dsn names. Where it is to be writable, a
// connection that is read-only counts as none, and the next of several hosts is
// tried. It does not repeat what pgx says about a DSN that it cannot parse: pgx
// masks the password where it recognises it, and here it may not.
func Parse(dsn string, timeout time.Duration, writable bool) (s Server, password string, err error) {
	conf, err := pgx.ParseConfig(dsn)
	if err != nil {
		return Server{}, "", errors.New(`is no PostgreSQL URL or keyword list; write "postgres://user:password@host:5432/database" or "host=… user=…"`)
	}
	if misplaced(dsn) {
		return Server{}, "", errors.New("is a URL with an @ too many; in the user's name and the password write %40 for @, and %2F for /")
	}
	conf.ConnectTimeout = timeout
	if writable {
		conf.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
		conf.OnPgError = keepUnlessReadOnly(conf.OnPgError)
	}
	return Server{conf, writable}, conf.Password, nil
}

// keepUnlessReadOnly returns keep, which says whether a connection is kept on
// which the server answered with an error, but that one which refused to write
// is not. Its user gets the error all the same.
func keepUnlessReadOnly(keep pgconn.PgErrorHandler) pgconn.PgErrorHandler {
	const readOnlySQLTransaction = "25006"
	return func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		return keep(conn, err) && err.Code != readOnlySQLTransaction
	}
}

// misplaced reports whether a URL has an @ where none belongs: then it holds a
// password that was not escaped, of which pgx takes a part for the host or the
// database, where errors would tell it.
func misplaced(dsn string) bool {
	scheme, rest, _ := strings.Cut(dsn, "://")
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	return strings.HasPrefix(scheme, "postgres") && (strings.Count(authority, "@") > 1 || strings.Contains(rest[len(authority):], "@"))
}

// Open returns a pool, without connecting. All its connections are closed when
// life ends: pgx would wait, in the background, 15 s for a server that does not
// answer.
func (s Server) Open(life context.Context) *sql.DB {
	return stdlib.OpenDB(*s.tied(life), stdlib.OptionResetSession(s.stillWritable))
}

// OpenProbed is Open for connections that are asked, before each use, whether
// they are still there, and writable. One that is not is replaced. Else pgx asks
// only those that were idle for a second.
func (s Server) OpenProbed(life context.Context) *sql.DB {
	return stdlib.OpenDB(*s.tied(life), stdlib.OptionShouldPing(always), stdlib.OptionResetSession(s.askWritable))
}

func always(context.Context, stdlib.ShouldPingParams) bool { return true }

func (s Server) tied(life context.Context) *pgx.ConnConfig {
	conf := s.conf.Copy()
	conf.DialFunc = tied.Conns(life, conf.DialFunc)
	return conf
}

// stillWritable evicts a connection that has become read-only. It costs
// nothing: since version 14 the server says so by itself, with its next answer.
// So at most one statement fails of each connection that there is just then. What
// older servers, and poolers, do not say, the first refusal does.
func (s Server) stillWritable(_ context.Context, conn *pgx.Conn) error {
	for _, says := range []string{"in_hot_standby", "default_transaction_read_only"} {
		if s.writable && conn.PgConn().ParameterStatus(says) == "on" {
			return driver.ErrBadConn
		}
	}
	return nil
}

// askWritable does not rely on what the server says by itself, which older ones
// do not, and which does not come through a connection pooler.
func (s Server) askWritable(ctx context.Context, conn *pgx.Conn) error {
	if s.writable && pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, conn.PgConn()) != nil {
		return driver.ErrBadConn
	}
	return nil
}

// Checker connects db, which came from OpenProbed, and returns a check that
// pings over it, and that new connections can be made.
func (s Server) Checker(ctx context.Context, db *sql.DB) (probed.Check, error) {
	return probed.Newcomers(db.PingContext, s.connectAnew), db.PingContext(ctx)
}

func (s Server) connectAnew(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, s.tied(ctx))
	if err != nil {
		return err
	}
	_ = conn.Close(ctx) // it has answered
	return nil
}
