package sqldb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

const hunter2 = "s3cret-hunter2"

// quick notices at once that its database is gone, and within 2 s that it does
// not answer: a busy machine needs that long too.
func quick(cfg Config) Config {
	cfg.ProbeInterval, cfg.ProbeTimeout, cfg.FailuresToRestart = 20*time.Millisecond, time.Second, 2
	cfg.ConnectTimeout = 1500 * time.Millisecond // logging in takes its time under the race detector
	return cfg
}

func TestSQLiteConformance(t *testing.T) {
	servicetest.Run(t, servicetest.Subject{
		New: func(t *testing.T) (supervisor.Spec, servicetest.Harm) {
			dir := t.TempDir()
			cfg := quick(Config{DSN: filepath.Join(dir, "shop.db")})
			return New(cfg).Spec("db"), servicetest.Harm{Do: func() { remove(t, dir) }, Undo: func() { makeDir(t, dir) }}
		},
		Secrets: []string{hunter2},
		BadStarts: func(t *testing.T) []supervisor.Spec {
			garbage := filepath.Join(t.TempDir(), "garbage.db")
			if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
			return []supervisor.Spec{
				New(Config{DSN: "/no/such/dir/shop.db"}).Spec("db"),
				New(Config{DSN: "file:" + garbage + "?_journal_mode=DELETE"}).Spec("db"),
				New(Config{DSN: "file:missing.db?mode=ro"}).Spec("db"),
				New(Config{DSN: "shop.db?a=%zz" + hunter2}).Spec("db"),
				New(Config{DSN: "shop.db?vfs=a&vfs=" + hunter2}).Spec("db"),
				New(Config{DSN: "postgres://app:" + hunter2 + "@db/shop"}).Spec("db"),
				New(Config{DSN: "app:" + hunter2 + "@tcp(db)/shop"}).Spec("db"),
				New(Config{DSN: "app:" + hunter2 + "@unix(/run/db)/shop"}).Spec("db"),
				New(Config{Driver: "postgres://app:" + hunter2 + "@db/shop", DSN: "postgres"}).Spec("db"),
				New(Config{}).Spec("db"),
			}
		},
	})
}

func TestSQLiteInMemoryConformance(t *testing.T) {
	servicetest.Run(t, servicetest.Subject{
		New: func(*testing.T) (supervisor.Spec, servicetest.Harm) {
			return New(quick(Config{DSN: ":memory:"})).Spec("db"), servicetest.Harm{}
		},
	})
}

// S5: every fault at once, each with the path and the mend.
func TestFaultsAreReportedBeforeAnythingStarts(t *testing.T) {
	db := New(Config{MaxOpen: -1, MaxIdle: -1, ConnMaxLifetime: -1, ConnectTimeout: -1, ProbeInterval: -1, ProbeTimeout: -1, FailuresToRestart: -1})
	_, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{db.Spec("db")}}, supervisor.Options{})
	if err == nil {
		t.Fatal("New accepted a faulty Config")
	}
	for _, want := range []string{"shop/db", "DSN", "MaxOpen", "MaxIdle", "ConnMaxLifetime", "ConnectTimeout", "ProbeInterval", "ProbeTimeout", "FailuresToRestart"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the fault does not name %s: %v", want, err)
		}
	}
	if err := New(Config{DSN: "x", Driver: "oracle"}).Spec("db").Fault; err == nil || !strings.Contains(err.Error(), "Driver") {
		t.Errorf("an unknown driver is reported as %v", err)
	}
}

func TestEachIncarnationHasAPoolOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db := New(quick(Config{DSN: path}))
	tree := servicetest.Start(t, db.Spec("db"))
	tree.Await(supervisor.EventReady)
	first := mustPeek(t, db)
	remove(t, path)
	tree.Await(supervisor.EventExited)
	tree.Await(supervisor.EventReady)
	if second := mustPeek(t, db); second == first {
		t.Error("the second incarnation has the pool of the first")
	}
	if err := first.Ping(); err == nil {
		t.Error("the first incarnation's pool still works")
	}
	tree.Stop()
	if _, ok := db.DB.Peek(); ok {
		t.Error("the pool outlives the tree")
	}
}

// A file that was deleted or replaced can still be written to, and everything
// written is lost.
func TestSQLiteNoticesThatItsFileIsGone(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, path string){
		"deleted": remove,
		"replaced": func(t *testing.T, path string) {
			if err := os.Rename(path, path+".old"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "shop.db")
			tree := servicetest.Start(t, New(quick(Config{DSN: path})).Spec("db"))
			tree.Await(supervisor.EventReady)
			lose(t, path)
			if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "deleted or replaced") {
				t.Errorf("impaired because %v", e.Err)
			}
			if e := tree.Await(supervisor.EventExited); !errors.Is(e.Err, supervisor.ErrUnavailable) {
				t.Errorf("exited with %v, want ErrUnavailable", e.Err)
			}
			tree.Await(supervisor.EventReady)
			tree.Stop()
		})
	}
}

