package supervisor

import "fmt"

// State is a node's place in its life.
//
//	Pending ──────► Starting ──────► Ready ───────► Stopping
//	  ▲  │             │ │             │ │             │
//	  │  │             │ └► Stopping   │ └► (over)     │ told to, and ended
//	  │  │ fenced      ▼               ▼               ▼
//	  │  └► Fenced  BackingOff ◄───────┘    Pending, BackingOff, Parked,
//	  │        │    or Parked  failed           Stopped or forgotten
//	  └────────┴───────┘   the delay is over
//
//	over for good: Stopped (ended normally, was ignored, or stopped on
//	request: Start, or a group restart, makes it Pending again), Failed (the
//	child over which its supervisor gave up; a root that gave up).
type State int8

const (
	Pending    State = iota // not started yet: an earlier sibling comes first
	Starting                // Run was called and has not called ready yet
	Ready                   // it can be used
	BackingOff              // it failed, and is started again after a delay
	Stopping                // it was told to stop and has not returned yet
	Stopped                 // it does not run, and nothing will start it by itself
	Failed                  // its supervisor gave up over it
	Fenced                  // it may not run while abandoned incarnations still do
	Parked                  // it failed too often, and is Optional: it is tried again at long intervals
)

// String returns the state in lower case: "backing off".
func (s State) String() string {
	return name(s, "pending", "starting", "ready", "backing off", "stopping", "stopped", "failed", "fenced", "parked")
}

// next lists, for each state, the states that may follow it.
var next = [...]uint{
	Pending:    1<<Starting | 1<<Stopped | 1<<Fenced,
	Starting:   1<<Ready | 1<<BackingOff | 1<<Parked | 1<<Stopping | 1<<Stopped | 1<<Failed | 1<<Pending,
	Ready:      1<<BackingOff | 1<<Parked | 1<<Stopping | 1<<Stopped | 1<<Failed | 1<<Pending,
	BackingOff: 1<<Pending | 1<<Stopped | 1<<Failed,
	Stopping:   1<<Pending | 1<<BackingOff | 1<<Parked | 1<<Stopped | 1<<Failed,
	Stopped:    1 << Pending,
	Failed:     0,
	Fenced:     1<<Pending | 1<<Stopped,
	Parked:     1<<Pending | 1<<Stopped,
}

// mustFollow panics unless to may follow from.
func mustFollow(path string, from, to State) {
	if next[from]&(1<<to) == 0 {
		panic(fmt.Sprintf("bug: %s: %v after %v", path, to, from))
	}
}

// running reports whether an incarnation runs that was not told to stop.
func (s State) running() bool { return s == Starting || s == Ready }
