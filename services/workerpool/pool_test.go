package workerpool

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

var errBroken = errors.New("broken")

// tree runs children below a root, and records its events.
type tree struct {
	sup    *supervisor.Supervisor
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	events []supervisor.Event
}

func start(t *testing.T, root supervisor.Spec) *tree {
	t.Helper()
	tr := &tree{done: make(chan error, 1)}
	sup, err := supervisor.New(root, supervisor.Options{Observer: tr.observe})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	tr.sup, tr.cancel = sup, cancel
	go func() { tr.done <- sup.Run(ctx) }()
	return tr
}

func startPool[J any](t *testing.T, p *Pool[J]) *tree {
	t.Helper()
	return start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{p.Spec("pool")}})
}

func (tr *tree) observe(e supervisor.Event) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.events = append(tr.events, e)
}

func (tr *tree) count(kind supervisor.EventKind) (n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, e := range tr.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// stop ends the tree and returns what Run did.
func (tr *tree) stop() error {
	tr.cancel()
	return <-tr.done
}

func submit[J any](t *testing.T, p *Pool[J], jobs ...J) {
	t.Helper()
	for _, j := range jobs {
		if err := p.Submit(t.Context(), j); err != nil {
			t.Fatalf("Submit(%v): %v", j, err)
		}
	}
}

// wantStats wants these counts; QueueAge is no count.
func wantStats[J any](t *testing.T, p *Pool[J], want Stats) {
	t.Helper()
	got := p.Stats()
	got.QueueAge = 0
	if got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
}

func TestConformance(t *testing.T) {
	ok := func(context.Context, int) error { return nil }
	servicetest.Run(t, servicetest.Subject{
		New: func(*testing.T) (supervisor.Spec, servicetest.Harm) {
			return New(Config[int]{Run: ok, Workers: 1}).Spec("pool"), servicetest.Harm{}
		},
		BadStarts: func(*testing.T) []supervisor.Spec {
			return []supervisor.Spec{New(Config[int]{}).Spec("pool"), New(Config[int]{Run: ok, Workers: -1}).Spec("pool")}
		},
	})
}

// S5: every fault at once, each with the path.
func TestFaultsAreReportedBeforeAnythingStarts(t *testing.T) {
	p := New(Config[int]{Workers: -1, Queue: -1, Attempts: -1, DrainTimeout: -1, BeatTimeout: -1, DeadLetters: -1, Backoff: supervisor.Backoff{Min: 2, Max: 1}})
	_, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{p.Spec("pool")}}, supervisor.Options{})
	if err == nil {
		t.Fatal("New accepted a faulty pool")
	}
	for _, want := range []string{"shop/pool", "Run", "Workers", "Queue", "Attempts", "DrainTimeout", "BeatTimeout", "DeadLetters", "Config.Backoff.Min"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the fault does not name %s: %v", want, err)
		}
	}
}

func TestJobsRunInTheOrderOfSubmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran []int
		p := New(Config[int]{Workers: 1, Run: func(_ context.Context, j int) error {
			ran = append(ran, j)
			return nil
		}})
		submit(t, p, 1, 2, 3)
		tr := startPool(t, p)
		synctest.Wait()
		if want := []int{1, 2, 3}; !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v", ran, want)
		}
		wantStats(t, p, Stats{Submitted: 3, Done: 3})
		tr.stop()
	})
}

func TestAllWorkersWorkAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 8, Run: func(context.Context, int) error {
			time.Sleep(time.Second)
			return nil
		}})
		tr := startPool(t, p)
		synctest.Wait() // all of them are idle
		submit(t, p, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		synctest.Wait()
		wantStats(t, p, Stats{Submitted: 9, InFlight: 8, Queued: 1})
		time.Sleep(3 * time.Second)
		wantStats(t, p, Stats{Submitted: 9, Done: 9})
		tr.stop()
	})
}

func TestSubmitWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, Queue: 2, Run: func(context.Context, int) error { return nil }})
		submit(t, p, 1, 2)
		if err := p.TrySubmit(3); err != ErrFull {
			t.Errorf("TrySubmit returned %v, want ErrFull", err)
		}
		accepted := make(chan error)
		for j := range 5 {
			go func() { accepted <- p.Submit(t.Context(), 3+j) }()
		}
		synctest.Wait()
		wantStats(t, p, Stats{Submitted: 2, Queued: 2})
		tr := startPool(t, p)
		for range 5 {
			if err := <-accepted; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		wantStats(t, p, Stats{Submitted: 7, Done: 7})
		tr.stop()
	})
}

func TestSubmitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Queue: 1, Run: func(context.Context, int) error { return nil }})
		submit(t, p, 1)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errBroken)
		defer cancel()
		if err := p.Submit(ctx, 2); err != errBroken {
			t.Errorf("Submit returned %v, want the context's cause", err)
		}
		p.Close()
		if err := p.Submit(ctx, 2); err != errBroken {
			t.Errorf("Submit returned %v for a context that was over, want its cause", err)
		}
		wantStats(t, p, Stats{Submitted: 1, HandedBack: 1})
	})
}

func TestCloseHandsBackWhatWaitsAndRefusesMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Queue: 2, Run: func(context.Context, int) error { return nil }})
		submit(t, p, 1, 2)
		refused := make(chan error)
		for range 5 {
			go func() { refused <- p.Submit(t.Context(), 3) }()
		}
		synctest.Wait()
		for range 2 { // the second time as well
			if got, want := p.Close(), []int{1, 2}; !slices.Equal(got, want) {
				t.Errorf("Close() = %v, want %v", got, want)
			}
		}
		for range 5 {
			if err := <-refused; err != ErrClosed {
				t.Errorf("Submit returned %v, want ErrClosed", err)
			}
		}
		if err := p.TrySubmit(3); err != ErrClosed {
			t.Errorf("TrySubmit returned %v, want ErrClosed", err)
		}
		wantStats(t, p, Stats{Submitted: 2, HandedBack: 2})
	})
}

func TestARetryWaitsWithoutAWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		tried := map[int][]time.Duration{}
		p := New(Config[int]{
			Workers: 1, Attempts: 6,
			Backoff: supervisor.Backoff{Min: 10 * time.Second, Max: time.Minute, Jitter: supervisor.NoJitter},
			Run: func(_ context.Context, j int) error {
				tried[j] = append(tried[j], time.Since(begin))
				if j == 1 {
					return errBroken
				}
				return nil
			},
		})
		tr := startPool(t, p)
		submit(t, p, 1)
		synctest.Wait()
		submit(t, p, 2)
		synctest.Wait()
		wantStats(t, p, Stats{Submitted: 2, Done: 1, Retrying: 1})
		time.Sleep(time.Hour)
		wantStats(t, p, Stats{Submitted: 2, Done: 1, Dead: 1})
		if got, want := tried[2], []time.Duration{0}; !slices.Equal(got, want) {
			t.Errorf("job 2 was tried at %v, want %v", got, want)
		}
		want := []time.Duration{0, 10 * time.Second, 30 * time.Second, 70 * time.Second, 130 * time.Second, 190 * time.Second}
		if got := tried[1]; !slices.Equal(got, want) {
			t.Errorf("job 1 was tried at %v, want %v", got, want)
		}
		tr.stop()
	})
}

// So that an outage of what all jobs need does not fill the memory.
func TestJobsThatWaitForAnotherAttemptCountAgainstTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{
			Workers: 1, Queue: 2, Backoff: supervisor.Backoff{Min: time.Minute},
			Run: func(context.Context, int) error { return errBroken },
		})
		tr := startPool(t, p)
		for range 2 {
			submit(t, p, 1)
			synctest.Wait()
		}
		wantStats(t, p, Stats{Submitted: 2, Retrying: 2})
		if err := p.TrySubmit(3); err != ErrFull {
			t.Errorf("TrySubmit returned %v, want ErrFull", err)
		}
		tr.stop()
	})
}