// What was begun in a pool that is replaced is not done, however it is ended,
// and who began it is told. A file that was replaced would swallow it.
func TestASQLiteTransactionInFlightEndsWithAnErrorAndIsNotCommitted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db := New(quick(Config{DSN: path}))
	tree := servicetest.Start(t, db.Spec("db"))
	tree.Await(supervisor.EventReady)
	for name, replace := range map[string]func(){
		"its file": func() {
			if err := os.Rename(path, path+".old"); err != nil {
				t.Fatal(err)
			}
		},
		"only the pool": func() {
			if err := tree.Sup.Restart(t.Context(), tree.Path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		pool := mustPeek(t, db)
		pool.MustExec("CREATE TABLE IF NOT EXISTS item (name TEXT)")
		conn, err := pool.Connx(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tx := pool.MustBegin()
		tx.MustExec("INSERT INTO item VALUES ('hazel')")
		replace()
		tree.Await(supervisor.EventReady)
		if err := tx.Commit(); err == nil {
			t.Errorf("%s was replaced, and what was in flight is committed", name)
		}
		if _, err := conn.ExecContext(t.Context(), "INSERT INTO item VALUES ('ash')"); err == nil {
			t.Errorf("%s was replaced, and a connection of before writes", name)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		var items int
		mustPeek(t, db).MustExec("CREATE TABLE IF NOT EXISTS item (name TEXT)")
		if err := mustPeek(t, db).Get(&items, "SELECT count(*) FROM item"); err != nil || items != 0 {
			t.Errorf("%s was replaced: %d items, %v", name, items, err)
		}
	}
	tree.Stop()
}

// S32: a short trouble impairs and does not restart.
func TestALockedSQLiteFileImpairsUntilItIsFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	cfg := quick(Config{DSN: path + "?_journal_mode=DELETE"})
	cfg.FailuresToRestart = 1000
	other := sqlx.MustOpen("sqlite", path+"?_txlock=exclusive")
	tree := servicetest.Start(t, New(cfg).Spec("db"))
	tree.Await(supervisor.EventReady)
	tx := other.MustBegin()
	tree.Await(supervisor.EventImpaired)
	if err := errors.Join(tx.Rollback(), other.Close()); err != nil {
		t.Error(err)
	}
	tree.Await(supervisor.EventRecovered)
	if tree.Seen(supervisor.EventExited) {
		t.Error("it was restarted")
	}
	tree.Stop()
}

// S19: a restart does not free it, and so does not count; what was in the file
// is there again.
func TestASQLiteFileThatStaysLockedIsAnOutageUntilItIsFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db := New(quick(Config{DSN: path + "?_journal_mode=DELETE"}))
	other := sqlx.MustOpen("sqlite", path+"?_txlock=exclusive")
	tree := servicetest.Start(t, db.Spec("db"))
	tree.Await(supervisor.EventReady)
	mustPeek(t, db).MustExec("CREATE TABLE item (name TEXT); INSERT INTO item VALUES ('hazel')")
	tx := other.MustBegin()
	for _, kind := range []supervisor.EventKind{supervisor.EventExited, supervisor.EventStartFailed} {
		if e := tree.Await(kind); !errors.Is(e.Err, supervisor.ErrUnavailable) || !strings.Contains(e.Err.Error(), "locked") {
			t.Errorf("%s with %v, want an outage", kind, e.Err)
		}
	}
	if err := errors.Join(tx.Rollback(), other.Close()); err != nil {
		t.Error(err)
	}
	tree.Await(supervisor.EventReady)
	if err := mustPeek(t, db).Get(new(string), "SELECT name FROM item"); err != nil {
		t.Error(err)
	}
	tree.Stop()
}

// S33 and S19: a missing table is no outage. A remedy may make it; a restart
// cannot.
func TestWhatTheProgramChecksIsMendedOrARestartThatCounts(t *testing.T) {
	const create = "CREATE TABLE item (name TEXT)"
	cfg := quick(Config{DSN: filepath.Join(t.TempDir(), "shop.db"), Check: func(ctx context.Context, db *sqlx.DB) error {
		return db.GetContext(ctx, new(int), "SELECT count(*) FROM item")
	}})
	var db *DB
	cfg.Remedies = []supervisor.Remedy{{Name: "create", Attempts: 1, Cooldown: time.Nanosecond, Do: func(ctx context.Context) error {
		return db.DB.Do(ctx, func(ctx context.Context, db *sqlx.DB) error {
			_, err := db.ExecContext(ctx, create)
			return err
		})
	}}}
	db = New(cfg)
	tree := servicetest.Start(t, db.Spec("db"))
	tree.Await(supervisor.EventReady)
	if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "no such table") {
		t.Errorf("impaired because %v", e.Err)
	}
	if e := tree.Await(supervisor.EventRemedy); e.Remedy != "create" || e.Err != nil {
		t.Errorf("the event %q, want that the remedy helped", e)
	}
	tree.Await(supervisor.EventRecovered)
	mustPeek(t, db).MustExec("DROP TABLE item")
	if e := tree.Await(supervisor.EventExited); errors.Is(e.Err, supervisor.ErrUnavailable) || !strings.Contains(e.Err.Error(), "no such table") {
		t.Errorf("exited with %v, want what Check said and no outage", e.Err)
	}
	tree.Await(supervisor.EventRecovered) // by the next incarnation's attempt
	tree.Stop()
}

