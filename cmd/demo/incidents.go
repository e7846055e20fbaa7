package main

import (
	"context"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/supervisor"
)

// restful is how long an incident is over before it is told: what fails again
// meanwhile is the same one, and would be told twice.
const restful = 2 * time.Second

// tellIncidents logs each incident, in a line, once it is over; those that are
// not, when ctx is done. The channel that it returns is closed after the last.
func (p *program) tellIncidents(ctx context.Context, log zerolog.Logger) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		told := map[uint64]bool{}
		for pause(ctx, restful/2) {
			p.tellThose(told, log, restful)
		}
		p.tellThose(told, log, 0)
	}()
	return done
}

// fatal returns the incident over which the root gave up, the last one if it did
// not: others can have begun after it.
func fatal(incidents []supervisor.Incident, root string) (last supervisor.Incident) {
	for _, i := range incidents {
		last = i
		if slices.ContainsFunc(i.Decisions, func(e supervisor.Event) bool { return e.Kind == supervisor.EventGaveUp && e.Path == root }) {
			break
		}
	}
	return last
}

// tellThose logs the incidents that have been over for that long and were not
// told; 0 is all.
func (p *program) tellThose(told map[uint64]bool, log zerolog.Logger, over time.Duration) {
	for _, i := range p.sup.Incidents() {
		if told[i.ID] || over > 0 && (i.Ended.IsZero() || time.Since(i.Ended) < over) {
			continue
		}
		told[i.ID] = true
		line := log.Info()
		if !i.Healed {
			line = log.Warn()
		}
		line.Uint64("incident", i.ID).Str("at", i.Path).Msg(i.String())
	}
}
