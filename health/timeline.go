package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// The timeline shows what happened lately, a lane for each node.
const (
	timelineSpan = 15 * time.Minute
	maxLanes     = 12
	maxItems     = 200 // of one lane
	maxWhy       = 200 // bytes of an error: events and incidents tell all of it
	timelineStep = 5 * time.Second
)

// A timelineView is the lanes, and the same as rows of a table.
type timelineView struct {
	From, To time.Time
	Reach    time.Time // since when events are known; zero if all of the span is
	Lanes    []laneView
	More     int // nodes to which something happened, and that are left out
}

// A laneView is what happened to one node.
type laneView struct {
	Path  string
	Label string // the path below the root
	Items []itemView

	trouble int       // how much of it was bad
	open    *itemView // a span that has not ended yet
}

// An itemView is a span of time, or a mark if it has no length.
type itemView struct {
	Kind     string // its shape, or colour, in the style sheet
	What     string
	Why      string
	From, To time.Time
	Incident uint64
	X, Width string // per cent

	err error // Why, before it is known whether it is shown
}

// Mark reports whether it is no span.
func (i itemView) Mark() bool { return i.To.IsZero() }

// spans are the events that begin one, and what it is called.
var spans = map[supervisor.EventKind]struct{ kind, what string }{
	supervisor.EventStarted:     {"wait", "starting"},
	supervisor.EventExited:      {"bad", "down"},
	supervisor.EventStartFailed: {"bad", "down"},
	supervisor.EventBackingOff:  {"backoff", "backing off"},
	supervisor.EventParked:      {"parked", "parked"},
	supervisor.EventImpaired:    {"warn", "impaired"},
	supervisor.EventStopping:    {"wait", "stopping"},
	supervisor.EventStopped:     {"off", "stopped"},
	supervisor.EventFenced:      {"bad", "fenced"},
	supervisor.EventGaveUp:      {"bad", "gave up"},
}

// marks are those that are drawn as a point, by shape.
var marks = map[supervisor.EventKind]string{
	supervisor.EventReady:       "start",
	supervisor.EventExited:      "crash",
	supervisor.EventStartFailed: "crash",
	supervisor.EventGaveUp:      "gaveup",
	supervisor.EventAbandoned:   "gaveup",
	supervisor.EventImpaired:    "flip",
	supervisor.EventRecovered:   "flip",
	supervisor.EventRemedy:      "remedy",
}

// weights order the lanes: what was in most trouble comes first.
var weights = map[supervisor.EventKind]int{
	supervisor.EventGaveUp: 1000, supervisor.EventAbandoned: 100, supervisor.EventExited: 50, supervisor.EventParked: 50,
	supervisor.EventStartFailed: 20, supervisor.EventImpaired: 10, supervisor.EventRemedy: 10,
}

// weigh also counts who was taken down by a sibling, but not who was shut down
// with everybody. To end without an error is no trouble for a job that is done;
// who is started again for it must not have ended.
func weigh(e supervisor.Event) int {
	switch {
	case e.Kind == supervisor.EventStopping && e.Err == supervisor.ErrSibling:
		return 2
	case e.Kind == supervisor.EventExited && e.Err == nil:
		return 0
	case e.Kind == supervisor.EventBackingOff && e.Err == nil:
		return weights[supervisor.EventExited]
	}
	return weights[e.Kind]
}

// viewTimeline views events, newest first, and incidents. forgot is when the last
// event was that is not known any more, zero if all are.
func viewTimeline(events []supervisor.Event, forgot time.Time, incidents []supervisor.Incident, now time.Time) timelineView {
	to := now.Truncate(timelineStep).Add(timelineStep)
	v := timelineView{From: to.Add(-timelineSpan), To: to}
	if !forgot.Before(v.From) {
		v.Reach = events[len(events)-1].Time
	}
	lanes := map[string]*laneView{}
	for _, e := range slices.Backward(events) {
		if lanes[e.Path] == nil {
			_, label, _ := strings.Cut(e.Path, "/")
			lanes[e.Path] = &laneView{Path: e.Path, Label: cmp.Or(label, e.Path)}
		}
		lanes[e.Path].add(e, !e.Time.Before(v.From))
	}
	for _, lane := range lanes {
		lane.finish(now, v.From, v.Reach, incidents)
		if len(lane.Items) > 0 && lane.trouble > 0 { // that something has started is not worth a lane
			v.Lanes = append(v.Lanes, *lane)
		}
	}
	slices.SortFunc(v.Lanes, func(a, b laneView) int {
		return cmp.Or(-cmp.Compare(a.trouble, b.trouble), cmp.Compare(a.Path, b.Path))
	})
	v.More = max(0, len(v.Lanes)-maxLanes)
	v.Lanes = v.Lanes[:len(v.Lanes)-v.More]
	v.place()
	return v
}

