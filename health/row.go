package health

import (
	"fmt"
	"strings"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// A look is how a node, or the tree, is drawn: a shape, a colour and a word,
// since no one of them is enough for everybody. Worst first.
type look int

const (
	lookBad     look = iota // it failed, or something below it did
	lookWarn                // it works badly, or without an optional part
	lookParked              // it failed too often: it is tried again at long intervals
	lookUnknown             // it was well when its probe said something last, too long ago
	lookWait                // it starts, stops, or waits for its turn
	lookFine                // all is well
	lookOff                 // it does not run, and need not
)

// String is the look's name in the style sheet, and its shape's in the
// template.
func (l look) String() string {
	return [...]string{"bad", "warn", "parked", "unknown", "wait", "fine", "off"}[l]
}

// Word is for people who see neither shape nor colour, and for counts.
func (l look) Word() string {
	return [...]string{"down", "degraded", "parked", "unknown", "in transition", "up", "not running"}[l]
}

// lookOf is how a node is drawn.
func lookOf(s supervisor.Snapshot) look {
	switch {
	case s.State == supervisor.Stopped:
		return lookOff
	case s.State == supervisor.Parked:
		return lookParked
	case s.Status == supervisor.Up && stale(s):
		return lookUnknown
	case s.Status == supervisor.Up:
		return lookFine
	case s.Status == supervisor.Degraded:
		return lookWarn
	case s.State == supervisor.Starting && s.Attempt > 0:
		return lookBad // once more
	case s.State == supervisor.Pending, s.State == supervisor.Starting, s.State == supervisor.Stopping:
		return lookWait
	}
	return lookBad
}

// rowView is one node on the page.
type rowView struct {
	Path, Name string
	Supervisor bool
	Look       look
	State      string
	Facts      []string // beside the state
	Next       string   // what comes next, if it is not well
	Probe      *probeFact
	Since      time.Time
	Ago        string // since when, in words
	Error      string
	Past       bool // Error is of an earlier incarnation; it is well now
	Open       bool
	Children   []rowView
	Hidden     int // children that are not shown
}

// A probeFact is what the probe of a node that is ready says, and how old that
// is.
type probeFact struct {
	Word string
	Look look
	Ago  string
}

func viewProbe(s supervisor.Snapshot, now time.Time) *probeFact {
	if s.Probe == nil || s.State != supervisor.Ready {
		return nil
	}
	f := &probeFact{Word: "ok", Look: lookFine, Ago: span(now.Sub(s.Probe.At)) + " ago"}
	switch {
	case stale(s):
		f.Word, f.Look, f.Ago = "unknown", lookUnknown, ageOf(s)
	case s.Probe.Err != nil:
		f.Word, f.Look = "failed", lookWarn
	}
	return f
}

// viewNode views a node without its children.
func viewNode(s supervisor.Snapshot, now time.Time) rowView {
	v := rowView{
		Path: s.Path, Name: s.Name(), Supervisor: s.Supervisor, Look: lookOf(s), State: stateOf(s),
		Facts: facts(s), Next: next(s), Probe: viewProbe(s, now), Since: s.Since, Error: textOf(s.LastErr),
	}
	if !s.Since.IsZero() {
		v.Ago = span(now.Sub(s.Since))
	}
	if s.Impairment != nil {
		v.Error = textOf(s.Impairment)
	}
	v.Past = s.Status == supervisor.Up || s.Supervisor && s.State == supervisor.Ready
	return v
}

// stateOf is the node's state; of a supervisor that is ready, how it is.
func stateOf(s supervisor.Snapshot) string {
	switch {
	case s.Supervisor && s.State == supervisor.Ready:
		return s.Status.String()
	case s.Impairment != nil:
		return "impaired"
	case lookOf(s) == lookUnknown:
		return "unknown"
	}
	return s.State.String()
}

// next is what comes next about a node that is not well. What others decide is
// not: those are on the page as well.
func next(s supervisor.Snapshot) string {
	switch s.State {
	case supervisor.Pending:
		return "waits for others"
	case supervisor.Fenced:
		return "waits for its abandoned incarnations to end"
	}
	if next := s.Next(); next != "" {
		return "next: " + next
	}
	return ""
}

// facts are what an operator asks next.
func facts(s supervisor.Snapshot) (facts []string) {
	add := func(holds bool, format string, args ...any) {
		if holds {
			facts = append(facts, fmt.Sprintf(format, args...))
		}
	}
	add(s.State == supervisor.BackingOff, "attempt %d", s.Attempt)
	add(s.State == supervisor.Parked, "%s in a row", number(s.Attempt, "failure"))
	add(s.Incarnation > 1, "%s", number(int(s.Incarnation)-1, "restart"))
	add(s.Restarts > 0 && s.BudgetLeft >= 0, "%d of %d restarts used", s.Restarts, s.Restarts+s.BudgetLeft)
	add(s.Abandoned > 0, "%d abandoned", s.Abandoned)
	add(s.Quorum > 0, "at least %d must be up", s.Quorum)
	add(s.Optional, "optional")
	add(len(s.DependsOn) > 0, "depends on %s", strings.Join(s.DependsOn, ", "))
	add(s.Incident > 0, "incident %d", s.Incident)
	return facts
}

// builder makes the rows of the tree, so many and no more.
type builder struct {
	now  time.Time
	left int
}

func (b *builder) row(s supervisor.Snapshot) rowView {
	b.left--
	v := viewNode(s, b.now)
	v.Open = s.Status != supervisor.Up || len(s.Children) <= maxOpen
	if v.Supervisor && s.Strategy != supervisor.OneForOne {
		v.Facts = append(v.Facts, s.Strategy.String())
	}
	for _, child := range foremost(s.Children, min(maxChildren, b.left)) {
		if b.left > 0 {
			v.Children = append(v.Children, b.row(child))
		}
	}
	v.Hidden = len(s.Children) - len(v.Children)
	return v
}

// foremost returns n nodes: all in their order if they are no more, else the
// worst first. Nothing is sorted: there may be a great many.
func foremost(nodes []supervisor.Snapshot, n int) []supervisor.Snapshot {
	if len(nodes) <= n {
		return nodes
	}
	var chosen []supervisor.Snapshot
	for l := lookBad; l <= lookOff; l++ {
		for i := range nodes {
			if len(chosen) >= n {
				return chosen
			}
			if lookOf(nodes[i]) == l {
				chosen = append(chosen, nodes[i])
			}
		}
	}
	return chosen
}

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
			Error: textOf(e.Err), Incident: e.Incident, Stack: stackOf(e),
		})
	}
	return views
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
	case supervisor.EventReady, supervisor.EventRecovered, supervisor.EventReturned, supervisor.EventHealed:
		return lookFine
	case supervisor.EventStarted, supervisor.EventStopping:
		return lookWait
	}
	return lookOff
}

// number is a count of things, in English.
func number(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// span is a length of time for people, in its two largest units.
func span(d time.Duration) string {
	d = max(0, d)
	s, m, h := int(d/time.Second), int(d/time.Minute), int(d/time.Hour)
	switch {
	case m == 0:
		return fmt.Sprintf("%d s", s)
	case h == 0:
		return fmt.Sprintf("%d min %d s", m, s%60)
	case h < 48:
		return fmt.Sprintf("%d h %d min", h, m%60)
	}
	return fmt.Sprintf("%d d %d h", h/24, h%24)
}

// countdown is a short wait, to a tenth of a second while that tells.
func countdown(d time.Duration) string {
	d = max(0, d)
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return span(d)
}
