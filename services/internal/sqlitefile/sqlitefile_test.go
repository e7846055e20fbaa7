package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

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

// Whoever still has a connection is told, at each way to commit.
func TestATiedConnectionCommitsNothingAfterTheLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	c, err := sqlite.NewConnector(path)
	if err != nil {
		t.Fatal(err)
	}
	life, end := context.WithCancel(t.Context())
	db := sql.OpenDB(Tied(life, c))
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE item (name TEXT)"); err != nil {
		t.Errorf("a connection that is tied cannot write: %v", err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("INSERT INTO item VALUES ('hazel')"); err != nil {
		t.Fatal(err)
	}
	end()
	ended := func(how string, err error) {
		t.Helper()
		if refused, is := errors.AsType[*sqlite.Error](err); !is || refused.Code() != sqlite3.SQLITE_CONSTRAINT_COMMITHOOK {
			t.Errorf("%s ended with %v", how, err)
		}
	}
	ended("Commit", tx.Commit())
	for _, statement := range []string{"INSERT INTO item VALUES ('ash')", "BEGIN; INSERT INTO item VALUES ('yew'); COMMIT"} {
		_, err := db.Exec(statement)
		ended(statement, err)
		_, _ = db.Exec("ROLLBACK") // of the last
	}
	items := -1
	if err := open(t, path).QueryRow("SELECT count(*) FROM item").Scan(&items); err != nil || items != 0 {
		t.Errorf("%d items were committed, %v", items, err)
	}
}
