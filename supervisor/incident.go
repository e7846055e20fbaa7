package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An Incident is one failure with all that followed from it: the siblings that
// it took down, the restarts, what it led to in the supervisors above, until
// everything that was involved is ready again. Failures of a child that has
// not settled (Backoff.Settle) since belong to the same incident.
type Incident struct {
	ID          uint64 // as in Event.Incident; ascending
	Began       time.Time
	Path        string // of the child that failed first
	Incarnation uint64
	Cause       error // its failure
	Failures    int   // how many failures there were, of whomever

	// Ended is when nothing was involved any more; zero while something is, and
	// again when what was ready fails before it has settled. Healed says that
	// the last one involved was ready then: not parked, or stopped.
	Ended  time.Time
	Healed bool

	// Before is what the first child's probe and remedies said just before, and
	// Decisions what supervisors decided: to back off, to park, to give up. The
	// last ones, oldest first.
	Before    []Event
	Decisions []Event

	// Down are the paths that were taken down with it, at most 20 of
	// DownTotal.
	Down      []string
	DownTotal int
}

// Limits of what an Incident remembers, and of how many are.
const (
	maxIncidents = 64
	maxDecisions = 16
	maxDown      = 20
)

// Took returns how long the incident has lasted, or did.
func (i Incident) Took() time.Duration {
	if i.Ended.IsZero() {
		return time.Since(i.Began)
	}
	return i.Ended.Sub(i.Began)
}

// Stack returns the stack of the first failure, if it has one: of a panic, or
// of a worker that was stuck.
func (i Incident) Stack() string { return stackIn(i.Cause) }

// String is the incident in one line:
//
//	incident 7: shop/storage/db#3: connection refused; took down 2; healed in 3.2s
func (i Incident) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "incident %d: %s#%d: %s", i.ID, i.Path, i.Incarnation, oneLine(strings.TrimPrefix(textOf(i.Cause), i.Path+": ")))
	if i.Failures > 1 {
		fmt.Fprintf(&b, "; %d failures", i.Failures)
	}
	if i.DownTotal > 0 {
		fmt.Fprintf(&b, "; took down %d", i.DownTotal)
	}
	fmt.Fprintf(&b, "; %s", i.outcome())
	return b.String()
}

func (i Incident) outcome() string {
	switch took := i.Took().Round(time.Millisecond); {
	case i.Ended.IsZero():
		return fmt.Sprintf("not over after %v", took)
	case i.Healed:
		return fmt.Sprintf("healed in %v", took)
	default:
		return fmt.Sprintf("over after %v, not healed", took)
	}
}

// Report is the incident in full, for people: its line, what was said just
// before, what was decided at each level, what went down with it, the stack.
func (i Incident) Report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %v\n", i.Began.Format(time.RFC3339Nano), i)
	list := func(title string, events []Event) {
		for n, e := range events {
			if n == 0 {
				fmt.Fprintf(&b, "%s:\n", title)
			}
			fmt.Fprintf(&b, "  %+v %v%s\n", e.Time.Sub(i.Began).Round(time.Millisecond), e, e.budget())
		}
	}
	list("just before", i.Before)
	list("decided", i.Decisions)
	if len(i.Down) > 0 {
		fmt.Fprintf(&b, "down with it (%d):\n  %s\n", i.DownTotal, strings.Join(i.Down, "\n  "))
	}
	if stack := i.Stack(); stack != "" {
		fmt.Fprintf(&b, "stack:\n%s\n", stack)
	}
	return b.String()
}

// Incidents returns the last incidents, at most 64, oldest first.
func (s *Supervisor) Incidents() []Incident { return s.incidents.all() }

// incidents keeps the last ones. An incident has a lock of its own: those who
// work on different ones never meet.
type incidents struct {
	last  atomic.Uint64
	cells [maxIncidents]incidentCell // number n at n % len
}

type incidentCell struct {
	mu       sync.Mutex // guards all below
	incident Incident
	involved int
}

// next returns a new number.
func (l *incidents) next() uint64 { return l.last.Add(1) }

// with calls f with the cell of an incident, locked, unless a later one has
// taken its place.
func (l *incidents) with(id uint64, f func(c *incidentCell)) {
	c := &l.cells[id%maxIncidents]
	c.mu.Lock()
	defer c.mu.Unlock()
	if id > c.incident.ID {
		c.incident, c.involved = Incident{ID: id}, 0
	}
	if id == c.incident.ID {
		f(c)
	}
}

// join counts one more that is involved.
func (l *incidents) join(id uint64) {
	l.with(id, func(c *incidentCell) {
		c.involved++
		c.incident.Ended, c.incident.Healed = time.Time{}, false
	})
}

// leave counts one less, and returns the incident if that was the last.
func (l *incidents) leave(id uint64, now time.Time, healed bool) (over Incident, ok bool) {
	l.with(id, func(c *incidentCell) {
		if c.involved--; c.involved == 0 {
			c.incident.Ended, c.incident.Healed = now, healed
			over, ok = c.incident, true
		}
	})
	return over, ok
}

// note adds an event, of ch or of a supervisor itself, to its incident.
func (l *incidents) note(e Event, ch *child) {
	switch e.Kind {
	case EventExited, EventStartFailed, EventStopping, EventBackingOff, EventParked, EventGaveUp, EventFenced, EventAbandoned:
		l.with(e.Incident, func(c *incidentCell) {
			if c.incident.Path == "" && ch != nil {
				c.incident.Before = ch.unit.care.Load().before()
			}
			c.incident.note(e)
		})
	}
}

func (i *Incident) note(e Event) {
	failed := e.Kind == EventExited || e.Kind == EventStartFailed
	if failed {
		i.Failures++
	}
	switch {
	case i.Path == "":
		i.Began, i.Path, i.Incarnation, i.Cause = e.Time, e.Path, e.Incarnation, e.Err
	case e.Kind == EventStopping:
		i.down(e)
	case failed && i.Failures == 1: // it was stopped over it first
		i.Cause = e.Err
	case !failed:
		i.Decisions = append(i.Decisions, e)
		if len(i.Decisions) > maxDecisions {
			i.Decisions = slices.Delete(i.Decisions, 0, 1)
		}
	}
}

func (i *Incident) down(e Event) {
	if e.Path == i.Path || slices.Contains(i.Down, e.Path) {
		return
	}
	i.DownTotal++
	if len(i.Down) < maxDown {
		i.Down = append(i.Down, e.Path)
	}
}

func (l *incidents) all() []Incident {
	var all []Incident
	for n := range l.cells {
		c := &l.cells[n]
		c.mu.Lock()
		if i := c.incident; i.Path != "" {
			i.Before, i.Decisions, i.Down = slices.Clone(i.Before), slices.Clone(i.Decisions), slices.Clone(i.Down)
			all = append(all, i)
		}
		c.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b Incident) int { return int(a.ID) - int(b.ID) })
	return all
}

// stackIn returns the stack that an error tells, "" if it tells none.
func stackIn(err error) (stack string) {
	defer func() { _ = recover() }() // the methods of err are the worker's own
	var told interface{ Stack() string }
	if errors.As(err, &told) {
		stack = told.Stack()
	}
	return stack
}
