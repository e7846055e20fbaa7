package health

import (
	"errors"
	"net/http"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// treeJSON is what /tree answers. Its names stay; more may come. Times are
// RFC 3339 in UTC. Of a node, what is empty, zero or never was is left out.
type treeJSON struct {
	Time     time.Time `json:"time"`
	Alive    bool      `json:"alive"`
	NotAlive string    `json:"not_alive,omitempty"` // why not
	Started  bool      `json:"started"`
	Ready    bool      `json:"ready"` // what /readyz says
	Draining bool      `json:"draining"`
	Status   string    `json:"status"`  // up, degraded or down
	Why      string    `json:"why"`     // it is not up; "" if it is
	Dropped  uint64    `json:"dropped"` // events that the observer was too slow for
	Root     nodeJSON  `json:"root"`
}

// nodeJSON is a supervisor.Snapshot.
type nodeJSON struct {
	Path         string     `json:"path"`
	Name         string     `json:"name"`
	Kind         string     `json:"kind"` // supervisor or worker
	Optional     bool       `json:"optional,omitempty"`
	State        string     `json:"state"`
	Status       string     `json:"status"`
	Since        time.Time  `json:"since,omitzero"`
	Incarnation  uint64     `json:"incarnation,omitempty"`
	Attempt      int        `json:"attempt,omitempty"`
	NextStart    time.Time  `json:"next_start,omitzero"`
	LastError    string     `json:"last_error,omitempty"`
	Impairment   string     `json:"impairment,omitempty"`
	Progress     string     `json:"progress,omitempty"` // what it said last of how far it has got
	ProgressAt   time.Time  `json:"progress_at,omitzero"`
	Abandoned    int        `json:"abandoned,omitempty"`
	Next         string     `json:"next,omitempty"`     // what the tree does about it
	Incident     uint64     `json:"incident,omitempty"` // that it is involved in
	DependsOn    []string   `json:"depends_on,omitempty"`
	Probe        *probeJSON `json:"probe,omitempty"`         // what its last check found
	Strategy     string     `json:"strategy,omitempty"`      // of a supervisor
	Restarts     int        `json:"restarts,omitempty"`      // counted against its intensity
	RestartsLeft *int       `json:"restarts_left,omitempty"` // of a supervisor; -1 is no limit
	Quorum       int        `json:"quorum,omitempty"`        // children that must be up
	Children     []nodeJSON `json:"children,omitempty"`      // in start order
}

// probeJSON is a supervisor.ProbeState.
type probeJSON struct {
	At              time.Time `json:"at"`
	TookSeconds     float64   `json:"took_seconds"`
	Error           string    `json:"error,omitempty"`
	Failures        int       `json:"failures"`  // in a row
	Threshold       int       `json:"threshold"` // with so many, remedies come
	IntervalSeconds float64   `json:"interval_seconds"`
	Next            string    `json:"next"`
	Stale           bool      `json:"stale"` // it says nothing of now, good or bad
}

// eventJSON is a supervisor.Event.
type eventJSON struct {
	Seq          uint64    `json:"seq"`
	Time         time.Time `json:"time"`
	Path         string    `json:"path"`
	Kind         string    `json:"kind"` // of the node: supervisor or worker
	Event        string    `json:"event"`
	Incarnation  uint64    `json:"incarnation,omitempty"`
	DelaySeconds float64   `json:"delay_seconds,omitempty"`
	Remedy       string    `json:"remedy,omitempty"`
	Operation    string    `json:"operation,omitempty"`
	Error        string    `json:"error,omitempty"`
	RestartsLeft *int      `json:"restarts_left,omitempty"` // of backing off and parked; -1 is no limit
	Incident     uint64    `json:"incident,omitempty"`      // that it belongs to
	Stack        string    `json:"stack,omitempty"`
}

// tree answers with the whole tree.
func (a *admin) tree() answer {
	snap, ok := a.look()
	if !ok {
		return say(http.StatusServiceUnavailable, tooSlow)
	}
	t := treeJSON{
		Time: time.Now().UTC(), Started: a.sup.Started(), Draining: a.sup.Draining(),
		Ready:  a.probes.readyz("readyz").status != supervisor.Down,
		Status: snap.Status.String(), Why: whyTree(snap), Dropped: a.sup.Dropped(), Root: nodeOf(snap),
	}
	t.NotAlive = textOf(a.sup.Alive())
	t.Alive = t.NotAlive == ""
	return marshal(http.StatusOK, typeJSON, t)
}

func nodeOf(s supervisor.Snapshot) nodeJSON {
	n := nodeJSON{
		Path: s.Path, Name: s.Name(), Kind: kindOf(s.Supervisor), Optional: s.Optional,
		State: s.State.String(), Status: s.Status.String(), Since: s.Since.UTC(),
		Incarnation: s.Incarnation, Attempt: s.Attempt, NextStart: s.NextStart.UTC(),
		LastError: textOf(s.LastErr), Impairment: textOf(s.Impairment), Abandoned: s.Abandoned,
		Progress: shown(s.Progress, maxText), ProgressAt: s.ProgressAt.UTC(),
		Next: s.Next(), Incident: s.Incident, DependsOn: s.DependsOn, Probe: probeOf(s.Probe),
	}
	if s.Supervisor {
		n.Strategy, n.Quorum = s.Strategy.String(), s.Quorum
		n.Restarts, n.RestartsLeft = s.Restarts, &s.BudgetLeft
	}
	for _, child := range s.Children {
		n.Children = append(n.Children, nodeOf(child))
	}
	return n
}

func probeOf(p *supervisor.ProbeState) *probeJSON {
	if p == nil {
		return nil
	}
	return &probeJSON{
		At: p.At.UTC(), TookSeconds: p.Took.Seconds(), Error: textOf(p.Err), Failures: p.Failures, Threshold: p.Threshold,
		IntervalSeconds: p.Interval.Seconds(), Next: p.Next, Stale: p.Stale(time.Now()),
	}
}

func kindOf(isSupervisor bool) string {
	if isSupervisor {
		return "supervisor"
	}
	return "worker"
}

// events answers with what the log holds, newest first.
func (a *admin) events() answer {
	return marshal(http.StatusOK, typeJSON, eventsOf(a.log.Recent(a.log.size())))
}

func eventsOf(events []supervisor.Event) []eventJSON {
	list := []eventJSON{}
	for _, e := range events {
		j := eventJSON{
			Seq: e.Seq, Time: e.Time.UTC(), Path: e.Path, Kind: kindOf(e.Supervisor), Event: string(e.Kind), Incarnation: e.Incarnation,
			DelaySeconds: e.Delay.Seconds(), Remedy: e.Remedy, Operation: shown(e.Operation, maxText), Error: textOf(e.Err), Incident: e.Incident, Stack: stackOf(e),
		}
		if budgeted(e) {
			j.RestartsLeft = &e.BudgetLeft
		}
		list = append(list, j)
	}
	return list
}

// budgeted reports whether an event knows how many restarts are left.
func budgeted(e supervisor.Event) bool {
	return e.Kind == supervisor.EventBackingOff || e.Kind == supervisor.EventParked
}

// stackOf is the stack of a panic, or of what was abandoned, "" for others.
func stackOf(e supervisor.Event) (stack string) {
	defer func() { _ = recover() }() // Unwrap is the worker's own
	stack = e.Stack
	var p *supervisor.PanicError
	if stack == "" && errors.As(e.Err, &p) {
		stack = p.Stack()
	}
	return shown(stack, maxStack)
}
