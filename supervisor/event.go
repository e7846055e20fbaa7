package supervisor

import (
	"fmt"
	"strings"
	"time"
)

// An Event is one thing that happened to one node.
type Event struct {
	// Seq numbers the events of a tree, from 1, before their effects can be
	// seen: a cause has a smaller number than its effects.
	Seq  uint64
	Time time.Time

	Path        string
	Supervisor  bool // of a supervisor, not a worker
	Kind        EventKind
	Incarnation uint64 // counts the starts of a child over the tree's life, from 1; 0 before. One that is added anew counts anew

	// Delay until the next start, of BackingOff and Parked; of Healed, how long
	// the incident lasted.
	Delay time.Duration

	// Remedy is the name of the Remedy, of EventRemedy.
	Remedy string

	// Operation is what is done, and by whom, of EventOperated.
	Operation string

	// Err is why: of Exited, StartFailed, Stopped (if it did not end cleanly),
	// BackingOff, Parked, GaveUp, Impaired, Healed (what began it) and Warning; of Stopping, the cause that the
	// child is told; of EventRemedy, why it did not help, nil if it did; of
	// EventOperated, why it could not be done.
	Err error

	// BudgetLeft is how many restarts the Intensity of its supervisor still
	// allows, of BackingOff and Parked; -1 for no limit.
	BudgetLeft int

	// Incident is the number of the incident that the event belongs to; 0 if
	// to none. See Incident.
	Incident uint64

	// Stack is the stack of the goroutine, of Abandoned, and of Exited after a
	// missed beat, where it could be had.
	Stack string
}

// EventKind says what happened.
type EventKind string

// The kinds of events, in the order of a node's life.
const (
	EventStarted     EventKind = "started"      // Run was called
	EventReady       EventKind = "ready"        // it can be used; of a supervisor, all its awaited children can
	EventIgnored     EventKind = "ignored"      // it returned ErrIgnore: nothing to run
	EventImpaired    EventKind = "impaired"     // it, or its probe, says that it works badly
	EventRecovered   EventKind = "recovered"    // it, or its probe, says that it works well again
	EventRemedy      EventKind = "remedy"       // a Remedy was tried: Err says whether it helped
	EventExited      EventKind = "exited"       // it ended by itself
	EventStartFailed EventKind = "start failed" // it ended by itself before it was ready
	EventBackingOff  EventKind = "backing off"  // it is started again after Delay
	EventParked      EventKind = "parked"       // it failed too often; a trial start is made after Delay
	EventStopping    EventKind = "stopping"     // it is told to stop
	EventStopped     EventKind = "stopped"      // it has ended, as it was told to
	EventAbandoned   EventKind = "abandoned"    // it did not stop in time; its goroutine is left behind
	EventFenced      EventKind = "fenced"       // it may not start while abandoned incarnations run
	EventReturned    EventKind = "returned"     // an abandoned incarnation ended after all
	EventGaveUp      EventKind = "gave up"      // a supervisor fails
	EventHealed      EventKind = "healed"       // the incident is over: what was involved is ready again, Delay after it began
	EventWarning     EventKind = "warning"      // something in the Spec is doubtful
	EventOperated    EventKind = "operated"     // somebody does Operation by hand, or, with Err, could not. See Supervisor.Operated
)

// String is the event in one line, without its time and number:
//
//	shop/storage/db#3 backing off 400ms: connection refused
//
// Loggers and golden traces share it.
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(e.Path)
	if e.Incarnation > 0 {
		fmt.Fprintf(&b, "#%d", e.Incarnation)
	}
	b.WriteByte(' ')
	b.WriteString(string(e.Kind))
	switch {
	case e.Delay > 0:
		fmt.Fprintf(&b, " %v", e.Delay)
	case e.Kind == EventRemedy && e.Err == nil:
		fmt.Fprintf(&b, " %s: helped", e.Remedy)
	case e.Kind == EventRemedy:
		fmt.Fprintf(&b, " %s did not help", e.Remedy)
	case e.Kind == EventOperated:
		fmt.Fprintf(&b, " %s", oneLine(e.Operation))
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(oneLine(strings.TrimPrefix(textOf(e.Err), e.Path+": ")))
	}
	return b.String()
}

// budget words BudgetLeft, where that says something.
func (e Event) budget() string {
	if e.Kind != EventBackingOff && e.Kind != EventParked || e.BudgetLeft < 0 {
		return ""
	}
	return fmt.Sprintf(" (%d more allowed)", e.BudgetLeft)
}

// oneLine keeps an error's text from breaking the line that it is printed in.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " | ")
}
