// Package mysql makes connections to a MySQL or MariaDB server that end with an
// incarnation.
package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/coppice-go/coppice/services/internal/probed"
	"github.com/coppice-go/coppice/services/internal/tied"
)

// A Server is where connections are made to.
type Server struct {
	conf     *mysql.Config
	timeout  time.Duration // to log in
	writable bool
}

// Parse returns the server that dsn names. Where it is to be writable, a
// connection that refuses to write is replaced by a new one, which may reach
// another server. It does not repeat what the driver says about a DSN that it
// cannot parse, nor what the driver would log: the first may tell the password,
// and the second the probe finds out.
func Parse(dsn string, timeout time.Duration, writable bool) (s Server, password string, err error) {
	conf, err := mysql.ParseDSN(dsn)
	if err != nil || !slices.Contains([]string{"tcp", "tcp4", "tcp6", "unix"}, conf.Net) {
		return Server{}, "", errors.New(`is no MySQL data source name; write "user:password@tcp(host:3306)/database" or "user:password@unix(/path)/database"`)
	}
	for name := range conf.Params { // they become SET statements, and those are told
		if strings.Contains(strings.ToLower(name), "pass") {
			return Server{}, "", errors.New(`has a password among its parameters; write it before the '@': "user:password@tcp(host:3306)/database"`)
		}
	}
	conf.Timeout = timeout
	conf.RejectReadOnly = conf.RejectReadOnly || writable
	conf.Logger = &mysql.NopLogger{}
	return Server{conf, timeout, writable}, conf.Passwd, nil
}

// Open returns a pool, without connecting. All its connections are closed when
// life ends.
func (s Server) Open(life context.Context) *sql.DB { return sql.OpenDB(s.connector(life)) }

// OpenProbed is Open: what a connection is asked before its use, the check asks.
func (s Server) OpenProbed(life context.Context) *sql.DB { return s.Open(life) }

func (s Server) connector(life context.Context) driver.Connector {
	conf := s.conf.Clone()
	conf.DialFunc = tied.Conns(life, new(net.Dialer).DialContext)
	c, err := mysql.NewConnector(conf)
	if err != nil {
		panic("bug: a DSN that was parsed is not valid: " + err.Error())
	}
	return timely{c, s.timeout}
}

// timely bounds the time to log in: the driver's own timeout is for the dial,
// and a frozen server's kernel takes connections.
type timely struct {
	driver.Connector
	within time.Duration
}

func (t timely) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.within)
	defer cancel()
	return t.Connector.Connect(ctx)
}

// Checker connects db, which came from OpenProbed, and returns a check that
// asks over it, and that new connections can be made.
func (s Server) Checker(ctx context.Context, db *sql.DB) (probed.Check, error) {
	ask := func(ctx context.Context) error { return s.ask(ctx, db) }
	return probed.Newcomers(ask, s.connectAnew), ask(ctx)
}

// ask enters the database that the DSN names: one that was dropped keeps its
// connections, and a ping says that they are well.
func (s Server) ask(ctx context.Context, db *sql.DB) error {
	err := db.PingContext(ctx)
	if err == nil && s.conf.DBName != "" {
		_, err = db.ExecContext(ctx, "USE `"+strings.ReplaceAll(s.conf.DBName, "`", "``")+"`")
	}
	if err == nil && s.writable {
		err = askWritable(ctx, db)
	}
	return err
}

// askWritable asks the server and not the user's rights: who may write to a
// replica all the same must not either. Where a server is read only its storage
// alone may be: Aurora's readers are.
func askWritable(ctx context.Context, db *sql.DB) error {
	var server, storage string
	err := db.QueryRowContext(ctx, "SELECT @@global.read_only, @@global.innodb_read_only").Scan(&server, &storage)
	if err == nil && (!off(server) || !off(storage)) {
		err = fmt.Errorf("the server is read only: read_only is %s, innodb_read_only is %s", server, storage)
	}
	return err
}

// off reports whether a variable is: a switch is 0, one of several words OFF.
func off(value string) bool { return value == "0" || value == "OFF" }

func (s Server) connectAnew(ctx context.Context) error {
	conn, err := s.connector(ctx).Connect(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}
