// Package sqlitefile checks the file behind a connection to SQLite, and ends
// writing to it with an incarnation.
package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/coppice-go/coppice/services/internal/probed"
)

// Checker connects db, which has one connection, and returns a check of its
// file: that it can be read, that it still is the one that was opened, and, if
// asked, that it can be written to, whose failure is mild.
func Checker(ctx context.Context, db *sql.DB, writable bool) (probed.Check, error) {
	var path string
	if err := db.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path); err != nil {
		return nil, err
	}
	opened, noFile := os.Stat(path) // in memory, or in a VFS of its own
	check := func(ctx context.Context) error {
		if err := read(ctx, db); err != nil {
			return err
		}
		if noFile == nil && !isStill(path, opened) {
			return errors.New("the database file was deleted or replaced")
		}
		if writable {
			return probed.Mild(write(ctx, db))
		}
		return nil
	}
	return check, check(ctx)
}

// read reads the file's header, which a plain SELECT 1 would not.
func read(ctx context.Context, db *sql.DB) error {
	var version int
	return db.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version)
}

// isStill reports whether the file at path is the one that was opened: one that
// was deleted or replaced can still be written to, and all of that is lost.
func isStill(path string, opened os.FileInfo) bool {
	now, err := os.Stat(path)
	return err == nil && os.SameFile(opened, now)
}

// write writes the file's header as it is, which a full disk, and a file that
// can only be read, refuse. It waits for a writer as long as the connection
// does, and takes no snapshot before, which could be too old to write then.
func write(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err == nil {
		err = rewrite(ctx, conn)
	}
	if err != nil {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // nothing to undo, if it did not begin
		return fmt.Errorf("cannot write: %w", err)
	}
	return nil
}

func rewrite(ctx context.Context, conn *sql.Conn) error {
	var version int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; COMMIT", version))
	return err
}
