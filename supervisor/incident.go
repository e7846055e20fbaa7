package supervisor

import (
	"cmp"
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
			fmt.Fprintf(&b, "  %v %v%s\n", e.Time.Sub(i.Began).Round(time.Millisecond), e, e.budget())
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

// incidents keeps the last ones.
type incidents struct {
	count atomic.Uint64
	ring  [maxIncidents]atomic.Pointer[trouble] // number n at n % len
}

// A trouble is an incident as it unfolds. Those that are in it hold on to it,
// however many came after it, and meet at its lock and at no other. Each
// failure can begin one, so it is small: what only some have is apart.
type trouble struct {
	id uint64

	path        string // of what failed first; "" until anything is noted
	incarnation uint64 // its

	story      atomic.Pointer[story] // nil: none yet, or it is listed no more; changed with mu held
	mu         sync.Mutex            // guards all below, once anything is noted
	began      time.Time
	took       time.Duration // if it is over
	cause      error
	failures   int32
	involved   int32
	supervisor bool // failed first, not a worker
	over       bool
	healed     bool
}

// A story is what an incident did beyond its first failure.
type story struct {
	before, decisions []Event
	down              []string
	downTotal         int
}

// number is what events and snapshots call it.
func (t *trouble) number() uint64 {
	if t == nil {
		return 0
	}
	return t.id
}

// begin makes a new one, in which who begins it is involved. Nobody else has it
// before the first event is noted.
func (l *incidents) begin() *trouble { return &trouble{id: l.count.Add(1), involved: 1} }

// list puts t in the place of the one that is oldest.
func (l *incidents) list(t *trouble) {
	place := l.place(t)
	for old := place.Load(); old == nil || old.id < t.id; old = place.Load() {
		if place.CompareAndSwap(old, t) {
			old.strip()
			break
		}
	}
}

func (l *incidents) place(t *trouble) *atomic.Pointer[trouble] { return &l.ring[t.id%maxIncidents] }

// strip keeps one that is listed no more small: a child can hold on to its last
// incident for as long as it lives.
func (t *trouble) strip() {
	if t == nil || t.story.Load() == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.story.Store(nil)
}

// note adds an event to t, of ch or of a supervisor itself; failed says that it
// is a failure. The first one takes no lock, and lists t. It adds to the story
// first and looks then whether t is listed, as list does it the other way round:
// one of them finds what the other did.
func (l *incidents) note(t *trouble, e *Event, ch *child, failed bool) {
	if t.path == "" {
		t.first(e, ch, failed)
		l.list(t)
	} else {
		t.note(e, ch, failed)
	}
	if t.story.Load() != nil && l.place(t).Load() != t {
		t.strip()
	}
}

// join counts one more that is involved.
func (t *trouble) join() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.involved++
	t.over, t.healed = false, false
}

// leave counts one less, and reports whether that was the last and all is well.
func (t *trouble) leave(now time.Time, well bool) (healed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.involved--; t.involved > 0 {
		return false
	}
	t.took, t.over, t.healed = now.Sub(t.began), true, well
	return well
}

// event tells that it was healed.
func (t *trouble) event(now time.Time) Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Event{Time: now, Path: t.path, Supervisor: t.supervisor, Kind: EventHealed, Incarnation: t.incarnation,
		Delay: now.Sub(t.began), Err: t.cause, Incident: t.id}
}

// notes reports whether an event of that kind belongs into the incident. One
// that is nil notes none.
func (t *trouble) notes(kind EventKind) bool {
	switch kind {
	case EventExited, EventStartFailed, EventStopping, EventBackingOff, EventParked, EventGaveUp, EventFenced, EventAbandoned:
		return t != nil
	}
	return false
}

func (t *trouble) note(e *Event, ch *child, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if failed {
		t.failures++
	}
	switch ended := e.Kind == EventExited || e.Kind == EventStartFailed; {
	case failed && t.failures == 1: // it was told to stop over it first
		t.cause = orDefault(e.Err, errReturned)
	case ended:
	case e.Kind == EventStopping:
		t.down(ch)
	default:
		t.told().decided(*e)
	}
}

// first notes what the incident begins with.
func (t *trouble) first(e *Event, ch *child, failed bool) {
	t.began, t.path, t.incarnation, t.cause = e.Time, e.Path, e.Incarnation, orDefault(e.Err, errReturned)
	t.supervisor = e.Supervisor
	if failed {
		t.failures = 1
	}
	if ch == nil {
		return
	}
	if before := ch.unit.care.Load().before(); len(before) > 0 {
		t.told().before = before
	}
}

// told returns the story, to be added to.
func (t *trouble) told() *story {
	s := t.story.Load()
	if s == nil {
		s = &story{}
		t.story.Store(s)
	}
	return s
}

func (s *story) decided(e Event) {
	if len(s.decisions) == maxDecisions {
		s.decisions = slices.Delete(s.decisions, 0, 1)
	}
	s.decisions = append(s.decisions, e)
}

// down counts ch, once, among those that were taken down.
func (t *trouble) down(ch *child) {
	if ch.path == t.path || ch.unit.fellIn == t {
		return
	}
	s := t.told()
	if slices.Contains(s.down, ch.path) {
		return
	}
	ch.unit.fellIn = t
	s.downTotal++
	if len(s.down) < maxDown {
		s.down = append(s.down, ch.path)
	}
}

func (l *incidents) all() []Incident {
	all := make([]Incident, 0, maxIncidents)
	for n := range l.ring {
		t := l.ring[n].Load()
		if t == nil {
			continue
		}
		all = append(all, t.now())
	}
	slices.SortFunc(all, func(a, b Incident) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// now returns the incident as it is.
func (t *trouble) now() Incident {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := Incident{ID: t.id, Began: t.began, Path: t.path, Incarnation: t.incarnation, Cause: t.cause,
		Failures: int(t.failures), Healed: t.healed}
	if t.over {
		i.Ended = t.began.Add(t.took)
	}
	if s := t.story.Load(); s != nil {
		i.Before, i.Decisions, i.Down = slices.Clone(s.before), slices.Clone(s.decisions), slices.Clone(s.down)
		i.DownTotal = s.downTotal
	}
	return i
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
