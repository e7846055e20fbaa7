package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/supervisor"
)

// followFeed is a worker that stands for something outside which is nice to
// have: a supplier's feed, of which the shop makes nothing. It can flap.
func (s *shop) followFeed(ctx context.Context, ready func()) error {
	ready()
	for pause(ctx, 10*time.Millisecond) {
		if s.faults.flaps() {
			return fmt.Errorf("feed: %w: connection reset", supervisor.ErrUnavailable)
		}
	}
	return nil
}

// report is the job that the settings can add: it logs what was sold, and what
// this process has become by that, which is to be the same day after day.
func (s *shop) report(ctx context.Context) error {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	s.log.Info().Int("goroutines", runtime.NumGoroutine()).Uint64("live_heap_bytes", live[0].Value.Uint64()).Msg("this process")
	return s.reportSales(ctx)
}

func (s *shop) reportSales(ctx context.Context) error {
	var sales struct {
		Orders int   `db:"orders"`
		Cents  int64 `db:"cents"`
	}
	err := s.query(ctx, func(ctx context.Context, db *sqlx.DB) error {
		return db.GetContext(ctx, &sales, `SELECT count(*) AS orders, coalesce(sum(cents), 0) AS cents FROM demo_orders`)
	})
	if err == nil {
		s.log.Info().Int("orders", sales.Orders).Int64("cents", sales.Cents).Msg("sales so far")
	}
	return err
}
