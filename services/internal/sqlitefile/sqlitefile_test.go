package sqlitefile

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/coppice-go/coppice/services/internal/probed"
)

// A migration counts in the header that the check writes.
func TestACheckThatWritesChangesNothing(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "shop.db"))
	if _, err := db.Exec("CREATE TABLE item (name TEXT); PRAGMA user_version = 7"); err != nil {
		t.Fatal(err)
	}
	check, err := Checker(t.Context(), db, true)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for pragma, want := range map[string]int{"user_version": 7, "schema_version": 1} {
		var got int
		if err := db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", pragma, got, err, want)
		}
	}
}

// What cannot be written can still be read: that is mild, unlike a file that is
// gone.
func TestOnlyAFileThatCannotBeWrittenIsMild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	writer := open(t, path)
	if _, err := writer.Exec("CREATE TABLE item (name TEXT)"); err != nil {
		t.Fatal(err)
	}
	reader := open(t, "file:"+path+"?mode=ro")
	if check, err := Checker(t.Context(), reader, false); err != nil {
		t.Errorf("a check that only reads fails: %v", err)
	} else if err := check(t.Context()); err != nil {
		t.Errorf("a check that only reads fails: %v", err)
	}
	check, err := Checker(t.Context(), reader, true)
	if !probed.IsMild(err) || !strings.Contains(err.Error(), "cannot write: ") || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("a file that can only be read is %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context()); err == nil || probed.IsMild(err) {
		t.Errorf("a file that is gone is %v", err)
	}
}

// A writer that keeps the file locked does not leave the check's connection in
// a transaction.
func TestACheckHoldsNoLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	own, other := open(t, path), open(t, path)
	check, err := Checker(t.Context(), own, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, begin := range []string{"BEGIN IMMEDIATE", "SELECT 1"} {
		if _, err := other.Exec(begin); err != nil {
			t.Fatal(err)
		}
		if err := check(t.Context()); probed.IsMild(err) != (begin != "SELECT 1") {
			t.Errorf("after %s the check says %v", begin, err)
		}
		_, _ = other.Exec("ROLLBACK") // of the first
	}
	if _, err := other.Exec("CREATE TABLE item (name TEXT)"); err != nil {
		t.Errorf("the check holds a lock: %v", err)
	}
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}
