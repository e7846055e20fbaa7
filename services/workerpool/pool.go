// Package workerpool runs jobs on supervised workers, from a bounded queue,
// and loses none of them.
//
// A Pool outlives its workers. Workers fail, and are stopped and started with
// the tree around them; the queue, the jobs that wait for another attempt and
// the dead letters live in the Pool, and the next workers go on with them. A
// job is always in exactly one place (waiting, or held by one worker) and
// comes to exactly one end:
//
//   - done: Run returned nil;
//   - dead: its last attempt failed, or it was canceled. It is kept, with the
//     error, for TakeDead;
//   - handed back: the Pool was closed before it was done. See Close.
//
// Since a Pool cannot know whether a stop is the last one, nothing is handed
// back until Close is called, after Run of the tree has returned:
//
//	err := sup.Run(ctx)
//	for _, job := range pool.Close() {
//		// store it, or report it
//	}
//
// A panicking job is the job's failure and nothing else. One that calls
// runtime.Goexit takes its worker's goroutine with it, and one that is stuck
// (see Config.BeatTimeout) keeps it: that is a failed attempt of the job, and
// the worker is restarted.
//
// Jobs are held in memory: those that the process dies with are gone.
package workerpool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coppice-go/coppice/services/internal/bell"
	"github.com/coppice-go/coppice/services/internal/fault"
	"github.com/coppice-go/coppice/services/internal/ledger"
	"github.com/coppice-go/coppice/supervisor"
)

var (
	// ErrFull is what TrySubmit returns while the queue is full.
	ErrFull = ledger.ErrFull

	// ErrClosed is what Submit and TrySubmit return once Close was called.
	ErrClosed = ledger.ErrClosed

	// ErrCanceled is the error of jobs that died by Cancel.
	ErrCanceled = ledger.ErrCanceled
)

// Config describes a Pool. Run is needed; every other field has a useful zero
// value. Negative values are faults, reported by supervisor.New.
type Config[J any] struct {
	// Run runs one job, once for each attempt, and returns nil when it is done.
	// Workers call it concurrently. Its context carries the values of the
	// worker's; it ends, with the worker's cause, when the worker is still in
	// Run DrainTimeout after it was told to stop. A Run that outlives that by
	// another 5 s is abandoned: its job counts as in flight until it returns.
	//
	// An attempt fails when Run returns an error, panics or calls
	// runtime.Goexit. An error returned after the context ended is no failure,
	// unless the job was stuck, took too long or was canceled: the job was
	// interrupted, and is run again. So jobs should be idempotent.
	Run func(ctx context.Context, job J) error

	// Workers is how many jobs run at once. Zero means runtime.GOMAXPROCS(0).
	Workers int

	// Queue is how many jobs may wait, for their first attempt or for another,
	// before Submit blocks. Jobs that fail come back even to a full queue, so
	// there can be as many more as there are workers. Zero means 1024.
	Queue int

	// Attempts is how often a job is tried before it is dead. Zero means 3; 1
	// is no retry.
	Attempts int

	// Backoff spaces the attempts of one job; Settle means nothing here. Zero
	// fields take those of supervisor.DefaultBackoff.
	Backoff supervisor.Backoff

	// DrainTimeout is how long running jobs may go on, once the pool is told to
	// stop, before their context ends. Zero means 5 s.
	DrainTimeout time.Duration

	// JobTimeout is how long one attempt may take. Then its context ends, with
	// context.DeadlineExceeded, and it has failed, unless Run returns nil after
	// all. A Run that ignores its context goes on, and holds its worker: only
	// BeatTimeout sees that. Zero is no limit.
	JobTimeout time.Duration

	// BeatTimeout is how long a job may take, from its start and from each
	// supervisor.Beat(ctx), to the next one or to its end. One that takes longer
	// is stuck: its context ends at once, with supervisor.ErrUnhealthy, and its
	// worker is restarted. That attempt has failed, unless Run returns nil after
	// all. Zero expects no beats: busy is not stuck.
	BeatTimeout time.Duration

	// DeadLetters is how many dead jobs are kept for Dead and TakeDead; past it
	// the oldest is forgotten. Zero means 1000.
	DeadLetters int
}

// validate returns every fault of c's fields, each with its mend.
func (c Config[J]) validate() error {
	faults := fault.Of("workerpool")
	faults.Check(c.Run == nil, "Run is nil; set the function that runs a job")
	err := c.Backoff.Validate()
	faults.Check(err != nil, "%w", err)
	faults.NotNegative(c)
	return faults.Err()
}

func (c Config[J]) withDefaults() Config[J] {
	c.Workers = cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	c.Queue = cmp.Or(c.Queue, 1024)
	c.Attempts = cmp.Or(c.Attempts, 3)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 5*time.Second)
	c.DeadLetters = cmp.Or(c.DeadLetters, 1000)
	return c
}

// A Pool runs jobs of type J. New makes one; its methods may be called
// concurrently, and before, while and after its workers run.
type Pool[J any] struct {
	cfg   Config[J]
	fault error

	jobs *ledger.Ledger[J] // where each job is
	work bell.Bell         // rung when a job is queued
	room bell.Bell         // rung when one has left the queue

	teller atomic.Pointer[context.Context] // of the worker that asked last for a job; nil before
	told   atomic.Int64                    // when it was said last how far the pool has got, Unix nanoseconds
}

// DeadJob is a job whose last attempt failed.
type DeadJob[J any] struct {
	Job      J
	Err      error  // of the last attempt: a *supervisor.PanicError, or what wraps supervisor.ErrUnhealthy if it was stuck, ErrCanceled, …
	Stack    string // of the last attempt's panic or Goexit; else ""
	Attempts int    // how many failed
}

