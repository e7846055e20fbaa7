package main

import (
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// tree is the picture of the program: what starts after what, what goes down
// with what, and what the shop can do without.
func (s *shop) tree() supervisor.Spec {
	return supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
		{Name: "storage", StopTimeout: 5 * time.Second, Children: []supervisor.Spec{
			{Name: "db", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
				lively(s.db.Spec("pool")),
				{Name: "schema", Run: s.createSchema},
			}},
			{Name: "cache", Strategy: supervisor.RestForOne, Optional: true, Children: []supervisor.Spec{
				s.redis.Spec("server"),
				lively(s.cache.Spec("client")),
			}},
		}},
		s.workers.Spec("workers"),
		{Name: "jobs", Concurrent: true, Optional: true, StopTimeout: 3 * time.Second, Children: []supervisor.Spec{
			lively(s.prices.Spec("prices")),
			lively(s.sweep.Spec("sweep")),
		}},
		s.web.Spec("http"),
	}}
}

// lively bounds the backoff of a node that waits for something outside: an
// audience is less patient than a production server should be.
func lively(spec supervisor.Spec) supervisor.Spec {
	spec.Backoff.Max = 2 * time.Second
	return spec
}
