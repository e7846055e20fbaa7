package health

import (
	"fmt"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// How many incidents the page shows: those that are open, and some that are
// over; and how much of each.
const (
	maxPastIncidents = 8
	maxDown          = 5
)

// A cardView is one thing that broke: a node that is to blame, with what belongs
// to the same incident, or an incident that nobody is to blame for any more.
type cardView struct {
	Path     string
	Look     look
	Node     *rowView    // as it is now; nil if it is well
	Budget   *budgetView // of the supervisor above
	Alike    string      // how many more say the same
	Also     []alsoView  // to blame, in the same incident
	AlsoMore int
	Incident *incidentView
}

// An alsoView is one more node, in a line.
type alsoView struct {
	Path  string
	Look  look
	State string
	Error string
}

// viewCards views what is broken: problems in their order, each incident once,
// and then the incidents that are open otherwise.
func viewCards(worst []problem, open []supervisor.Incident, c clock) []cardView {
	var cards []cardView
	at := map[uint64]int{} // card of an incident
	for _, p := range worst {
		n, ok := at[p.Incident]
		if ok {
			cards[n].also(p)
		} else {
			n = len(cards)
			cards = append(cards, viewProblem(p, open, c))
		}
		for _, id := range append(p.alike, cards[n].incident()) {
			if id > 0 {
				at[id] = n
			}
		}
	}
	for _, i := range open {
		if _, ok := at[i.ID]; !ok {
			v := viewIncident(i, c)
			cards = append(cards, cardView{Path: i.Path, Look: lookWarn, Incident: &v})
		}
	}
	return cards
}

func viewProblem(p problem, open []supervisor.Incident, c clock) cardView {
	node := viewNode(p.Snapshot, c)
	card := cardView{Path: p.Path, Look: node.Look, Node: &node}
	if p.boss != nil && (node.Look == lookBad || p.boss.Restarts > 0) {
		card.Budget = viewBudget(*p.boss)
	}
	if n := len(p.alike); n > 0 {
		card.Alike = fmt.Sprintf("and %d more of %s", n, p.boss.Path)
		if node.Error != "" {
			card.Alike += ", with the same error"
		}
	}
	for _, i := range open {
		if i.ID == p.Incident || i.Path == p.Path {
			v := viewIncident(i, c)
			card.Incident = &v
		}
	}
	return card
}

// incident is the number of its incident, 0 if it has none that is open.
func (c *cardView) incident() uint64 {
	if c.Incident == nil {
		return 0
	}
	return c.Incident.ID
}

func (c *cardView) also(p problem) {
	if len(c.Also) == maxDown {
		c.AlsoMore++
		return
	}
	v := alsoView{Path: p.Path, Look: lookOf(p.Snapshot), State: stateOf(p.Snapshot), Error: textOf(p.LastErr)}
	if p.Impairment != nil {
		v.Error = textOf(p.Impairment)
	}
	c.Also = append(c.Also, v)
}

// Cause is what the incident began with, if the node now says something else.
func (c cardView) Cause() string {
	if c.Incident == nil || c.Node != nil && c.Node.Error == c.Incident.Cause && c.Path == c.Incident.Path {
		return ""
	}
	if c.Path == c.Incident.Path {
		return c.Incident.Cause
	}
	return c.Incident.Path + ": " + c.Incident.Cause
}

// incidentView is an incident on the page, with all that a drawer tells.
type incidentView struct {
	ID       uint64
	Path     string
	Look     look
	Outcome  string
	Failures string // how many, if that tells
	Began    time.Time
	Ended    *moment
	Cause    string
	Decided  string // last
	Down     []string
	DownMore int

	Causes    []string
	Before    []stepView
	Decisions []stepView
	Stack     string
}

// A stepView is an event of an incident, and when, from its beginning.
type stepView struct {
	When, Path, What, Error string
	Look                    look
}

// openOf returns those incidents that are not over, and the last of the others,
// newest first, and how many are left out.
func openOf(list []supervisor.Incident) (open, past []supervisor.Incident, hidden int) {
	for _, i := range list {
		switch {
		case i.Ended.IsZero() && len(open) < maxProblems:
			open = append(open, i)
		case !i.Ended.IsZero() && len(past) < maxPastIncidents:
			past = append(past, i)
		default:
			hidden++
		}
	}
	return open, past, hidden
}

func viewIncidents(list []supervisor.Incident, c clock) (views []incidentView) {
	for _, i := range list {
		views = append(views, viewIncident(i, c))
	}
	return views
}

func viewIncident(i supervisor.Incident, c clock) incidentView {
	v := incidentView{
		ID: i.ID, Path: i.Path, Began: i.Began, Cause: textOf(i.Cause), Causes: causesOf(i.Cause), Stack: shown(i.Stack(), maxStack),
		Before: viewSteps(i.Before, i), Decisions: viewSteps(i.Decisions, i),
	}
	v.Look, v.Outcome = outcomeOf(i)
	v.Ended = c.ago(i.Ended, "%s ago")
	if i.Failures > 1 {
		v.Failures = number(i.Failures, "failure")
	}
	if n := len(i.Decisions); n > 0 {
		e := i.Decisions[n-1]
		v.Decided = e.Path + " " + whatOf(e)
	}
	v.Down = i.Down[:min(len(i.Down), maxDown)]
	v.DownMore = i.DownTotal - len(v.Down)
	return v
}

// viewSteps views events of an incident. An error is told once: what follows
// mostly repeats it.
func viewSteps(events []supervisor.Event, i supervisor.Incident) (steps []stepView) {
	told := textOf(i.Cause)
	for _, e := range events {
		step := stepView{When: fmt.Sprintf("%+.3f s", e.Time.Sub(i.Began).Seconds()), Path: e.Path, What: whatOf(e), Look: lookOfEvent(e)}
		if text := textOf(e.Err); text != told {
			step.Error, told = text, text
		}
		steps = append(steps, step)
	}
	return steps
}

func outcomeOf(i supervisor.Incident) (l look, word string) {
	switch {
	case i.Ended.IsZero():
		return lookBad, "open"
	case i.Healed:
		l, word = lookFine, "healed"
	default:
		l, word = lookOff, "over, not healed,"
	}
	return l, word + " after " + countdown(i.Took())
}
