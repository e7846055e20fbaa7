package sqldb

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

// S3: a migration that fails is a failed start, again and again, and nobody
// sees the database before one has succeeded.
func TestAMigrationComesBeforeReady(t *testing.T) {
	cfg := quick(Config{DSN: filepath.Join(t.TempDir(), "shop.db")})
	var fails atomic.Bool
	fails.Store(true)
	cfg.Migrate = func(ctx context.Context, db *sqlx.DB) error {
		if fails.Load() {
			return errors.New("version 7 is dirty")
		}
		_, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS item (name TEXT)")
		return err
	}
	db := New(cfg)
	tree := servicetest.Start(t, db.Spec("db"))
	for range 3 {
		if e := tree.Await(supervisor.EventStartFailed); !strings.Contains(e.Err.Error(), "migrate: version 7 is dirty") {
			t.Errorf("failed to start with %v", e.Err)
		}
	}
	if tree.Seen(supervisor.EventReady) {
		t.Error("it was ready without its migration")
	}
	fails.Store(false)
	tree.Await(supervisor.EventReady)
	mustPeek(t, db).MustExec("INSERT INTO item VALUES ('hazel')")
	tree.Stop()
}

// S2: a migration may take longer than ConnectTimeout, but not than the Spec's
// StartTimeout; and a stop does not wait for it.
func TestAMigrationIsBoundedByTheStartTimeout(t *testing.T) {
	cfg := quick(Config{DSN: filepath.Join(t.TempDir(), "shop.db")})
	cfg.ConnectTimeout = 500 * time.Millisecond
	cfg.Migrate = func(ctx context.Context, _ *sqlx.DB) error {
		<-ctx.Done()
		return ctx.Err()
	}
	spec := New(cfg).Spec("db")
	spec.StartTimeout = 700 * time.Millisecond
	begin := time.Now()
	tree := servicetest.Start(t, spec)
	if e := tree.Await(supervisor.EventStartFailed); !strings.Contains(e.Err.Error(), "within 700ms") {
		t.Errorf("failed to start with %v", e.Err)
	}
	if took := time.Since(begin); took < spec.StartTimeout {
		t.Errorf("it was stopped after %v, want %v", took, spec.StartTimeout)
	}
	tree.Await(supervisor.EventStarted)
	tree.Stop()
}
