package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/services/sqldb"
	"github.com/coppice-go/coppice/supervisor"
)

// TestWhoIsRefusedComesBackWhenTheDatabaseIsTriedNext, as the backoff has it.
func TestWhoIsRefusedComesBackWhenTheDatabaseIsTriedNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shop{db: sqldb.New(sqldb.Config{DSN: "shop.db"})}
		refused := func(context.Context, func(*sqlx.DB)) error { return supervisor.ErrUnavailable }
		sup, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{{
			Name: "db", Run: s.db.DB.Run(refused), Backoff: supervisor.Backoff{Min: 17 * time.Second, Max: time.Minute, Jitter: supervisor.NoJitter},
		}}}, supervisor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- sup.Run(ctx) }()
		for _, c := range []struct {
			after time.Duration
			want  string
		}{{time.Second, "16"}, {8500 * time.Millisecond, "8"}, {7400 * time.Millisecond, "1"}, {time.Second, "34"}} {
			time.Sleep(c.after)
			w := httptest.NewRecorder()
			s.refuse(w, supervisor.ErrUnavailable)
			if got := w.Header().Get("Retry-After"); w.Code != http.StatusServiceUnavailable || got != c.want {
				t.Errorf("%d, Retry-After %s, want %s", w.Code, got, c.want)
			}
		}
		cancel()
		<-ended
	})
}
