// Package sqldb runs a pool of SQL connections, to SQLite in this process or
// to a PostgreSQL, MySQL or MariaDB server, as a supervised worker.
//
//	pg := sqldb.New(sqldb.Config{Driver: "postgres", DSN: os.Getenv("DATABASE_URL")})
//	tree := supervisor.Spec{Name: "shop", Children: []supervisor.Spec{pg.Spec("db"), …}}
//	…
//	err := pg.DB.Do(ctx, func(ctx context.Context, db *sqlx.DB) error { … })
//
// Each incarnation has a pool of its own. It is ready when it has reached the
// database, and is probed from then on: with the first probe that fails it is
// impaired, after Config.FailuresToRestart of them, and when no remedy helps,
// it fails, and the next incarnation connects anew. Failures to connect or to
// answer wrap supervisor.ErrUnavailable, and none tells the password.
//
// The connections of an incarnation end with it, also those in use: a server
// that does not answer holds up neither a stop nor those who wait for it. A
// SQLite connection in use can be read until it is given back, but commits
// nothing any more: a transaction that has written ends with an error.
package sqldb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/services/internal/fault"
	"github.com/coppice-go/coppice/services/internal/mysql"
	"github.com/coppice-go/coppice/services/internal/postgres"
	"github.com/coppice-go/coppice/services/internal/probed"
	"github.com/coppice-go/coppice/services/internal/secret"
	"github.com/coppice-go/coppice/supervisor"
)

// Config describes a DB. DSN is needed; every other field has a useful zero
// value. What is wrong is reported by supervisor.New.
type Config struct {
	// Driver is "sqlite", "postgres" or "mysql", which is MariaDB's, too. Empty
	// means "sqlite".
	Driver string

	// DSN says where the database is. A password in it is told by no error.
	//
	// For SQLite a file name or URI ("shop.db", "file:shop.db?mode=rw",
	// ":memory:"), with the parameters of modernc.org/sqlite. Unless it says
	// otherwise the journal mode is WAL (if it may write), the busy timeout
	// 5 s, and foreign keys are enforced. A file that is missing is created,
	// also when it was deleted while in use; not so with mode=rw. A database
	// in memory is one connection, and lives as long as the incarnation.
	//
	// For PostgreSQL a URL ("postgres://app:secret@db:5432/shop") or keywords
	// ("host=db user=app …"), as pgx and libpq read them. What it leaves out
	// comes from the environment (PGHOST, PGPASSWORD, …), as it is at New.
	//
	// For MySQL and MariaDB what go-sql-driver/mysql reads:
	// "app:secret@tcp(db:3306)/shop?parseTime=true", or "…@unix(/path)/shop".
	// Without parseTime times are bytes.
	DSN string

	// MaxOpen bounds the connections of the pool; those who need one more
	// wait. Zero means 10. The probe has one of its own beside them.
	MaxOpen int

	// MaxIdle is how many unused connections are kept open. Zero means MaxOpen,
	// so that a busy pool does not keep reconnecting.
	MaxIdle int

	// ConnMaxLifetime is the age at which a connection is replaced, which
	// spreads the load again when servers were added. Zero means 1 h.
	ConnMaxLifetime time.Duration

	// ConnectTimeout bounds the time to reach the database: for an
	// incarnation to become ready, and for each later connection. Zero means
	// 5 s.
	ConnectTimeout time.Duration

	// ProbeInterval is the time between two probes, ±10 %. Zero means 5 s.
	ProbeInterval time.Duration

	// ProbeTimeout is how long a probe may take, Check too. Zero means 1 s.
	ProbeTimeout time.Duration

	// FailuresToRestart is how many probes in a row must fail before Remedies
	// are tried and, if none has helped, the incarnation fails. Zero means 3.
	FailuresToRestart int

	// Writable makes writing part of each probe.
	//
	// A PostgreSQL server that answers but takes no writes, as after a
	// failover, is then as good as none: no incarnation is ready before one is
	// writable, which is looked for among the hosts in the DSN, and pooled
	// connections that have become read-only are replaced: when the server says
	// so, by itself or by refusing one write.
	//
	// So it is with a MySQL or MariaDB server. Its connections do not say what
	// has become of them: the one on which a write is refused is replaced, and
	// the statement tried again if it is in no transaction; what then fails
	// says "bad connection".
	//
	// A SQLite file that cannot be written to, as on a full disk, impairs, and
	// is not restarted for: it can still be read.
	Writable bool

	// Migrate, if set, brings the schema up to date before the incarnation is
	// ready, in each incarnation. Its error is a failed start, which is tried
	// again. The Spec's StartTimeout bounds it: set that to what a migration may
	// take. Let it take a lock where several processes start at once.
	Migrate func(ctx context.Context, db *sqlx.DB) error

	// Check, if set, is part of each probe, once the database has answered:
	// that the schema is there, that replication does not lag. It gets the
	// probe's own connection. A restart for its error counts against the
	// Intensity unless it wraps supervisor.ErrUnavailable.
	Check func(ctx context.Context, db *sqlx.DB) error

	// Remedies are what may help short of a restart, the mildest first: end
	// the transactions that hang, empty a table that caches.
	Remedies []supervisor.Remedy
}

