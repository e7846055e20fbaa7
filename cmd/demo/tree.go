package main

import (
	"context"
	"time"

	"github.com/coppice-go/coppice/services/periodic"
	"github.com/coppice-go/coppice/supervisor"
)

// tree is the picture of the program: what starts after what, what goes down
// with what, and what the shop can do without. What the settings say is in it,
// so that a reload is another tree.
func (s *shop) tree(set settings) supervisor.Spec {
	jobs := []supervisor.Spec{
		lively(every(set.prices, s.refreshPrices).Spec("prices"), set.prices.String()),
		lively(every(set.sweep, s.sweepOrders).Spec("sweep"), set.sweep.String()),
		parked(supervisor.Spec{Name: "feed", Run: s.followFeed}),
	}
	if set.report > 0 {
		jobs = append(jobs, lively(every(set.report, s.report).Spec("report"), set.report.String()))
	}
	return supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
		{Name: "storage", StopTimeout: 5 * time.Second, Children: []supervisor.Spec{
			lively(s.db.Spec("db"), ""),
			// However often it fails, the shop does without it rather than give up.
			{Name: "cache", Strategy: supervisor.RestForOne, Optional: true, Intensity: supervisor.Unlimited, Children: []supervisor.Spec{
				parked(s.redis.Spec("server")),
				lively(s.cache.Spec("client"), ""),
			}},
		}},
		s.workers.SpecN("workers", set.workers),
		{Name: "jobs", Concurrent: true, Optional: true, StopTimeout: 3 * time.Second, Children: jobs},
		s.web.Spec("http"),
	}}
}

// every is a task whose period a reload may change: then it is another one, and
// its node has another Revision. That the database is away is no reason to
// restart it: it is only impaired.
func every(d time.Duration, run func(context.Context) error) *periodic.Task {
	return periodic.New(periodic.Config{Every: d, Immediately: true, FailuresToRestart: 100, Run: run})
}

// lively bounds the backoff of a node that waits for something outside: what is
// back is used again within the interval of a probe. An audience is less patient
// than a production server should be.
func lively(spec supervisor.Spec, revision string) supervisor.Spec {
	spec.Backoff.Max, spec.Revision = probeInterval, revision
	return spec
}

// parked makes a node one that nobody needs badly: when it has failed too often
// in a row it is tried now and then, and bothers nobody in between.
func parked(spec supervisor.Spec) supervisor.Spec {
	spec.Optional = true
	spec.Backoff = supervisor.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond, Settle: time.Second, Attempts: 4, Park: time.Second}
	return spec
}
