// Package ledger keeps the books of a pool of workers: which jobs there are,
// where each of them is, and to which end it came. It decides and waits for
// nothing; a driver runs the jobs, and calls Retry when one is due.
//
//	Submit ──► queued ── Take ──► in flight ─┬─ Done ────────► done
//	             ▲                           ├─ Interrupted ─► queued, the first again
//	             └──── Retry ── retrying ◄───┴─ Failed ──────► dead, after the last attempt
//
// Close hands back what is queued and what is retrying, and from then on what
// would become so again. Cancel buries what is queued and what is retrying, and
// what is in flight if it is not done in the end.
package ledger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// What Submit returns, and the error of what was canceled. They are the pool's,
// and so worded.
var (
	ErrFull     = errors.New("workerpool: queue is full")
	ErrClosed   = errors.New("workerpool: closed")
	ErrCanceled = errors.New("workerpool: canceled")
)

// Limits bound a ledger. All must be positive.
type Limits struct {
	Waiting     int // jobs that wait, for an attempt or for it to be due, for Submit to refuse more
	Attempts    int // of each job
	DeadLetters int // that are kept
}

// A Ledger holds jobs of type J. Each is in exactly one place: queued, in
// flight, retrying, dead, handed back, or gone because it is done. New makes
// one; its methods may be called concurrently, and each is one step.
type Ledger[J any] struct {
	limits Limits

	mu         sync.Mutex // guards all below
	closed     bool
	queue      []*Entry[J]
	retrying   map[*Entry[J]]bool   // those whose next attempt is not due
	inFlight   map[*Entry[J]]func() // what ends the attempt; nil if nothing does
	dead       []Entry[J]           // oldest first
	handedBack []J
	counts     Counts // but for what the lengths of the above say
}

// An Entry is a job on its way to its one end. While it is in flight it is
// held by one worker, who may read it.
type Entry[J any] struct {
	Job      J
	Err      error  // of the last attempt that failed
	Stack    string // of that attempt
	Attempts int    // how many failed

	canceled bool
	since    time.Time // it is in the queue; guarded by the ledger
}

// Counts is one moment's truth, in which always
//
//	Submitted = Done + Dead + HandedBack + Queued + Retrying + InFlight
type Counts struct {
	Submitted, Done, Dead, Forgotten, HandedBack int           // so far
	Queued, Retrying, InFlight                   int           // now
	QueueAge                                     time.Duration // for how long the oldest of the queue has been there
}

// New returns an empty ledger.
func New[J any](limits Limits) *Ledger[J] {
	return &Ledger[J]{limits: limits, retrying: map[*Entry[J]]bool{}, inFlight: map[*Entry[J]]func(){}}
}

// Submit queues a new job, or returns ErrFull or ErrClosed.
func (l *Ledger[J]) Submit(job J) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return ErrClosed
	case len(l.queue)+len(l.retrying) >= l.limits.Waiting:
		return ErrFull
	}
	l.counts.Submitted++
	l.enqueue(len(l.queue), &Entry[J]{Job: job})
	return nil
}

// Take gives the first job of the queue to the caller, nil if there is none.
// For each that it gave, one of Done, Interrupted and Failed must be called,
// once.
func (l *Ledger[J]) Take() *Entry[J] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	e := l.queue[0]
	l.queue[0] = nil // let go of it
	l.queue = l.queue[1:]
	l.inFlight[e] = nil
	return e
}

// Stoppable says what ends the attempt of e, which is in flight, and does so if
// it was canceled before.
func (l *Ledger[J]) Stoppable(e *Entry[J], stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight[e] = stop; e.canceled {
		stop()
	}
}

// Done says that the job of e is done.
func (l *Ledger[J]) Done(e *Entry[J]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.inFlight, e)
	l.counts.Done++
}

// Interrupted says that the attempt was broken off: the job is the next to be
// taken, as it had begun before those that wait, and has not used an attempt.
func (l *Ledger[J]) Interrupted(e *Entry[J]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.inFlight, e)
	switch {
	case e.canceled:
		l.bury(e)
	case l.closed:
		l.handBack(e)
	default:
		l.enqueue(0, e)
	}
}

