package main

import (
	"context"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/redact"
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
		var told map[uint64]bool
		for pause(ctx, restful/2) {
			told = tellThose(p.sup.Incidents(), told, log, restful)
		}
		tellThose(p.sup.Incidents(), told, log, 0)
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

// tellThose logs the listed incidents that have been over for that long, 0 is
// all, and were not told. It returns those of the list that were told by now:
// what is off the list does not come back.
func tellThose(list []supervisor.Incident, told map[uint64]bool, log zerolog.Logger, over time.Duration) map[uint64]bool {
	now := make(map[uint64]bool, len(list))
	for _, i := range list {
		rested := over == 0 || !i.Ended.IsZero() && time.Since(i.Ended) >= over
		if rested && !told[i.ID] {
			tellIncident(i, log)
		}
		now[i.ID] = rested || told[i.ID]
	}
	return now
}

func tellIncident(i supervisor.Incident, log zerolog.Logger) {
	line := log.Info()
	if !i.Healed {
		line = log.Warn()
	}
	line.Uint64("incident", i.ID).Str("at", i.Path).Msg(redact.Secrets(i.String()))
}
