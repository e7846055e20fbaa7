package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"math"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/services/httpserver"
	"github.com/coppice-go/coppice/services/rediscache"
	"github.com/coppice-go/coppice/services/rediskv"
	"github.com/coppice-go/coppice/services/sqldb"
	"github.com/coppice-go/coppice/services/workerpool"
	"github.com/coppice-go/coppice/supervisor"
)

// How long the shop waits before it says no.
const (
	dbPatience    = 2 * time.Second        // for the database, with the answer
	cachePatience = 200 * time.Millisecond // for the cache: without it, it asks the database
	jobPatience   = 3 * time.Second        // for a worker to fulfil an order
)

// How often the tree asks what it cannot see, and for how long.
const (
	probeInterval = time.Second
	probeTimeout  = 900 * time.Millisecond
)

// shop is the services and what they share. There is one; what fails is
// replaced inside of it.
type shop struct {
	cfg  config
	log  zerolog.Logger
	data string // directory of the embedded database; "" if there is none

	db      *sqldb.DB
	redis   cacheServer
	cache   *rediskv.KV
	prices  *rediscache.Cache[[]price]
	orders  *rediscache.Cache[order]
	workers *workerpool.Pool[string] // of orders to fulfil, by ID
	web     *httpserver.Server

	sup    *supervisor.Supervisor // set before it runs
	queued sync.Map               // IDs that the workers have
	faults switchboard
}

// newShop makes the services. Nothing runs yet, but close must be called, even
// after an error.
func newShop(cfg config, log zerolog.Logger) (*shop, error) {
	s := &shop{cfg: cfg, log: log}
	dsn, err := s.dsn()
	if err != nil {
		return s, err
	}
	s.db = sqldb.New(sqldb.Config{
		Driver: cfg.driver(), DSN: dsn,
		ProbeInterval: probeInterval, ProbeTimeout: probeTimeout, FailuresToRestart: 2,
		Writable: true, Migrate: migrate, Check: s.checkDatabase,
	})
	s.newCache(cfg)
	s.workers = workerpool.New(workerpool.Config[string]{
		BeatTimeout: jobPatience, DrainTimeout: time.Second, Run: s.fulfil,
		Attempts: math.MaxInt, Backoff: supervisor.Backoff{Max: 2 * time.Second}, // an accepted order is never given up
	})
	s.web = httpserver.New(httpserver.Config{
		Addr: cfg.addr, Handler: s.api(), DrainTimeout: 2 * time.Second,
		Listen: s.listen, ErrorLog: stdLog(log),
	})
	return s, nil
}

func stdLog(logger zerolog.Logger) *log.Logger { return log.New(logger, "", 0) }

// dsn says where the database is. The embedded one gets an empty file, so that
// SQLite can be told to make none: a file that is gone is an outage, and not a
// new and empty shop.
func (s *shop) dsn() (string, error) {
	if !s.cfg.embeddedDB() {
		return s.cfg.dsn, nil
	}
	dir, err := os.MkdirTemp("", "coppice-demo-")
	if err != nil {
		return "", err
	}
	s.data = dir
	return "file:" + s.dbFile() + "?mode=rw&_busy_timeout=1000", os.WriteFile(s.dbFile(), nil, 0o600)
}

func (s *shop) dbFile() string { return filepath.Join(s.data, "shop.db") }

// close removes what the shop has put on disk. It may be called twice.
func (s *shop) close() {
	if s.data != "" {
		_ = os.RemoveAll(s.data) // in a directory for temporary files: somebody else will
	}
}

// listen opens the API's listener and remembers it, for whoever wants to crash
// it.
func (s *shop) listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err == nil {
		s.faults.listener.Store(&l)
	}
	return l, err
}

// holdAddr reports an address that the API cannot have, before anything runs:
// later the tree would take it for weather, and wait for it to clear. Until
// release nobody else can have it.
func (s *shop) holdAddr() (release func(), err error) {
	l, err := net.Listen("tcp", s.cfg.addr)
	if err != nil {
		return func() {}, fmt.Errorf("-addr: %w", err)
	}
	return func() { _ = l.Close() }, nil
}

// withDB calls f with the database, and waits for one if need be, but all in
// all no longer than dbPatience. Except that there are no rows, whatever goes
// wrong with a database is its being unavailable.
func (s *shop) withDB(ctx context.Context, f func(ctx context.Context, db *sqlx.DB) error) error {
	ctx, cancel := context.WithTimeout(ctx, dbPatience)
	defer cancel()
	err := s.db.DB.Do(ctx, f)
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return fmt.Errorf("database: %w: %w", supervisor.ErrUnavailable, err)
}

// query is withDB for those who need not wait, since they, or their customers,
// will come again: while there is no database it says so at once.
func (s *shop) query(ctx context.Context, f func(ctx context.Context, db *sqlx.DB) error) error {
	if _, up := s.db.DB.Peek(); !up {
		return fmt.Errorf("database: %w", supervisor.ErrUnavailable)
	}
	return s.withDB(ctx, f)
}
