package health

import (
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// DefaultLogSize is how many events a Log keeps unless it is told.
const DefaultLogSize = 2_000

// Log keeps the latest events of a tree for the admin side. Its Observe is an
// observer, or part of one:
//
//	recent := health.NewLog(0)
//	sup, err := supervisor.New(tree, supervisor.Options{Observer: recent.Observe})
//	admin := health.Admin(sup, health.AdminOptions{Log: recent})
//
// A nil Log is empty.
type Log struct {
	epoch string // tells this Log's event ids from those of the process before

	mu      sync.Mutex // guards all below
	keep    int
	ring    []supervisor.Event // grows up to keep
	next    int                // where the next event goes
	forgot  time.Time          // when the last event was that is not kept any more; zero while all are
	changed chan struct{}      // closed with the next event; nil while nobody waits
}

// NewLog returns a Log that keeps the last n events; zero, or less, means
// DefaultLogSize.
func NewLog(n int) *Log {
	if n <= 0 {
		n = DefaultLogSize
	}
	return &Log{keep: n, epoch: strconv.FormatInt(time.Now().UnixNano(), 36)}
}

// Observe adds an event and forgets the oldest if there are too many. It
// never waits for a reader.
func (l *Log) Observe(e supervisor.Event) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < l.keep {
		l.ring = append(l.ring, e)
	} else {
		l.forgot = l.ring[l.next].Time
		l.ring[l.next] = e
	}
	l.next = (l.next + 1) % l.keep
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Recent returns the last n events, newest first; fewer if there are no more.
func (l *Log) Recent(n int) []supervisor.Event {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recentLocked(n)
}

// all returns the events that are kept, newest first, and when the last of those
// that are not was; zero if there are none.
func (l *Log) all() (events []supervisor.Event, forgot time.Time) {
	if l == nil {
		return nil, time.Time{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recentLocked(l.keep), l.forgot
}

func (l *Log) recentLocked(n int) []supervisor.Event {
	events := make([]supervisor.Event, 0, max(0, min(n, len(l.ring))))
	for i := 1; i <= cap(events); i++ {
		events = append(events, *l.back(i))
	}
	return events
}

// back is the event that is the i-th from the end.
func (l *Log) back(i int) *supervisor.Event {
	return &l.ring[(l.next-i+l.keep)%l.keep]
}

// size is how many events it can keep.
func (l *Log) size() int {
	if l == nil {
		return 0
	}
	return l.keep
}

// newest is the number of the newest event, 0 if there is none.
func (l *Log) newest() uint64 {
	if last := l.Recent(1); len(last) > 0 {
		return last[0].Seq
	}
	return 0
}

// after returns the next events after number seq, oldest first and at most n of
// them, and how many of those up to the last one were lost. If there is none,
// more is closed as soon as there is.
func (l *Log) after(seq uint64, n int) (events []supervisor.Event, lost uint64, more <-chan struct{}) {
	if l == nil {
		return nil, 0, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := sort.Search(len(l.ring), func(i int) bool { return l.back(i+1).Seq <= seq })
	for i := fresh; i > max(0, fresh-n); i-- {
		events = append(events, *l.back(i))
	}
	if len(events) > 0 {
		return events, events[len(events)-1].Seq - seq - uint64(len(events)), nil
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return nil, 0, l.changed
}