// add adds what an event begins, ends, and marks.
func (l *laneView) add(e supervisor.Event, counts bool) {
	mark, marked := marks[e.Kind]
	begin, begins := spans[e.Kind]
	if begins || e.Kind == supervisor.EventReady || e.Kind == supervisor.EventRecovered || e.Kind == supervisor.EventIgnored {
		l.end(e.Time)
	}
	if begins {
		l.open = &itemView{Kind: begin.kind, What: begin.what, err: e.Err, From: e.Time, Incident: e.Incident}
	}
	if e.Kind == supervisor.EventExited && e.Err == nil {
		l.open.Kind, l.open.What, mark = "off", "ended", "start"
	}
	if marked {
		l.Items = append(l.Items, itemView{Kind: mark, What: whatOf(e), err: e.Err, From: e.Time, Incident: e.Incident})
	}
	if counts {
		l.trouble += weigh(e)
	}
}

// end ends the span that is open.
func (l *laneView) end(at time.Time) {
	if l.open == nil {
		return
	}
	l.open.To = at
	if at.After(l.open.From) {
		l.Items = append(l.Items, *l.open)
	}
	l.open = nil
}

// finish ends what goes on until now, and forgets what was before from.
func (l *laneView) finish(now, from, reach time.Time, incidents []supervisor.Incident) {
	if l.open != nil && l.open.Kind != "wait" && l.open.Kind != "off" { // however long ago that began
		l.trouble += weights[supervisor.EventExited]
	}
	l.end(now)
	l.Items = slices.DeleteFunc(l.Items, func(i itemView) bool { return i.From.Before(from) && !i.To.After(from) })
	l.forget(from, reach)
	l.recall(incidents, now, from)
	slices.SortStableFunc(l.Items, func(a, b itemView) int {
		return cmp.Or(compareBool(a.Mark(), b.Mark()), a.From.Compare(b.From)) // marks above spans
	})
}

// forget leaves out what ended first if there is too much, and marks the time of
// which nothing is known: an empty lane would say that all was well.
func (l *laneView) forget(from, reach time.Time) {
	what := "not known: older events are forgotten"
	if over := len(l.Items) - maxItems; over > 0 {
		last := l.Items[over-1]
		reach, what = later(last.From, last.To), "left out: too much has happened since"
		l.Items = l.Items[over:]
	}
	if !reach.IsZero() {
		l.Items = append(l.Items, itemView{Kind: "forgotten", What: what, From: from, To: reach})
	}
}

// recall adds the incidents that began with this node.
func (l *laneView) recall(incidents []supervisor.Incident, now, from time.Time) {
	for _, i := range incidents {
		if to := until(i, now); i.Path == l.Path && to.After(from) {
			_, word := outcomeOf(i)
			l.Items = append(l.Items, itemView{
				Kind: "incident", What: fmt.Sprintf("incident %d, %s", i.ID, word), err: i.Cause, From: i.Began, To: to, Incident: i.ID,
			})
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// until is when an incident ended, or now; later than it began in any case.
func until(i supervisor.Incident, now time.Time) time.Time {
	if i.Ended.IsZero() {
		return now
	}
	if i.Ended.After(i.Began) {
		return i.Ended
	}
	return i.Began.Add(time.Millisecond)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// place says where each item is drawn, and why it is.
func (v *timelineView) place() {
	share := func(t time.Time) float64 {
		return min(100, max(0, 100*float64(t.Sub(v.From))/float64(timelineSpan)))
	}
	for _, lane := range v.Lanes {
		for n := range lane.Items {
			i := &lane.Items[n]
			i.Why = whyOf(i.err)
			i.X = fmt.Sprintf("%.2f%%", share(i.From))
			if !i.Mark() {
				i.Width = fmt.Sprintf("%.2f%%", max(0.12, share(i.To)-share(i.From)))
			}
		}
	}
}

// whyOf is an error's text, short. More of it is read than is shown, for secrets
// to be found whole.
func whyOf(err error) string {
	if err == nil {
		return ""
	}
	return clip(shown(fmt.Sprint(err), 4*maxWhy), maxWhy)
}