// Failed says that the attempt failed, and reports whether there is another:
// then Retry is to be called when it is due.
func (l *Ledger[J]) Failed(e *Entry[J], err error, stack string) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.inFlight, e)
	e.Attempts++
	if e.canceled {
		err = fmt.Errorf("%w: %w", ErrCanceled, err)
	}
	e.Err, e.Stack = err, stack
	switch {
	case e.canceled, e.Attempts >= l.limits.Attempts:
		l.bury(e)
	case l.closed:
		l.handBack(e)
	default:
		l.retrying[e] = true
	}
	return l.retrying[e]
}

// Retry queues e for its next attempt, unless Close was quicker.
func (l *Ledger[J]) Retry(e *Entry[J]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retrying[e] {
		delete(l.retrying, e)
		l.enqueue(len(l.queue), e)
	}
}

// Cancel buries those jobs that wait and match, stops the attempts of those that
// are in flight and match, and returns how many there were of both. It calls
// match, and what stops an attempt, with the ledger locked.
func (l *Ledger[J]) Cancel(match func(J) bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var chosen []*Entry[J] // all, before anything changes: match may panic
	for _, e := range slices.Concat(l.queue, slices.Collect(maps.Keys(l.retrying)), slices.Collect(maps.Keys(l.inFlight))) {
		if !e.canceled && match(e.Job) {
			chosen = append(chosen, e)
		}
	}
	for _, e := range chosen {
		l.cancel(e)
	}
	l.queue = slices.DeleteFunc(l.queue, func(e *Entry[J]) bool { return e.canceled })
	return len(chosen)
}

// cancel cancels e; if it is queued the caller takes it out. He holds l.mu.
func (l *Ledger[J]) cancel(e *Entry[J]) {
	e.canceled, e.Err, e.Stack = true, ErrCanceled, ""
	stop, held := l.inFlight[e]
	if !held {
		delete(l.retrying, e)
		l.bury(e)
	} else if stop != nil {
		stop()
	}
}

// Close refuses jobs from now on, and hands back those that wait. It returns
// all that were handed back so far, in the order of the queue; those that were
// retrying come last.
func (l *Ledger[J]) Close() []J {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, e := range l.queue {
		l.handBack(e)
	}
	for e := range l.retrying {
		l.handBack(e)
	}
	l.queue, l.retrying = nil, nil
	return slices.Clone(l.handedBack)
}

// Dead returns the dead letters, oldest first.
func (l *Ledger[J]) Dead() []Entry[J] {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.dead)
}

// TakeDead returns the dead letters, oldest first, and keeps them no longer.
func (l *Ledger[J]) TakeDead() (dead []Entry[J]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	dead, l.dead = l.dead, nil
	return dead
}

// Counts returns the counts of this moment.
func (l *Ledger[J]) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts
	c.HandedBack, c.Queued, c.Retrying, c.InFlight = len(l.handedBack), len(l.queue), len(l.retrying), len(l.inFlight)
	if c.Queued > 0 {
		c.QueueAge = time.Since(l.oldest().since)
	}
	return c
}

// oldest returns who has been in the queue for the longest time, which is not
// empty. In front are those who were interrupted, the last first, and behind
// them the others, the first first: it is where they meet. The caller holds l.mu.
func (l *Ledger[J]) oldest() *Entry[J] {
	e := l.queue[0]
	for _, next := range l.queue[1:] {
		if next.since.After(e.since) {
			break
		}
		e = next
	}
	return e
}

// enqueue puts e into the queue. The caller holds l.mu.
func (l *Ledger[J]) enqueue(at int, e *Entry[J]) {
	e.since = time.Now()
	l.queue = slices.Insert(l.queue, at, e)
}

// bury adds e to the dead letters. The caller holds l.mu.
func (l *Ledger[J]) bury(e *Entry[J]) {
	l.counts.Dead++
	l.dead = append(l.dead, *e)
	if len(l.dead) > l.limits.DeadLetters {
		l.counts.Forgotten++
		l.dead = slices.Delete(l.dead, 0, 1)
	}
}

// handBack adds e's job to those handed back. The caller holds l.mu.
func (l *Ledger[J]) handBack(e *Entry[J]) { l.handedBack = append(l.handedBack, e.Job) }