// Close takes them at once, and their time, when it comes, changes nothing.
func TestCloseHandsBackWhatWaitsForAnotherAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, Run: func(context.Context, int) error { return errBroken }})
		tr := startPool(t, p)
		submit(t, p, 1)
		synctest.Wait()
		tr.stop()
		wantStats(t, p, Stats{Submitted: 1, Retrying: 1})
		for range 2 {
			if got, want := p.Close(), []int{1}; !slices.Equal(got, want) {
				t.Errorf("Close() = %v, want %v", got, want)
			}
			wantStats(t, p, Stats{Submitted: 1, HandedBack: 1})
			time.Sleep(time.Hour)
		}
	})
}

func TestTheLastFailureIsKept(t *testing.T) {
	fail := map[string]func() error{
		"error":  func() error { return errBroken },
		"panic":  func() error { panic("oops") },
		"wraps":  func() error { panic(errBroken) },
		"goexit": func() error { runtime.Goexit(); return nil },
	}
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[string]{Workers: 2, Attempts: 2, Run: func(_ context.Context, j string) error { return fail[j]() }})
		tr := startPool(t, p)
		for j := range fail {
			submit(t, p, j)
		}
		time.Sleep(time.Minute)
		wantStats(t, p, Stats{Submitted: 4, Dead: 4})
		dead := map[string]DeadJob[string]{}
		for _, d := range p.Dead() {
			dead[d.Job] = d
		}
		for j, want := range map[string]struct {
			attempts   int
			err, stack string
		}{
			"error":  {2, "broken", ""},
			"panic":  {2, "panic: oops", "TestTheLastFailureIsKept"},
			"wraps":  {2, "panic: broken", "TestTheLastFailureIsKept"},
			"goexit": {2, "called runtime.Goexit", "TestTheLastFailureIsKept"},
		} {
			d := dead[j]
			if d.Attempts != want.attempts || d.Err.Error() != want.err || (d.Stack == "") != (want.stack == "") || !strings.Contains(d.Stack, want.stack) {
				t.Errorf("%s: %d attempts, error %q, stack %q; want %d, %q and %q in it", j, d.Attempts, d.Err, d.Stack, want.attempts, want.err, want.stack)
			}
		}
		if !errors.Is(dead["wraps"].Err, errBroken) {
			t.Errorf("%v does not wrap the error that was panicked with", dead["wraps"].Err)
		}
		var panicked *supervisor.PanicError
		if d := dead["panic"]; !errors.As(d.Err, &panicked) || d.Stack != panicked.Stack() || !strings.HasPrefix(d.Stack, reflect.TypeFor[Stats]().PkgPath()+".TestTheLastFailureIsKept.func") {
			t.Errorf("the error is a %T, and the stack does not begin where the job panicked:\n%s", d.Err, d.Stack)
		}
		tr.stop()
	})
}

func TestDeadLettersAreBoundedAndTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, Attempts: 1, DeadLetters: 2, Run: func(context.Context, int) error { return errBroken }})
		tr := startPool(t, p)
		submit(t, p, 1, 2, 3, 4)
		synctest.Wait()
		wantDead := func(when string, got []DeadJob[int], want ...int) {
			t.Helper()
			var jobs []int
			for _, d := range got {
				jobs = append(jobs, d.Job)
			}
			if !slices.Equal(jobs, want) {
				t.Errorf("%s: dead are %v, want %v", when, jobs, want)
			}
		}
		wantDead("Dead", p.Dead(), 3, 4)
		wantDead("TakeDead", p.TakeDead(), 3, 4)
		wantDead("Dead after it", p.Dead())
		wantDead("TakeDead again", p.TakeDead())
		submit(t, p, 5)
		synctest.Wait()
		wantDead("TakeDead after another death", p.TakeDead(), 5)
		wantStats(t, p, Stats{Submitted: 5, Dead: 5, Forgotten: 2})
		tr.stop()
	})
}

