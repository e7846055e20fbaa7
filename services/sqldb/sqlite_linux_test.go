package sqldb

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

// On a full disk writing fails, and reading goes on: asked for, that impairs
// until there is room again, and nothing is restarted for it.
func TestAFullDiskImpairsUntilThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("only who may mount can have a disk that is full: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	cfg := quick(Config{DSN: filepath.Join(dir, "shop.db"), Writable: true})
	cfg.FailuresToRestart = 1
	db := New(cfg)
	tree := servicetest.Start(t, db.Spec("db"))
	tree.Await(supervisor.EventReady)
	pool := mustPeek(t, db)
	pool.MustExec("CREATE TABLE item (name TEXT)")
	pool.MustExec("INSERT INTO item VALUES ('hazel')")
	rest := filepath.Join(dir, "rest")
	if err := os.WriteFile(rest, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "cannot write: ") || !strings.Contains(e.Err.Error(), "full") {
		t.Errorf("impaired because %v", e.Err)
	}
	if _, err := pool.Exec("INSERT INTO item VALUES (?)", strings.Repeat("ash", 50_000)); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("writing to a full disk ended with %v", err)
	}
	if err := pool.Get(new(string), "SELECT name FROM item"); err != nil {
		t.Errorf("nothing can be read any more: %v", err)
	}
	remove(t, rest)
	tree.Await(supervisor.EventRecovered)
	pool.MustExec("INSERT INTO item VALUES ('ash')")
	tree.Stop()
	if tree.Seen(supervisor.EventExited) {
		t.Error("it was restarted")
	}
}
