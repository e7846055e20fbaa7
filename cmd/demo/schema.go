package main

import (
	"context"

	"github.com/jmoiron/sqlx"
)

// schema suits SQLite and PostgreSQL. Times are Unix milliseconds. Each
// statement may run again, and beside another process that runs it.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS demo_prices (item TEXT PRIMARY KEY, base BIGINT NOT NULL, cents BIGINT NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS demo_orders (
		id TEXT PRIMARY KEY, idempotency_key TEXT NOT NULL UNIQUE,
		item TEXT NOT NULL, quantity BIGINT NOT NULL, cents BIGINT NOT NULL,
		state TEXT NOT NULL, accepted_at BIGINT NOT NULL, fulfilled_at BIGINT)`,
	`CREATE INDEX IF NOT EXISTS demo_orders_open ON demo_orders (accepted_at) WHERE state = 'accepted'`,
	`INSERT INTO demo_prices (item, base, cents) VALUES ('kettle', 2900, 2900), ('teapot', 3400, 3400), ('mug', 900, 900)
		ON CONFLICT (item) DO NOTHING`,
	`CREATE TABLE IF NOT EXISTS demo_schema (version BIGINT PRIMARY KEY)`,
	`INSERT INTO demo_schema (version) VALUES (1) ON CONFLICT (version) DO NOTHING`, // schemaVersion
}

// schemaVersion is what the last statement of the schema leaves behind.
const schemaVersion = 1

// migrate makes the tables that are not there. It runs before each incarnation
// of the database is ready, since the server that came back may be another one;
// so it asks first, and takes no locks where there is nothing to do. Two
// processes that start at once can disturb each other; the one that loses fails
// to start, and tries again.
func migrate(ctx context.Context, db *sqlx.DB) error {
	ctx, cancel := context.WithTimeout(ctx, dbPatience)
	defer cancel()
	var version int
	if err := db.GetContext(ctx, &version, `SELECT max(version) FROM demo_schema`); err == nil && version == schemaVersion {
		return nil
	}
	for _, statement := range schema {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