func TestAPanicIsTheJobsFailureNotTheWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, Attempts: 1, Run: func(context.Context, int) error { panic("oops") }})
		tr := startPool(t, p)
		for j := range 100 {
			submit(t, p, j)
		}
		synctest.Wait()
		wantStats(t, p, Stats{Submitted: 100, Dead: 100})
		if got := tr.count(supervisor.EventExited); got != 0 {
			t.Errorf("%d workers failed, want none", got)
		}
		if err := tr.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAJobsGoexitRestartsTheWorkerAndNeverTheTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, Attempts: 100, Run: func(context.Context, int) error { runtime.Goexit(); return nil }})
		tr := startPool(t, p)
		submit(t, p, 1)
		time.Sleep(2 * time.Hour)
		wantStats(t, p, Stats{Submitted: 1, Dead: 1})
		if got := tr.count(supervisor.EventExited); got != 100 {
			t.Errorf("the worker failed %d times, want 100", got)
		}
		if err := tr.stop(); err != nil {
			t.Error(err)
		}
	})
}

// The queue, with the jobs that wait for another attempt, is the Pool's.
func TestAGroupRestartKeepsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail, healthy := make(chan error), make(chan struct{})
		p := New(Config[int]{Workers: 1, Attempts: 2, Backoff: supervisor.Backoff{Max: time.Second}, Run: func(ctx context.Context, j int) error {
			if j == 0 {
				return errBroken
			}
			select {
			case <-healthy:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}})
		sibling := func(ctx context.Context) error {
			select {
			case err := <-fail:
				return err
			case <-ctx.Done():
				return nil
			}
		}
		tr := start(t, supervisor.Spec{
			Name: "shop", Strategy: supervisor.OneForAll,
			Children: []supervisor.Spec{p.Spec("pool"), {Name: "sibling", Run: supervisor.Func(sibling)}},
		})
		submit(t, p, 0, 1, 2, 3)
		synctest.Wait()
		wantStats(t, p, Stats{Submitted: 4, Queued: 2, Retrying: 1, InFlight: 1})
		fail <- errBroken
		time.Sleep(time.Minute)
		wantStats(t, p, Stats{Submitted: 4, Queued: 3, InFlight: 1}) // the retry is due
		close(healthy)
		time.Sleep(time.Minute)
		wantStats(t, p, Stats{Submitted: 4, Done: 3, Dead: 1})
		tr.stop()
	})
}

func TestAStopLetsRunningJobsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 2, Run: func(ctx context.Context, j int) error {
			select {
			case <-time.After(4 * time.Second):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}})
		tr := startPool(t, p)
		submit(t, p, 1, 2, 3)
		synctest.Wait()
		if err := tr.stop(); err != nil {
			t.Error(err)
		}
		wantStats(t, p, Stats{Submitted: 3, Done: 2, Queued: 1})
		if got, want := p.Close(), []int{3}; !slices.Equal(got, want) {
			t.Errorf("Close() = %v, want %v", got, want)
		}
		wantStats(t, p, Stats{Submitted: 3, Done: 2, HandedBack: 1})
	})
}

// S24: the job learns why.
func TestAnInterruptedJobLosesNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		p := New(Config[int]{Workers: 1, Attempts: 1, DrainTimeout: time.Second, Run: func(ctx context.Context, j int) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return cause
		}})
		tr := startPool(t, p)
		submit(t, p, 1, 2)
		synctest.Wait()
		begin := time.Now()
		if err := tr.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("the stop took %v, want the DrainTimeout of 1 s", took)
		}
		if cause != supervisor.ErrShutdown {
			t.Errorf("the job's context ended with %v, want ErrShutdown", cause)
		}
		if got, want := p.Close(), []int{1, 2}; !slices.Equal(got, want) {
			t.Errorf("Close() = %v, want %v", got, want)
		}
	})
}

