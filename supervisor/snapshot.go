package supervisor

import (
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"time"
)

// Snapshot is the state of one node at one instant, with those of the nodes
// below it. Each node is consistent in itself; the tree may have moved between
// one node and the next.
type Snapshot struct {
	Path       string
	Supervisor bool
	Optional   bool
	State      State
	Status     Status
	Since      time.Time // when it entered State

	Incarnation uint64    // counts the starts of the child; 0 before the first
	Attempt     int       // consecutive failures that the backoff counts
	NextStart   time.Time // while BackingOff or Parked
	LastErr     error     // of its last failure or unclean stop
	Impairment  error     // what it, or its probe, says while it works badly
	Abandoned   int       // abandoned incarnations that still run
	Incident    uint64    // that it is involved in, or was parked over; 0 if in none
	DependsOn   []string  // names of siblings, as its Spec has it

	// Progress is what the worker said last of how far it has got, "" if it said
	// nothing, and ProgressAt when: see the function of that name.
	Progress   string
	ProgressAt time.Time

	// Probe is what the incarnation's probe found last; nil before its first
	// check, and without one.
	Probe *ProbeState

	// Of a supervisor: the restarts counted against its Intensity, how many
	// it still allows, -1 for no limit, and what its Spec says.
	Restarts   int
	BudgetLeft int
	Strategy   Strategy
	Quorum     int

	Children []Snapshot // in start order
}

// All yields the node and everything below it, parents first.
func (s Snapshot) All() iter.Seq[Snapshot] {
	return func(yield func(Snapshot) bool) { s.all(yield) }
}

func (s Snapshot) all(yield func(Snapshot) bool) bool {
	if !yield(s) {
		return false
	}
	for _, child := range s.Children {
		if !child.all(yield) {
			return false
		}
	}
	return true
}

// Find returns the node at path, which may be the snapshot's own.
func (s Snapshot) Find(path string) (Snapshot, bool) {
	for node := range s.All() {
		if node.Path == path {
			return node, true
		}
	}
	return Snapshot{}, false
}

// Name is the last part of the path.
func (s Snapshot) Name() string {
	_, name := split(s.Path)
	return name
}

// Why says in one line what the node does and why it is not Up; "" if it is.
func (s Snapshot) Why() string {
	if s.Status == Up {
		return ""
	}
	why := fmt.Sprintf("%s %v", s.Path, s.State)
	switch s.State {
	case BackingOff:
		why += fmt.Sprintf(" (attempt %d, next in %v)", s.Attempt, roundUp(time.Until(s.NextStart)))
	case Parked:
		why += fmt.Sprintf(" (after %d failures in a row, next trial in %v)", s.Attempt, roundUp(time.Until(s.NextStart)))
	case Fenced:
		return why + fmt.Sprintf(", %d abandoned incarnations still run", s.Abandoned)
	}
	if err := s.reason(); err != nil {
		why += ": " + oneLine(textOf(err))
	}
	return why
}

func (s Snapshot) reason() error {
	if s.Impairment != nil {
		return s.Impairment
	}
	return s.LastErr
}

// Next says in a few words what the tree does next about a node that is not
// well: "start in 3.2s", "remedy purge (3 of 3 checks failed in a row)". It is
// "" where that hangs on others, and if all is well.
func (s Snapshot) Next() string {
	switch in := roundUp(time.Until(s.NextStart)); {
	case s.State == BackingOff:
		return fmt.Sprintf("start in %v", in)
	case s.State == Parked:
		return fmt.Sprintf("trial start in %v", in)
	case s.State == Ready && s.Probe != nil && s.Probe.Failures > 0:
		return fmt.Sprintf("%s (%d of %d checks failed in a row)", s.Probe.Next, s.Probe.Failures, s.Probe.Threshold)
	}
	return ""
}

// String draws the tree, one node a line.
func (s Snapshot) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	s.draw(w, "", "", s.Path)
	_ = w.Flush() // a Builder takes everything
	return b.String()
}

func (s Snapshot) draw(w io.Writer, branch, below, name string) {
	fmt.Fprintf(w, "%s%s\t%s\n", branch, name, s.line())
	for i, child := range s.Children {
		if i == len(s.Children)-1 {
			child.draw(w, below+"└─ ", below+"   ", child.Name())
		} else {
			child.draw(w, below+"├─ ", below+"│  ", child.Name())
		}
	}
}

// line is the node's state in words.
func (s Snapshot) line() string {
	words := []string{s.State.String()}
	if s.Incarnation > 1 {
		words[0] += fmt.Sprintf(" #%d", s.Incarnation)
	}
	if s.State == BackingOff {
		words = append(words, fmt.Sprintf("attempt %d", s.Attempt))
	}
	if s.Supervisor {
		words = append(words, s.Status.String())
	}
	if s.Restarts > 0 {
		words = append(words, fmt.Sprintf("%d restarts", s.Restarts))
	}
	if s.Abandoned > 0 {
		words = append(words, fmt.Sprintf("%d abandoned", s.Abandoned))
	}
	line := strings.Join(words, ", ")
	if err := s.reason(); err != nil && s.Status != Up {
		line += ": " + oneLine(textOf(err))
	}
	return line
}

// roundUp shortens d for people; it is never 0 before it is.
func roundUp(d time.Duration) time.Duration {
	const step = 100 * time.Millisecond
	return max(0, (d + step - 1).Truncate(step))
}
