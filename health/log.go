package health

import (
	"sync"

	"github.com/coppice-go/coppice/supervisor"
)

// DefaultLogSize is how many events a Log keeps unless it is told.
const DefaultLogSize = 200

// Log keeps the latest events of a tree for the admin side. Its Observe is an
// observer, or part of one:
//
//	recent := health.NewLog(0)
//	sup, err := supervisor.New(tree, supervisor.Options{Observer: recent.Observe})
//	admin := health.Admin(sup, health.AdminOptions{Log: recent})
//
// A nil Log is empty.
type Log struct {
	mu   sync.Mutex // guards all below
	ring []supervisor.Event
	next int // where the next event goes
	full bool
}

// NewLog returns a Log that keeps the last n events; zero, or less, means
// DefaultLogSize.
func NewLog(n int) *Log {
	if n <= 0 {
		n = DefaultLogSize
	}
	return &Log{ring: make([]supervisor.Event, n)}
}

// Observe adds an event and forgets the oldest if there are too many. It
// never waits for a reader.
func (l *Log) Observe(e supervisor.Event) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring[l.next] = e
	l.next = (l.next + 1) % len(l.ring)
	l.full = l.full || l.next == 0
}

// Recent returns the last n events, newest first; fewer if there are no more.
func (l *Log) Recent(n int) []supervisor.Event {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.next
	if l.full {
		kept = len(l.ring)
	}
	events := make([]supervisor.Event, 0, max(0, min(n, kept)))
	for i := 1; i <= cap(events); i++ {
		events = append(events, l.ring[(l.next-i+len(l.ring))%len(l.ring)])
	}
	return events
}

// size is how many events it can keep.
func (l *Log) size() int {
	if l == nil {
		return 0
	}
	return len(l.ring)
}