// Nor does a stop excuse what is no answer to it.
func TestAPanicAfterTheDrainTimeoutIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{Workers: 1, Attempts: 1, Run: func(ctx context.Context, _ int) error {
			<-ctx.Done()
			panic("oops")
		}})
		tr := startPool(t, p)
		submit(t, p, 1)
		synctest.Wait()
		tr.stop()
		wantStats(t, p, Stats{Submitted: 1, Dead: 1})
	})
}

// An interrupted job had begun before those that wait.
func TestAnInterruptedJobIsTheNextToRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran []int
		p := New(Config[int]{Workers: 1, Run: func(ctx context.Context, j int) error {
			if ran = append(ran, j); len(ran) == 1 {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		}})
		tr := startPool(t, p)
		submit(t, p, 1, 2)
		synctest.Wait()
		if err := tr.sup.Restart(t.Context(), "shop/pool/1"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := []int{1, 1, 2}; !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v", ran, want)
		}
		tr.stop()
	})
}

func TestAJobsContextEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ctx context.Context
		p := New(Config[int]{Workers: 1, Run: func(job context.Context, _ int) error { ctx = job; return nil }})
		tr := startPool(t, p)
		submit(t, p, 1)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("the context of a job that is done has not ended")
		}
		tr.stop()
	})
}

// S27: Go cannot kill a goroutine.
func TestAnAbandonedJobCountsOnceWhenItEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want Stats
	}{
		{"done", nil, Stats{Submitted: 1, Done: 1}},
		{"failed", errBroken, Stats{Submitted: 1, HandedBack: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := New(Config[int]{Workers: 1, Run: func(context.Context, int) error {
					time.Sleep(time.Hour)
					return tc.err
				}})
				tr := startPool(t, p)
				submit(t, p, 1)
				synctest.Wait()
				tr.stop()
				if got := tr.count(supervisor.EventAbandoned); got != 1 {
					t.Errorf("%d workers were abandoned, want 1", got)
				}
				if got := p.Close(); len(got) != 0 {
					t.Errorf("Close() = %v while the job is in flight, want none", got)
				}
				wantStats(t, p, Stats{Submitted: 1, InFlight: 1})
				time.Sleep(2 * time.Hour)
				wantStats(t, p, tc.want)
				if got := len(p.Close()); got != tc.want.HandedBack {
					t.Errorf("Close() returned %d jobs, want %d", got, tc.want.HandedBack)
				}
			})
		})
	}
}

// The retry is the pool's to remember, not the worker's that failed.
func TestARetryIsTakenByWhoeverIsThere(t *testing.T) {
	for stays := 1; stays <= 3; stays++ {
		t.Run(fmt.Sprint(stays), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := true
				p := New(Config[int]{Workers: 3, Backoff: supervisor.Backoff{Min: time.Minute}, Run: func(context.Context, int) error {
					defer func() { first = false }()
					if first {
						return errBroken
					}
					return nil
				}})
				tr := startPool(t, p)
				synctest.Wait()
				submit(t, p, 1)
				synctest.Wait()
				wantStats(t, p, Stats{Submitted: 1, Retrying: 1})
				for n := 1; n <= 3; n++ {
					if n == stays {
						continue
					}
					if err := tr.sup.Stop(t.Context(), fmt.Sprint("shop/pool/", n)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Minute)
				wantStats(t, p, Stats{Submitted: 1, Done: 1})
				tr.stop()
			})
		})
	}
}

func TestJobsHaveTheWorkersValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var path string
		p := New(Config[int]{Workers: 1, Run: func(ctx context.Context, _ int) error {
			path = supervisor.PathFrom(ctx)
			return nil
		}})
		tr := startPool(t, p)
		submit(t, p, 1)
		synctest.Wait()
		if want := "shop/pool/1"; path != want {
			t.Errorf("PathFrom(ctx) = %q, want %q", path, want)
		}
		tr.stop()
	})
}
