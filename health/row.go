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

// isWell reports whether there is nothing to say of a node: it is up, or need
// not be.
func isWell(s *supervisor.Snapshot) bool { return s.Status == supervisor.Up && !stale(*s) }

// rowView is one node on the page.
type rowView struct {
	Path, Name string
	Supervisor bool
	Look       look
	State      string
	Next       string    // what comes next, if it is not well
	Due        *moment   // when, if that is known
	Wait       *waitView // until then
	Budget     *budgetView
	Facts      []string // beside the state
	Probe      *probeFact
	Progress   *progressFact
	Since      *moment
	Error      string
	Past       bool // Error is of an earlier incarnation; it is well now
	Children   []rowView
	More       *moreView
}

// A moreView is what a row does not show of its children, and how to see it.
type moreView struct {
	Count int
	Word  string
	Query string // of the page that shows it; "" if only a search does
}

// A waitView is how much of a wait is over.
type waitView struct {
	From, To time.Time
	Done     int // per cent
}

// A budgetView is how many restarts a supervisor has used of those that it has.
type budgetView struct {
	Used, Of int
	Pips     []pip // none if they are too many to be seen
	Width    int
}

// A pip is one restart that a supervisor may make.
type pip struct {
	X    int
	Used bool
}

const maxPips = 12

// viewBudget is nil for one without a limit.
func viewBudget(s supervisor.Snapshot) *budgetView {
	if !s.Supervisor || s.BudgetLeft < 0 {
		return nil
	}
	b := &budgetView{Used: s.Restarts, Of: s.Restarts + s.BudgetLeft}
	if s.State == supervisor.Failed && s.BudgetLeft == 0 { // the last one was one too many
		b.Used, b.Of = b.Used-1, b.Of-1
	}
	if b.Of <= 0 {
		return nil
	}
	if b.Of <= maxPips {
		b.Width = b.Of * 8
		for i := range b.Of {
			b.Pips = append(b.Pips, pip{X: i * 8, Used: i < b.Used})
		}
	}
	return b
}

// A probeFact is what the probe of a node that is ready says, and how old that
// is.
type probeFact struct {
	Word string
	Look look
	At   *moment
}

// A progressFact is what a worker said last of how far it has got.
type progressFact struct {
	Line string
	At   *moment
}

func viewProgress(s supervisor.Snapshot, c clock) *progressFact {
	if s.Progress == "" {
		return nil
	}
	return &progressFact{Line: shown(s.Progress, maxText), At: c.ago(s.ProgressAt, "%s ago")}
}

func viewProbe(s supervisor.Snapshot, c clock) *probeFact {
	if s.Probe == nil || s.State != supervisor.Ready {
		return nil
	}
	f := &probeFact{Word: "ok", Look: lookFine, At: c.ago(s.Probe.At, "%s ago")}
	switch {
	case stale(s):
		f.Word, f.Look, f.At = "unknown", lookUnknown, c.ago(s.Probe.At, "last checked %s ago")
	case s.Probe.Err != nil:
		f.Word, f.Look = "failed", lookWarn
	}
	return f
}

// viewNode views a node without its children.
func viewNode(s supervisor.Snapshot, c clock) rowView {
	v := rowView{
		Path: s.Path, Name: s.Name(), Supervisor: s.Supervisor, Look: lookOf(s), State: stateOf(s),
		Facts: facts(s), Probe: viewProbe(s, c), Progress: viewProgress(s, c), Since: c.ago(s.Since, "for %s"), Error: textOf(s.LastErr),
	}
	if s.Restarts > 0 {
		v.Budget = viewBudget(s)
	}
	if s.Impairment != nil {
		v.Error = textOf(s.Impairment)
	}
	v.Past = s.Status == supervisor.Up || s.Supervisor && s.State == supervisor.Ready
	v.next(s, c)
	return v
}

// next is what comes next about a node that is not well. What others decide is
// not: those are on the page as well.
func (v *rowView) next(s supervisor.Snapshot, c clock) {
	switch s.State {
	case supervisor.Pending:
		v.Next = "waits for others"
	case supervisor.Fenced:
		v.Next = "waits for its abandoned incarnations to end"
	case supervisor.BackingOff:
		v.Due = c.in(s.NextStart, "next start in %s")
	case supervisor.Parked:
		v.Due = c.in(s.NextStart, "trial start in %s")
	default:
		if next := s.Next(); next != "" {
			v.Next = "next: " + next
		}
	}
	if v.Due != nil && s.NextStart.After(s.Since) {
		v.Wait = &waitView{From: s.Since, To: s.NextStart}
		if !c.quiet {
			v.Wait.Done = int(max(0, min(100, 100*c.now.Sub(s.Since)/s.NextStart.Sub(s.Since)))) // it may have changed since now
		}
	}
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
	add(s.Abandoned > 0, "%d abandoned", s.Abandoned)
	add(s.Quorum > 0, "at least %d must be up", s.Quorum)
	add(s.Optional, "optional")
	add(len(s.DependsOn) > 0, "depends on %s", strings.Join(s.DependsOn, ", "))
	add(s.Incident > 0, "incident %d", s.Incident)
	return facts
}

// builder makes the rows of the tree, so many and no more.
type builder struct {
	clock
	ask  question
	left int
}

func (b *builder) row(s supervisor.Snapshot) rowView {
	b.left--
	v := viewNode(s, b.clock)
	if v.Supervisor && s.Strategy != supervisor.OneForOne {
		v.Facts = append(v.Facts, s.Strategy.String())
	}
	shown, most, folds := b.chosen(s), maxChildren, b.folds(s)
	if folds {
		most = maxOpen
	}
	for _, child := range foremost(shown, min(most, b.left)) {
		if b.left > 0 {
			v.Children = append(v.Children, b.row(child))
		}
	}
	v.More = b.more(s, len(v.Children), len(shown), folds)
	return v
}

// folds reports whether a supervisor has too many children to show those that
// are well unasked.
func (b *builder) folds(s supervisor.Snapshot) bool {
	return len(s.Children) > maxOpen && !b.ask.opens(s.Path) && !b.ask.filters()
}

// chosen are the children that are to be seen.
func (b *builder) chosen(s supervisor.Snapshot) (chosen []supervisor.Snapshot) {
	folds := b.folds(s)
	if !folds && !b.ask.filters() {
		return s.Children
	}
	for i := range s.Children {
		child := &s.Children[i]
		if folds && (!isWell(child) || child.Supervisor) || !folds && b.ask.finds(child) {
			chosen = append(chosen, *child)
		}
	}
	return chosen
}

// more says what is not shown of a supervisor's children: of those chosen, or of
// all.
func (b *builder) more(s supervisor.Snapshot, shown, chosen int, folds bool) *moreView {
	switch hidden := len(s.Children) - shown; {
	case b.ask.filters() && chosen > shown:
		return &moreView{Count: chosen - shown, Word: "more are like that"}
	case b.ask.filters(), hidden == 0:
		return nil
	case folds && chosen == shown:
		return &moreView{Count: hidden, Word: "that are well", Query: b.ask.opening(s.Path)}
	case folds:
		return &moreView{Count: hidden, Word: "more", Query: b.ask.opening(s.Path)}
	default:
		return &moreView{Count: hidden, Word: "more"}
	}
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
