package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// This file asks the tree for nodes, and never for more than it needs.

// why says in one line why a node is not Up, without its path. The text of its
// error is the worker's own, and may panic.
func why(node supervisor.Snapshot) (reason string) {
	defer func() {
		if v := recover(); v != nil {
			reason = fmt.Sprintf("%v (its error panics)", node.State)
		}
	}()
	return shown(strings.TrimPrefix(node.Why(), node.Path+" "), maxText)
}

// stale reports whether a node is ready as far as its probe knows, which has not
// found out anything for too long: its check takes its time, or the process
// hardly ran. Whether the node is well is unknown then.
func stale(node supervisor.Snapshot) bool {
	return node.State == supervisor.Ready && node.Probe != nil && node.Probe.Stale(time.Now())
}

// checkedAt is when the probe of a node that is ready found something last,
// zero without one.
func checkedAt(node supervisor.Snapshot) (at time.Time) {
	if node.State == supervisor.Ready && node.Probe != nil {
		at = node.Probe.At
	}
	return at
}

// ageOf says how old that is.
func ageOf(node supervisor.Snapshot) string {
	return "last checked " + span(time.Since(checkedAt(node))) + " ago"
}

// textOf is an error's text as it may be shown, "" for none. Package fmt
// survives those that panic.
func textOf(err error) string {
	if err == nil {
		return ""
	}
	return shown(fmt.Sprint(err), maxText)
}

// patience is how long the admin side waits for a snapshot.
const patience = 5 * time.Second

const tooSlow = "the tree does not answer"

// look takes a snapshot. One at a time is taken, however many pages are open,
// and none is waited for for ever: a loop that is stuck may hold its lock, and
// the page must say so.
func (a *admin) look() (snap supervisor.Snapshot, ok bool) {
	late := time.After(a.patience)
	select {
	case a.looking <- struct{}{}:
	case <-late:
		return snap, false
	}
	seen := make(chan supervisor.Snapshot, 1)
	go func() {
		defer func() { <-a.looking }()
		seen <- a.sup.Snapshot()
	}()
	select {
	case snap = <-seen:
		return snap, true
	case <-late:
		return snap, false
	}
}

// A problem is a node that is itself to blame, and how many siblings say the
// same.
type problem struct {
	supervisor.Snapshot
	boss  *supervisor.Snapshot // the supervisor above it; nil above the root
	alike []uint64             // their incidents, 0 for none
}

// problems returns the nodes that are themselves to blame for a tree that is
// not Up, and those of which that is unknown, worst first, in start order
// otherwise, at most limit of them, each for all siblings that say the same, and
// how many there are in all.
func problems(root supervisor.Snapshot, limit int) (worst []problem, total int) {
	p := ranking{limit: limit, over: root.State == supervisor.Failed, first: map[complaint]int{}}
	p.add(&root, nil, false)
	for _, nodes := range p.ranks {
		worst = append(worst, nodes[:min(len(nodes), limit-len(worst))]...)
	}
	return worst, p.total
}

// A ranking collects problems: first what failed, then what is Down besides,
// then what is Down but optional, or below something that is, then what is
// Degraded, then what is unknown.
type ranking struct {
	limit int  // of each rank
	over  bool // the root gave up: who was stopped for it is no problem
	ranks [5][]problem
	first map[complaint]int // of those that say it, in its rank
	total int
}

// A complaint is what children of one supervisor can have in common.
type complaint struct {
	boss *supervisor.Snapshot
	rank int
	text string
}

func (p *ranking) add(s, boss *supervisor.Snapshot, optional bool) {
	optional = optional || s.Optional
	if toBlame(s) && (!p.over || s.State == supervisor.Failed && !failedBelow(s)) {
		p.put(problem{Snapshot: *s, boss: boss}, optional)
	}
	for i := range s.Children {
		p.add(&s.Children[i], s, optional)
	}
}

func (p *ranking) put(s problem, optional bool) {
	p.total++
	rank := rankOf(s, optional)
	says := complaint{s.boss, rank, fmt.Sprint(s.State == supervisor.Parked, s.LastErr, s.Impairment)}
	switch first, ok := p.first[says]; {
	case ok:
		of := &p.ranks[rank][first]
		of.alike = append(of.alike, s.Incident)
	case len(p.ranks[rank]) < p.limit:
		p.first[says] = len(p.ranks[rank])
		p.ranks[rank] = append(p.ranks[rank], s)
	}
}

func rankOf(s problem, optional bool) int {
	switch {
	case s.Status == supervisor.Up:
		return 4
	case s.Status == supervisor.Degraded:
		return 3
	case optional:
		return 2
	case lookOf(s.Snapshot) != lookBad:
		return 1
	}
	return 0
}

// failedBelow reports whether a supervisor gave up over one of its children.
func failedBelow(s *supervisor.Snapshot) bool {
	return slices.ContainsFunc(s.Children, func(child supervisor.Snapshot) bool { return child.State == supervisor.Failed })
}

// toBlame reports whether a node is not Up by itself, or may not be: not for
// what is below it, and not because others come first.
func toBlame(s *supervisor.Snapshot) bool {
	switch s.State {
	case supervisor.Pending:
		return false
	case supervisor.Starting, supervisor.Ready, supervisor.Stopping:
		return !s.Supervisor && (s.Status != supervisor.Up || stale(*s))
	}
	return s.Status != supervisor.Up
}

// whyTree says in one line why the tree is not Up, "" if it is.
func whyTree(root supervisor.Snapshot) string {
	if root.Status == supervisor.Up {
		return ""
	}
	if worst, _ := problems(root, 1); len(worst) > 0 && worst[0].Status != supervisor.Up {
		return worst[0].Path + " " + why(worst[0].Snapshot)
	}
	return root.Path + " " + why(root)
}
