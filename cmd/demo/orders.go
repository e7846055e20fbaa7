package main

import (
	"context"
	"crypto/rand"
	randv2 "math/rand/v2"
	"time"

	"github.com/jmoiron/sqlx"
)

// An order is accepted when its row is written, which is before the customer
// hears of it. From then on it cannot be lost: it is fulfilled by the workers,
// or else found again by the sweep.
type order struct {
	ID       string `json:"id" db:"id"`
	Item     string `json:"item" db:"item"`
	Quantity int64  `json:"quantity" db:"quantity"`
	Cents    int64  `json:"cents" db:"cents"` // altogether
	State    string `json:"state" db:"state"`
}

// States of an order.
const (
	accepted  = "accepted"
	fulfilled = "fulfilled"
)

// place accepts an order at the current price. sql.ErrNoRows says that there
// is no such item.
func (s *shop) place(ctx context.Context, item string, quantity int64) (order, error) {
	o := order{ID: rand.Text(), Item: item, Quantity: quantity, State: accepted}
	err := s.query(ctx, func(ctx context.Context, db *sqlx.DB) error {
		if err := db.GetContext(ctx, &o.Cents, db.Rebind(`SELECT cents FROM demo_prices WHERE item = ?`), item); err != nil {
			return err
		}
		o.Cents *= quantity
		_, err := db.ExecContext(ctx, db.Rebind(`INSERT INTO demo_orders
			(id, item, quantity, cents, state, accepted_at) VALUES (?, ?, ?, ?, ?, ?)`),
			o.ID, o.Item, o.Quantity, o.Cents, o.State, time.Now().UnixMilli())
		return err
	})
	if err == nil {
		s.enqueue(o.ID)
	}
	return o, err
}

// enqueue gives an order to the workers, unless they have it. If their queue is
// full the sweep will try again.
func (s *shop) enqueue(id string) {
	if _, has := s.queued.LoadOrStore(id, nil); has {
		return
	}
	if err := s.workers.TrySubmit(id); err != nil {
		s.queued.Delete(id)
	}
}

// find returns an order, from the cache if it is there. sql.ErrNoRows says
// that there is none.
func (s *shop) find(ctx context.Context, id string) (o order, err error) {
	if s.recall(ctx, "order:"+id, &o) {
		return o, nil
	}
	err = s.query(ctx, func(ctx context.Context, db *sqlx.DB) error {
		return db.GetContext(ctx, &o, db.Rebind(`SELECT id, item, quantity, cents, state FROM demo_orders WHERE id = ?`), id)
	})
	if err == nil && o.State == fulfilled {
		s.remember(ctx, "order:"+id, o) // it will not change any more
	}
	return o, err
}

// fulfil is the workers' job. It may run twice for one order, which makes no
// difference. One that takes longer than the pool's BeatTimeout is stuck: its
// worker is restarted, and the order tried again.
func (s *shop) fulfil(ctx context.Context, id string) error {
	s.faults.strike(ctx)
	if err := pack(ctx); err != nil {
		return err
	}
	err := s.withDB(ctx, func(ctx context.Context, db *sqlx.DB) error {
		_, err := db.ExecContext(ctx, db.Rebind(`UPDATE demo_orders SET state = ?, fulfilled_at = ? WHERE id = ? AND state = ?`),
			fulfilled, time.Now().UnixMilli(), id, accepted)
		return err
	})
	if err == nil {
		s.queued.Delete(id)
	}
	return err
}

// pack is the work of fulfilling an order.
func pack(ctx context.Context) error {
	select {
	case <-time.After(20*time.Millisecond + randv2.N(80*time.Millisecond)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sweepOrders gives the workers the orders that they should have: those of a
// process before this one, and those for which their queue was full.
func (s *shop) sweepOrders(ctx context.Context) error {
	var open []string
	err := s.query(ctx, func(ctx context.Context, db *sqlx.DB) error {
		return db.SelectContext(ctx, &open, db.Rebind(`SELECT id FROM demo_orders WHERE state = ? ORDER BY accepted_at LIMIT 1000`), accepted)
	})
	for _, id := range open {
		s.enqueue(id)
	}
	return err
}
