package main

import (
	"context"

	"github.com/jmoiron/sqlx"
)

// schema suits SQLite and PostgreSQL. Times are Unix milliseconds.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS demo_prices (item TEXT PRIMARY KEY, base BIGINT NOT NULL, cents BIGINT NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS demo_orders (
		id TEXT PRIMARY KEY, item TEXT NOT NULL, quantity BIGINT NOT NULL, cents BIGINT NOT NULL,
		state TEXT NOT NULL, accepted_at BIGINT NOT NULL, fulfilled_at BIGINT)`,
	`CREATE INDEX IF NOT EXISTS demo_orders_open ON demo_orders (accepted_at) WHERE state = 'accepted'`,
	`INSERT INTO demo_prices (item, base, cents) VALUES ('kettle', 2900, 2900), ('teapot', 3400, 3400), ('mug', 900, 900)
		ON CONFLICT (item) DO NOTHING`,
}

// createSchema is a worker that is ready once the tables are there. It stands
// behind the pool, so that it looks again whenever the database came back: it
// may be another one.
func (s *shop) createSchema(ctx context.Context, ready func()) error {
	for _, statement := range schema {
		err := s.withDB(ctx, func(ctx context.Context, db *sqlx.DB) error {
			_, err := db.ExecContext(ctx, statement)
			return err
		})
		if err != nil {
			return err
		}
	}
	ready()
	<-ctx.Done()
	return nil
}