// Stats counts jobs. It is one moment's truth, in which always
//
//	Submitted = Done + Dead + HandedBack + Queued + Retrying + InFlight
//
// and the last three are zero once the tree's Run has returned and Close was
// called, but for abandoned jobs that are still in flight.
type Stats struct {
	// Since New.
	Submitted  int // accepted by Submit or TrySubmit
	Done       int
	Dead       int // failed for the last time, or canceled
	Forgotten  int // of the dead: dropped from a full list of dead letters
	HandedBack int

	// Now.
	Queued   int // wait for a worker
	Retrying int // wait for their next attempt to be due
	InFlight int // held by a worker

	// QueueAge is the longest for which a job has been queued by now: it grows
	// while there are too few workers, or none. A job that was tried or
	// interrupted waits anew. Zero if none is queued.
	QueueAge time.Duration
}

// String is for people: "12 queued, the oldest for 3s; 4 in flight, 1204 done".
func (s Stats) String() string {
	line := fmt.Sprintf("%d queued", s.Queued)
	if s.Queued > 0 {
		line += fmt.Sprintf(", the oldest for %v", s.QueueAge.Round(time.Millisecond))
	}
	line += fmt.Sprintf("; %d in flight, %d done", s.InFlight, s.Done)
	if s.Dead > 0 {
		line += fmt.Sprintf(", %d dead", s.Dead)
	}
	return line
}

// New returns a pool without workers: those run where its Spec stands in a
// tree. It never fails; faults in cfg are reported by supervisor.New.
func New[J any](cfg Config[J]) *Pool[J] {
	fault, cfg := cfg.validate(), cfg.withDefaults()
	limits := ledger.Limits{Waiting: cfg.Queue, Attempts: cfg.Attempts, DeadLetters: cfg.DeadLetters}
	return &Pool[J]{cfg: cfg, fault: fault, jobs: ledger.New[J](limits), work: bell.New(), room: bell.New()}
}

// Spec returns a supervisor of the pool's workers, named "1", "2" and so on.
// They start and stop all at once. A worker can only fail by a job, by its
// Goexit or by being stuck, which costs that job an attempt; so restarts need
// no further limit, and the pool never fails. It is up, or degraded, as long as
// one worker is.
func (p *Pool[J]) Spec(name string) supervisor.Spec { return p.SpecN(name, 0) }

// SpecN is Spec with n workers; zero means Config.Workers. All Specs of a pool
// work on the same jobs: by one with another n, Supervisor.Apply resizes the
// pool while it runs, and the jobs of workers that go end as in every stop. A
// negative n is a fault, reported by supervisor.New.
func (p *Pool[J]) SpecN(name string, n int) supervisor.Spec {
	spec := supervisor.Spec{
		Name: name, Children: []supervisor.Spec{}, Fault: p.fault,
		Concurrent: true, Quorum: 1, Intensity: supervisor.Unlimited,
	}
	if n < 0 {
		spec.Fault = errors.Join(p.fault, fmt.Errorf("workerpool: SpecN for %d workers; zero means Config.Workers", n))
	}
	for i := range cmp.Or(n, p.cfg.Workers) {
		spec.Children = append(spec.Children, p.worker(strconv.Itoa(i+1)))
	}
	return spec
}

// Submit adds job to the queue, waiting for room until ctx is done; then it
// returns ctx's cause, or ErrClosed. The pool owns the job only if Submit
// returned nil. Jobs start in the order in which they were accepted; callers
// that wait are served in no particular order.
func (p *Pool[J]) Submit(ctx context.Context, job J) (err error) {
	if !p.room.Await(ctx, func() bool { err = p.TrySubmit(job); return err != ErrFull }) {
		return context.Cause(ctx)
	}
	return err
}

// TrySubmit adds job to the queue, or returns ErrFull or ErrClosed. It never
// waits.
func (p *Pool[J]) TrySubmit(job J) error {
	err := p.jobs.Submit(job)
	if err == nil {
		p.work.Ring()
		p.tell()
	}
	return err
}

// Close ends the pool for good: nothing is accepted any more, and the jobs
// that wait are handed back. It does not wait for jobs in flight; those that
// fail from now on are handed back instead of being tried again, unless it was
// their last attempt. Close returns every job handed back so far, whenever it
// is called. Call it once the tree's Run has returned.
func (p *Pool[J]) Close() []J {
	defer p.room.Ring() // those who wait for room learn that there is none
	return p.jobs.Close()
}

// Cancel cancels all jobs that match, and returns how many there were. Those
// that wait are dead at once. Of those that run the context ends, with
// ErrCanceled as its cause; then they are dead, without another attempt, unless
// Run returns nil after all. Cancel calls match with the pool locked: match must not
// call the pool.
func (p *Pool[J]) Cancel(match func(job J) bool) int {
	defer p.room.Ring()
	return p.jobs.Cancel(match)
}

// Dead returns the dead letters, oldest first.
func (p *Pool[J]) Dead() []DeadJob[J] { return deadJobs(p.jobs.Dead()) }

// TakeDead returns the dead letters, oldest first, and keeps them no longer:
// those who call it get each of them once.
func (p *Pool[J]) TakeDead() []DeadJob[J] { return deadJobs(p.jobs.TakeDead()) }

func deadJobs[J any](entries []ledger.Entry[J]) (dead []DeadJob[J]) {
	for _, e := range entries {
		dead = append(dead, DeadJob[J]{e.Job, e.Err, e.Stack, e.Attempts})
	}
	return dead
}

// Stats returns the counts of this moment.
func (p *Pool[J]) Stats() Stats { return Stats(p.jobs.Counts()) }
