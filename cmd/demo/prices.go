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

// pricesKey is where the cache has the list of prices.
const pricesKey = "prices"

// listPrices returns all prices, from the cache if they are there.
func (s *shop) listPrices(ctx context.Context) (prices []price, err error) {
	if s.recall(ctx, pricesKey, &prices) {
		return prices, nil
	}
	err = s.query(ctx, func(ctx context.Context, db *sqlx.DB) error {
		return db.SelectContext(ctx, &prices, `SELECT item, cents FROM demo_prices ORDER BY item`)
	})
	return prices, err
}

// refreshPrices is the periodic job: it lets prices move a little, and puts
// them where they are read.
func (s *shop) refreshPrices(ctx context.Context) error {
	var prices []price
	err := s.query(ctx, func(ctx context.Context, db *sqlx.DB) error {
		move := db.Rebind(`UPDATE demo_prices SET cents = base * ? / 1000`)
		if _, err := db.ExecContext(ctx, move, 950+randv2.IntN(100)); err != nil {
			return err
		}
		return db.SelectContext(ctx, &prices, `SELECT item, cents FROM demo_prices ORDER BY item`)
	})
	if err == nil {
		s.remember(ctx, pricesKey, prices)
	}
	return err
}
