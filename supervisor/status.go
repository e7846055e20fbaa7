package supervisor

// Status is what a probe wants to know of a node.
type Status int8

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
