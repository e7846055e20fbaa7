package supervisor

// Status is what a probe wants to know of a node.
type Status int

const (
	// Down: a worker that is not ready, unless it is over for good without
	// having failed; a supervisor that is not ready, or with a child Down that
	// is not Optional (with a Quorum: with fewer children up than that).
	Down Status = iota
	// Degraded: a worker that is ready but impaired; a supervisor with an
	// Optional child Down or a child Degraded.
	Degraded
	// Up: all is well.
	Up
)

// String returns "down", "degraded" or "up".
func (s Status) String() string { return name(s, "down", "degraded", "up") }

// health counts the children of one supervisor by what they do to its status,
// so that no change needs a look at the siblings.
type health struct {
	up       int // children Up or Degraded
	down     int // children Down that are not Optional
	degraded int // children Degraded, and Optional ones Down
}

// count adds by (1 or -1) children of status s.
func (h *health) count(s Status, optional bool, by int) {
	switch {
	case s == Up:
		h.up += by
	case s == Degraded:
		h.up += by
		h.degraded += by
	case optional:
		h.degraded += by
	default:
		h.down += by
	}
}

// status of a supervisor with these children.
func (h *health) status(quorum int) Status {
	switch {
	case quorum > 0 && h.up < quorum:
		return Down
	case quorum == 0 && h.down > 0:
		return Down
	case h.down > 0 || h.degraded > 0:
		return Degraded
	}
	return Up
}