// validate returns every fault of c's fields, each with its mend. What is
// inside DSN is the driver's to check.
func (c Config) validate() error {
	faults := fault.Of("sqldb")
	faults.Check(c.DSN == "", "DSN is empty; say where the database is")
	faults.NotNegative(c)
	return faults.Err()
}

func (c Config) withDefaults() Config {
	c.Driver = cmp.Or(c.Driver, "sqlite")
	c.MaxOpen = cmp.Or(c.MaxOpen, 10)
	c.MaxIdle = cmp.Or(c.MaxIdle, c.MaxOpen)
	c.ConnMaxLifetime = cmp.Or(c.ConnMaxLifetime, time.Hour)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 5*time.Second)
	c.ProbeInterval = cmp.Or(c.ProbeInterval, 5*time.Second)
	c.ProbeTimeout = cmp.Or(c.ProbeTimeout, time.Second)
	c.FailuresToRestart = cmp.Or(c.FailuresToRestart, 3)
	return c
}

// DB is a database as a supervised worker. Make one with New, for one place in
// one tree. Its methods may be called concurrently.
type DB struct {
	// DB holds the pool of the live incarnation.
	DB supervisor.Ref[*sqlx.DB]

	cfg    Config
	fault  error
	driver driver
	probed probed.Service[*sqlx.DB]
}

// driver is what differs between databases.
type driver interface {
	// Open returns a pool, without connecting. When life ends its connections
	// are closed, or commit nothing any more.
	Open(life context.Context) *sql.DB

	// OpenProbed is Open for the one connection that is probed. It is no part
	// of the pool: that can be exhausted, and is not broken then.
	OpenProbed(life context.Context) *sql.DB

	// Checker connects db and returns what tells whether the database answers.
	Checker(ctx context.Context, db *sql.DB) (answers probed.Check, err error)
}

// New returns a DB for cfg. It connects to nothing, and never fails: what is
// wrong with cfg is in the Spec's Fault.
func New(cfg Config) *DB {
	d := &DB{cfg: cfg.withDefaults(), fault: cfg.validate()}
	d.probed.Live, d.probed.Behind = &d.DB, cfg.Check
	if d.fault == nil {
		d.fault = d.choose()
	}
	return d
}

// choose sets the driver, and what depends on it: the password in the DSN, which
// no error may tell, and limits.
func (d *DB) choose() (err error) {
	switch cfg := d.cfg; cfg.Driver {
	case "sqlite":
		d.driver, d.cfg, err = newSQLite(cfg)
	case "postgres":
		d.driver, d.probed.Secret, err = postgres.Parse(cfg.DSN, cfg.ConnectTimeout, cfg.Writable)
	case "mysql":
		d.driver, d.probed.Secret, err = mysql.Parse(cfg.DSN, cfg.ConnectTimeout, cfg.Writable)
	default: // not repeated: it may be a DSN
		return errors.New(`sqldb: Config.Driver is unknown; use "sqlite", "postgres" or "mysql"`)
	}
	if err != nil {
		return fmt.Errorf("sqldb: Config.DSN %w", err)
	}
	return nil
}

// Spec returns the worker, for the tree.
func (d *DB) Spec(name string) supervisor.Spec {
	return supervisor.Spec{
		Name: name, Run: d.probed.Run(d.run), Fault: d.fault,
		Probe: d.probed.Probe(d.cfg.ProbeInterval, d.cfg.ProbeTimeout, d.cfg.FailuresToRestart, d.cfg.Remedies),
	}
}

func (d *DB) run(ctx context.Context, ready func(*sqlx.DB, probed.Check)) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	pool := d.cfg.limit(d.driver.Open(life))
	defer pool.Close()
	own := d.cfg.single().limit(d.driver.OpenProbed(life))
	defer own.Close()

	answers, err := d.prepare(ctx, pool, own)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	ready(pool, d.probed.Checked(own, answers))
	<-ctx.Done()
	return nil
}

// prepare does what comes before ready.
func (d *DB) prepare(ctx context.Context, pool, own *sqlx.DB) (answers probed.Check, err error) {
	answers, err = d.connect(ctx, own)
	if err != nil && !probed.IsMild(err) {
		return nil, fmt.Errorf("connect: %w", d.probed.Outage(err))
	}
	if d.cfg.Migrate == nil {
		return answers, nil
	}
	if err = d.cfg.Migrate(ctx, pool); err != nil {
		return nil, fmt.Errorf("migrate: %w", secret.Hide(err, d.probed.Secret))
	}
	return answers, nil
}

// connect makes sure that the database is there, and returns the probe's check.
func (d *DB) connect(ctx context.Context, own *sqlx.DB) (answers probed.Check, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.ConnectTimeout)
	defer cancel()
	return d.driver.Checker(ctx, own.DB)
}

// single returns c for a pool of one connection, which is kept.
func (c Config) single() Config {
	c.MaxOpen, c.MaxIdle, c.ConnMaxLifetime = 1, 1, 0
	return c
}

// limit sets the limits of a pool. The driver's name is how sqlx knows the
// database's way to write parameters.
func (c Config) limit(db *sql.DB) *sqlx.DB {
	db.SetMaxOpenConns(c.MaxOpen)
	db.SetMaxIdleConns(c.MaxIdle)
	db.SetConnMaxLifetime(c.ConnMaxLifetime)
	return sqlx.NewDb(db, c.Driver)
}