// The busy timeout, 5 s, must not delay a stop.
func TestALockedSQLiteFileDoesNotHoldUpAStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	other := sqlx.MustOpen("sqlite", path)
	tree := servicetest.Start(t, New(quick(Config{DSN: path + "?_journal_mode=DELETE"})).Spec("db"))
	tree.Await(supervisor.EventReady)
	other.MustExec("BEGIN EXCLUSIVE") // and not a Tx, which has a goroutine
	tree.Await(supervisor.EventImpaired)
	tree.Await(supervisor.EventExited)
	tree.Await(supervisor.EventStarted)
	tree.Stop()
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}

// An exhausted pool is busy, not broken.
func TestAnExhaustedPoolIsNoFailure(t *testing.T) {
	cfg := quick(Config{DSN: filepath.Join(t.TempDir(), "shop.db"), MaxOpen: 1})
	cfg.Check = func(ctx context.Context, db *sqlx.DB) error { return db.PingContext(ctx) }
	exhaust(t, New(cfg))
}

// exhaust takes the only connection of db for many probes.
func exhaust(t *testing.T, db *DB) {
	t.Helper()
	tree := servicetest.Start(t, db.Spec("db"), hunter2)
	tree.Await(supervisor.EventReady)
	pool := mustPeek(t, db)
	conn, err := pool.Connx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*db.cfg.ProbeTimeout)
	defer cancel()
	if err := pool.PingContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the pool has more than its only connection (%v)", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	tree.Stop()
	if tree.Seen(supervisor.EventImpaired) {
		t.Error("an exhausted pool counts as a failure")
	}
}

func TestSQLiteDefaultsGiveWayToTheDSN(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	for _, test := range []struct{ dsn, journal, busy, foreign string }{
		{path, "wal", "5000", "1"},
		{"file:" + path + "?_fk=off&_timeout=7", "wal", "7", "0"},
		{path + "?_pragma=busy_timeout(8)&_pragma=foreign_keys(0)&_pragma=Journal_Mode(delete)", "delete", "8", "0"},
		{"file:" + path + "?mode=ro", "delete", "5000", "1"},
		{":memory:", "memory", "5000", "1"},
		{"file:shop?mode=memory", "memory", "5000", "1"},
	} {
		db := New(Config{DSN: test.dsn})
		tree := servicetest.Start(t, db.Spec("db"))
		tree.Await(supervisor.EventReady)
		for pragma, want := range map[string]string{"journal_mode": test.journal, "busy_timeout": test.busy, "foreign_keys": test.foreign} {
			var got string
			if err := mustPeek(t, db).Get(&got, "PRAGMA "+pragma); err != nil || got != want {
				t.Errorf("%s: %s is %s, want %s (%v)", test.dsn, pragma, got, want, err)
			}
		}
		tree.Stop()
	}
}

// A second connection to :memory: would be another, empty database.
func TestSQLiteInMemoryIsOneDatabase(t *testing.T) {
	for _, dsn := range []string{":memory:", "file::memory:", "file:shop?mode=memory"} {
		db := New(Config{DSN: dsn, MaxOpen: 8, ConnMaxLifetime: time.Nanosecond})
		tree := servicetest.Start(t, db.Spec("db"))
		tree.Await(supervisor.EventReady)
		pool := mustPeek(t, db)
		pool.MustExec("CREATE TABLE item (name TEXT)")
		for i := range 100 {
			_, err := pool.NamedExec("INSERT INTO item VALUES (:name)", map[string]any{"name": fmt.Sprint(i)})
			if err != nil {
				t.Fatalf("%s: %v", dsn, err)
			}
		}
		tree.Stop()
	}
}

func TestTheDefaultsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := New(Config{DSN: ":memory:"})
		tree := servicetest.Start(t, db.Spec("db"))
		tree.Await(supervisor.EventReady)
		mustPeek(t, db).MustExec("CREATE TABLE item (name TEXT)")
		time.Sleep(time.Hour)
		if _, err := mustPeek(t, db).Exec("INSERT INTO item VALUES ('hazel')"); err != nil {
			t.Error(err)
		}
		tree.Stop()
		if tree.Seen(supervisor.EventImpaired) {
			t.Error("a probe failed")
		}
	})
}

func mustPeek(t *testing.T, db *DB) *sqlx.DB {
	t.Helper()
	pool, ok := db.DB.Peek()
	if !ok {
		t.Fatal("there is no pool")
	}
	return pool
}

func makeDir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
