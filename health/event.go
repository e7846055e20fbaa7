package health

import (
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// eventView is one line of the log.
type eventView struct {
	Seq      uint64
	Time     time.Time
	Path     string
	What     string
	Look     look
	Error    string
	Incident uint64
	Stack    string
}

func viewEvents(events []supervisor.Event) []eventView {
	views := make([]eventView, 0, len(events))
	for _, e := range events {
		views = append(views, eventView{
			Seq: e.Seq, Time: e.Time, Path: e.Path, What: whatOf(e), Look: lookOfEvent(e),
			Incident: e.Incident,
		})
		if v := &views[len(views)-1]; tells(e) {
			v.Error, v.Stack = textOf(e.Err), stackOf(e)
		}
	}
	return views
}

// tells reports whether an event is the first to tell its error.
func tells(e supervisor.Event) bool {
	switch e.Kind {
	case supervisor.EventBackingOff, supervisor.EventParked, supervisor.EventHealed:
		return false
	}
	return true
}

// whatOf says what happened, to whom and why apart.
func whatOf(e supervisor.Event) string {
	what := string(e.Kind)
	switch e.Kind {
	case supervisor.EventBackingOff:
		what += " for " + countdown(e.Delay)
	case supervisor.EventParked:
		what += ", trial start in " + countdown(e.Delay)
	case supervisor.EventHealed:
		what += " after " + countdown(e.Delay)
	case supervisor.EventOperated:
		what += ": " + shown(e.Operation, maxText)
	case supervisor.EventRemedy:
		what += " " + e.Remedy + map[bool]string{true: " helped", false: " did not help"}[e.Err == nil]
	}
	if budgeted(e) && e.BudgetLeft >= 0 {
		what += ", " + number(e.BudgetLeft, "restart") + " left"
	}
	return what
}

func lookOfEvent(e supervisor.Event) look {
	switch e.Kind {
	case supervisor.EventExited, supervisor.EventStartFailed, supervisor.EventAbandoned, supervisor.EventFenced, supervisor.EventGaveUp:
		return lookBad
	case supervisor.EventImpaired, supervisor.EventBackingOff, supervisor.EventWarning:
		return lookWarn
	case supervisor.EventParked:
		return lookParked
	case supervisor.EventRemedy:
		if e.Err != nil {
			return lookWarn
		}
		return lookFine
	case supervisor.EventOperated:
		if e.Err != nil {
			return lookWarn
		}
	case supervisor.EventReady, supervisor.EventRecovered, supervisor.EventReturned, supervisor.EventHealed:
		return lookFine
	case supervisor.EventStarted, supervisor.EventStopping:
		return lookWait
	}
	return lookOff
}
