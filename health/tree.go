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
	Abandoned    int        `json:"abandoned,omitempty"`
	Strategy     string     `json:"strategy,omitempty"`      // of a supervisor
	Restarts     int        `json:"restarts,omitempty"`      // counted against its intensity
	RestartsLeft *int       `json:"restarts_left,omitempty"` // of a supervisor; -1 is no limit
	Quorum       int        `json:"quorum,omitempty"`        // children that must be up
	Children     []nodeJSON `json:"children,omitempty"`      // in start order
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
	Error        string    `json:"error,omitempty"`
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

func kindOf(isSupervisor bool) string {
	if isSupervisor {
		return "supervisor"
	}
	return "worker"
}

// events answers with what the log holds, newest first.
func (a *admin) events() answer {
	list := []eventJSON{}
	for _, e := range a.log.Recent(a.log.size()) {
		list = append(list, eventJSON{
			Seq: e.Seq, Time: e.Time.UTC(), Path: e.Path, Kind: kindOf(e.Supervisor), Event: string(e.Kind),
			Incarnation: e.Incarnation, DelaySeconds: e.Delay.Seconds(), Error: textOf(e.Err), Stack: stackOf(e),
		})
	}
	return marshal(http.StatusOK, typeJSON, list)
}

// stackOf is the stack of a panic, or of what was abandoned, "" for others.
func stackOf(e supervisor.Event) string {
	var p *supervisor.PanicError
	if e.Stack == "" && errors.As(e.Err, &p) {
		return p.Stack()
	}
	return e.Stack
}
