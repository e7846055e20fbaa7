package main

import (
	"context"
	randv2 "math/rand/v2"

	"github.com/jmoiron/sqlx"
)

type price struct {
	Item  string `json:"item" db:"item"`
	Cents int64  `json:"cents" db:"cents"`
}

// loadPrices returns all prices, as the database has them.
func (s *shop) loadPrices(ctx context.Context, _ string) (prices []price, err error) {
	err = s.query(ctx, func(ctx context.Context, db *sqlx.DB) error {
		return db.SelectContext(ctx, &prices, `SELECT item, cents FROM demo_prices ORDER BY item`)
	})
	return prices, err
}

// refreshPrices is the periodic job: it lets prices move a little.
func (s *shop) refreshPrices(ctx context.Context) error {
	err := s.query(ctx, func(ctx context.Context, db *sqlx.DB) error {
		_, err := db.ExecContext(ctx, db.Rebind(`UPDATE demo_prices SET cents = base * ? / 1000`), 950+randv2.IntN(100))
		return err
	})
	if err == nil {
		s.forgetPrices(ctx)
	}
	return err
}
