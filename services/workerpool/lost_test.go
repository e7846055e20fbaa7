package workerpool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// Nothing is lost: whatever jobs do, however often the pool is restarted and
// whenever it is stopped, each accepted job comes to exactly one end, and each
// refused one to none. Nor is a job forgotten in the queue: as long as the tree
// runs, each comes to its end.
func TestNothingIsLost(t *testing.T) {
	seeds := 100
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newStorm(t, uint64(seed)).run(seed%2 == 0) })
		})
	}
}

// storm is one random run.
type storm struct {
	t    *testing.T
	pool *Pool[int]

	mu       sync.Mutex // guards the rest
	rand     *rand.Rand
	accepted map[int]bool
	ends     map[int]int // how often Run returned nil, by job
}

func newStorm(t *testing.T, seed uint64) *storm {
	s := &storm{t: t, rand: rand.New(rand.NewPCG(seed, 0)), accepted: map[int]bool{}, ends: map[int]int{}}
	s.pool = New(Config[int]{
		Run: s.job, Workers: 1 + s.pick(8), Queue: 1 + s.pick(20), Attempts: 1 + s.pick(4),
		Backoff: supervisor.Backoff{Min: time.Duration(1 + s.pick(1e9))}, DrainTimeout: time.Duration(1 + s.pick(5e9)), DeadLetters: 1e6,
		BeatTimeout: time.Duration(s.pick(2) * (1 + s.pick(20e9))), // none in half of them
		JobTimeout:  time.Duration(s.pick(2) * (1 + s.pick(30e9))),
	})
	return s
}

func (s *storm) pick(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(n)
}

// upTo sleeps for a random time.
func (s *storm) upTo(d time.Duration) { time.Sleep(time.Duration(s.pick(int(d)))) }

func (s *storm) job(ctx context.Context, j int) error {
	switch s.pick(13) {
	case 0, 1:
		return errBroken
	case 2:
		panic("oops")
	case 3:
		defer func() { panic(errBroken) }()
		runtime.Goexit()
	case 4:
		runtime.Goexit()
	case 5:
		<-ctx.Done() // until the next stop, or until it is stuck
		return context.Cause(ctx)
	case 6:
		<-ctx.Done()
		panic("stopped")
	case 7:
		s.upTo(time.Minute) // whatever ctx says: its worker may be abandoned
		return errBroken
	case 8:
		s.upTo(time.Minute)
	case 9:
		s.upTo(time.Second)
	case 10:
		for range 5 { // slow, and not stuck
			s.upTo(5 * time.Second)
			supervisor.Beat(ctx)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends[j]++
	return nil
}

func (s *storm) submit(ctx context.Context, jobs, base int) {
	for j := base; j < base+jobs; j++ {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(s.pick(int(time.Minute))))
		var err error
		if s.pick(3) == 0 {
			err = s.pool.TrySubmit(j)
		} else {
			err = s.pool.Submit(ctx, j)
		}
		cancel()
		if err == nil {
			s.mu.Lock()
			s.accepted[j] = true
			s.mu.Unlock()
		}
		if s.pick(4) == 0 {
			s.upTo(time.Second)
		}
	}
}

// sibling fails now and then, and takes the whole pool down with it.
func (s *storm) sibling(ctx context.Context) error {
	select {
	case <-time.After(time.Duration(s.pick(int(time.Minute)))):
		return errBroken
	case <-ctx.Done():
		return nil
	}
}

// spec is of the whole tree, with n workers.
func (s *storm) spec(n int) supervisor.Spec {
	return supervisor.Spec{
		Name: "storm", Strategy: supervisor.OneForAll, Intensity: supervisor.Unlimited,
		Children: []supervisor.Spec{s.pool.SpecN("pool", n), {Name: "sibling", Run: supervisor.Func(s.sibling)}},
	}
}

// meddle does what programs do to a pool that runs: make it larger or smaller,
// and cancel jobs.
func (s *storm) meddle(ctx context.Context, tr *tree) {
	for ctx.Err() == nil {
		s.upTo(time.Minute)
		if s.pick(2) == 0 {
			_ = tr.sup.Apply(ctx, s.spec(1+s.pick(12))) // an error where a worker was abandoned, or at the end
			continue
		}
		n := s.pick(20)
		s.pool.Cancel(func(j int) bool { return j%20 == n })
	}
}

func (s *storm) run(calm bool) {
	tr := start(s.t, s.spec(0))
	ctx, cancel := context.WithCancel(s.t.Context())
	meddling, enough := context.WithTimeout(ctx, 10*time.Minute)
	defer enough()
	var submitters sync.WaitGroup
	for i := range 5 {
		submitters.Go(func() { s.submit(ctx, 40, 1000*i) })
	}
	submitters.Go(func() { s.meddle(meddling, tr) })
	for range 20 {
		s.upTo(30 * time.Second)
		s.wantBalance()
	}
	if calm {
		submitters.Wait()
		s.wantAllEnded(tr)
	}
	_ = tr.stop() // an error where workers were abandoned
	cancel()
	submitters.Wait()
	s.pool.Close()
	s.wantBalance()
	time.Sleep(time.Hour) // the abandoned ones end
	s.wantBalance()
	s.wantOneEndEach()
}

// wantAllEnded waits for all jobs to end, unless the tree gives up, as it does
// over too many abandoned workers.
func (s *storm) wantAllEnded(tr *tree) {
	for range 1000 {
		st := s.pool.Stats()
		if st.Queued+st.Retrying+st.InFlight == 0 {
			return
		}
		select {
		case err := <-tr.done:
			tr.done <- err
			return
		case <-time.After(time.Minute):
		}
	}
	s.t.Errorf("jobs were left behind: %+v", s.pool.Stats())
}

func (s *storm) wantBalance() {
	s.t.Helper()
	st := s.pool.Stats()
	if st.Submitted != st.Done+st.Dead+st.HandedBack+st.Queued+st.Retrying+st.InFlight {
		s.t.Errorf("the stats do not add up: %+v", st)
	}
}

func (s *storm) wantOneEndEach() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.pool.Stats()
	if st.Submitted != len(s.accepted) || st.Queued+st.Retrying+st.InFlight != 0 || st.Done != len(s.ends) {
		s.t.Errorf("%d jobs were accepted and %d done; the stats say %+v", len(s.accepted), len(s.ends), st)
	}
	for _, d := range s.pool.Dead() {
		s.ends[d.Job]++
		if d.Attempts != s.pool.cfg.Attempts && !errors.Is(d.Err, ErrCanceled) {
			s.t.Errorf("job %d died after %d attempts", d.Job, d.Attempts)
		}
	}
	for _, j := range s.pool.Close() {
		s.ends[j]++
	}
	for j := range s.accepted {
		if s.ends[j] != 1 {
			s.t.Errorf("job %d came to %d ends, want 1", j, s.ends[j])
		}
	}
	if len(s.ends) != len(s.accepted) {
		s.t.Errorf("%d jobs came to an end, but %d were accepted", len(s.ends), len(s.accepted))
	}
}
