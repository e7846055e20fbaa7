package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	randv2 "math/rand/v2"
	"time"

	"github.com/jmoiron/sqlx"
)

// An order is accepted when its row is written, which is before the customer
// hears of it. From then on it cannot be lost: the row says what is still to be
// done, whatever becomes of this process. It is fulfilled by the workers, whose
// queue is in memory, or else found again by the sweep, of the next process if
// need be.
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

// A wish is what a customer asks for. Who got no answer cannot know whether
// there is an order now, and asks again with the same key: that makes no other.
type wish struct {
	Item     string `json:"item"`
	Quantity int64  `json:"quantity"`
	key      string // "" is one that is not asked for again
}

var errKeyReused = errors.New("this Idempotency-Key was used for another order")

// place accepts an order at the current price, unless the wish has its order
// already: then that is returned, and isNew is false. sql.ErrNoRows says that
// there is no such item.
func (s *shop) place(ctx context.Context, w wish) (o order, isNew bool, err error) {
	err = s.query(ctx, func(ctx context.Context, db *sqlx.DB) error {
		o = order{ID: rand.Text(), Item: w.Item, Quantity: w.Quantity, State: accepted}
		if err := db.GetContext(ctx, &o.Cents, db.Rebind(`SELECT cents FROM demo_prices WHERE item = ?`), w.Item); err != nil {
			return err
		}
		o.Cents *= w.Quantity
		first, err := insert(ctx, db, o, cmp.Or(w.key, o.ID))
		if isNew = first; err != nil || first {
			return err
		}
		return db.GetContext(ctx, &o, db.Rebind(`SELECT `+orderColumns+` FROM demo_orders WHERE idempotency_key = ?`), w.key)
	})
	switch {
	case err != nil:
		return o, false, err
	case o.Item != w.Item || o.Quantity != w.Quantity:
		return o, false, errKeyReused
	case o.State == accepted:
		s.enqueue(o.ID)
	}
	return o, isNew, nil
}

// insert writes the order's row, and reports whether it was the first with its
// key. The database decides that, not the shop: two that ask at the same time,
// of two processes perhaps, cannot both be the first.
func insert(ctx context.Context, db *sqlx.DB, o order, key string) (first bool, err error) {
	result, err := db.ExecContext(ctx, db.Rebind(`INSERT INTO demo_orders
		(id, idempotency_key, item, quantity, cents, state, accepted_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (idempotency_key) DO NOTHING`),
		o.ID, key, o.Item, o.Quantity, o.Cents, o.State, time.Now().UnixMilli())
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	return rows == 1, err
}

const orderColumns = `id, item, quantity, cents, state`

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

// loadOrder returns an order as the database has it. sql.ErrNoRows says that
// there is none.
func (s *shop) loadOrder(ctx context.Context, id string) (o order, err error) {
	err = s.query(ctx, func(ctx context.Context, db *sqlx.DB) error {
		return db.GetContext(ctx, &o, db.Rebind(`SELECT `+orderColumns+` FROM demo_orders WHERE id = ?`), id)
	})
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
