package periodic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

var errBroken = errors.New("broken")

func nothing(context.Context) error { return nil }

// trial runs a task in virtual time and records when its runs began, and what
// the supervisor saw.
type trial struct {
	begin  time.Time
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex // guards the rest
	begins []time.Duration
	last   string // impairment, as it was said last
	events []string
}

// start runs cfg's task below a root. Its Run is called with the number of the
// run, from 1.
func start(t *testing.T, cfg Config, run func(ctx context.Context, n int) error) *trial {
	t.Helper()
	tr := &trial{begin: time.Now(), done: make(chan error, 1)}
	cfg.Run = func(ctx context.Context) error { return run(ctx, tr.count()) }
	spec := New(cfg).Spec("task")
	spec.Backoff = supervisor.Backoff{Min: time.Second, Max: time.Second, Jitter: supervisor.NoJitter}
	root := supervisor.Spec{Name: "shop", Intensity: supervisor.Unlimited, Children: []supervisor.Spec{spec}}
	sup, err := supervisor.New(root, supervisor.Options{Observer: tr.observe})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	tr.cancel = cancel
	go func() { tr.done <- sup.Run(ctx) }()
	return tr
}

func (tr *trial) count() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.begins = append(tr.begins, time.Since(tr.begin))
	return len(tr.begins)
}

func (tr *trial) observe(e supervisor.Event) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	what := fmt.Sprintf("%s: %v", e.Kind, e.Err)
	switch e.Kind {
	case supervisor.EventImpaired, supervisor.EventRecovered:
		if what == tr.last { // saying the same again is no news
			return
		}
		tr.last = what
	case supervisor.EventExited:
		tr.last = ""
	default:
		return
	}
	tr.events = append(tr.events, fmt.Sprintf("%v %s", e.Time.Sub(tr.begin), what))
}

func (tr *trial) impairment() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.last
}

// stop ends the tree and returns how long that took.
func (tr *trial) stop(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	tr.cancel()
	if err := <-tr.done; err != nil {
		t.Errorf("the tree ended with %v", err)
	}
	return time.Since(begin)
}

func (tr *trial) wantBegins(t *testing.T, want ...time.Duration) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(tr.begins, want) {
		t.Errorf("runs began at %v, want %v", tr.begins, want)
	}
}

func (tr *trial) wantEvents(t *testing.T, want ...string) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if !slices.Equal(tr.events, want) {
		t.Errorf("events:\n\t%s\nwant:\n\t%s", strings.Join(tr.events, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestConformance(t *testing.T) {
	spec := func(cfg Config) supervisor.Spec { return New(cfg).Spec("task") }
	servicetest.Run(t, servicetest.Subject{
		New: func(*testing.T) (supervisor.Spec, servicetest.Harm) {
			return spec(Config{Run: nothing, Every: time.Millisecond, Immediately: true}), servicetest.Harm{}
		},
		BadStarts: func(*testing.T) []supervisor.Spec {
			return []supervisor.Spec{spec(Config{Every: time.Second}), spec(Config{Run: nothing})}
		},
	})
}

// S5: every fault at once.
func TestFaultsNameTheFieldAndTheMend(t *testing.T) {
	fault := New(Config{Every: -1, Jitter: 2, Timeout: -1, FailuresToRestart: -1}).Spec("task").Fault
	if fault == nil {
		t.Fatal("no fault was found")
	}
	for _, want := range []string{"Run is nil", "Every is -1ns", "Jitter is 2", "Timeout is negative", "FailuresToRestart is negative"} {
		if !strings.Contains(fault.Error(), want) {
			t.Errorf("the fault does not say %q: %v", want, fault)
		}
	}
	if err := New(Config{Run: nothing, Every: time.Second, Jitter: supervisor.NoJitter}).Spec("task").Fault; err != nil {
		t.Errorf("NoJitter is a fault: %v", err)
	}
}

func TestRunsFromBeginToBegin(t *testing.T) {
	for _, tc := range []struct {
		name        string
		immediately bool
		takes       time.Duration
		want        []time.Duration
	}{
		{"after an interval", false, 3 * time.Second, []time.Duration{10, 20, 30, 40}},
		{"immediately", true, 3 * time.Second, []time.Duration{0, 10, 20, 30, 40}},
		{"missed beginnings are skipped", true, 12 * time.Second, []time.Duration{0, 20, 40}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := Config{Every: 10 * time.Second, Jitter: supervisor.NoJitter, Timeout: time.Hour, Immediately: tc.immediately}
				tr := start(t, cfg, func(context.Context, int) error {
					time.Sleep(tc.takes)
					return nil
				})
				time.Sleep(45 * time.Second)
				tr.stop(t)
				tr.wantBegins(t, tc.want...)
			})
		})
	}
}

func TestJitterSpreadsTheRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, Config{Every: 10 * time.Second, Jitter: 0.5}, func(context.Context, int) error { return nil })
		time.Sleep(time.Hour)
		tr.stop(t)
		last, least, most := time.Duration(0), time.Hour, time.Duration(0)
		for _, at := range tr.begins {
			least, most, last = min(least, at-last), max(most, at-last), at
		}
		if least < 5*time.Second || least > 7*time.Second || most < 13*time.Second || most > 15*time.Second {
			t.Errorf("intervals were %v to %v, want nearly 5 s to 15 s", least, most)
		}
	})
}

func TestTheLongestTimesDoNotOverflow(t *testing.T) {
	const forever = time.Duration(1<<63 - 1)
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, Config{Every: forever, Jitter: 1, Timeout: forever, Immediately: true}, func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		})
		time.Sleep(time.Hour)
		tr.stop(t)
		tr.wantBegins(t, 0)
		tr.wantEvents(t)
	})
	c := Config{Every: forever, Jitter: 1}
	for range 100 {
		if d := c.interval(); d < time.Hour {
			t.Fatalf("an interval is %v", d)
		}
	}
}

// S32: a failed run impairs the worker, until one succeeds.
func TestAFailedRunImpairsUntilOneSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Every: 10 * time.Second, Jitter: supervisor.NoJitter}
		tr := start(t, cfg, func(_ context.Context, n int) error {
			if n%3 == 0 { // never 3 in a row
				return nil
			}
			return errBroken
		})
		time.Sleep(65 * time.Second)
		tr.stop(t)
		tr.wantBegins(t, 10, 20, 30, 40, 50, 60)
		tr.wantEvents(t, "10s impaired: broken", "30s recovered: <nil>", "40s impaired: broken", "1m0s recovered: <nil>")
	})
}

func TestFailuresInARowRestartTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Every: 10 * time.Second, Jitter: supervisor.NoJitter, FailuresToRestart: 2}
		tr := start(t, cfg, func(context.Context, int) error { return fmt.Errorf("no answer: %w", supervisor.ErrUnavailable) })
		time.Sleep(35 * time.Second)
		tr.stop(t)
		tr.wantBegins(t, 10, 20, 31) // 1 s is the backoff
		tr.wantEvents(t,
			"10s impaired: no answer: unavailable",
			"20s exited: periodic: 2 runs in a row failed, the last: no answer: unavailable",
			"31s impaired: no answer: unavailable")
	})
}

// S19: so that an outage does not tear down the tree.
func TestTheWorkersFailureWrapsTheRuns(t *testing.T) {
	run := func(context.Context) error { return fmt.Errorf("no answer: %w", supervisor.ErrUnavailable) }
	task := New(Config{Run: run, Every: time.Nanosecond, Timeout: time.Second, FailuresToRestart: 1})
	if err := task.run(t.Context()); !errors.Is(err, supervisor.ErrUnavailable) {
		t.Errorf("the worker failed with %v, want an error that wraps ErrUnavailable", err)
	}
}

func TestTimeoutEndsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Every: 10 * time.Second, Jitter: supervisor.NoJitter, Timeout: 2 * time.Second, FailuresToRestart: 2}
		tr := start(t, cfg, func(ctx context.Context, n int) error {
			<-ctx.Done()
			return ctx.Err()
		})
		time.Sleep(25 * time.Second)
		tr.stop(t)
		overrun := "periodic: the run has overrun its Timeout"
		tr.wantEvents(t,
			"12s impaired: "+overrun+": context deadline exceeded",
			"22s exited: periodic: 2 runs in a row failed, the last: "+overrun+": context deadline exceeded")
	})
}

func TestARunThatIgnoresItsTimeoutImpairsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Every: 10 * time.Second, Jitter: supervisor.NoJitter}
		tr := start(t, cfg, func(ctx context.Context, n int) error {
			if n == 1 {
				time.Sleep(time.Minute)
			}
			return nil
		})
		time.Sleep(75 * time.Second)
		tr.stop(t)
		tr.wantBegins(t, 10)
		tr.wantEvents(t, "21s impaired: periodic: the run has overrun its Timeout", "1m10s recovered: <nil>")
	})
}

// S27: whoever asks for the restart, no run begins beside one that does not end.
func TestARunThatOutlivesItsStopIsAlone(t *testing.T) {
	for name, restart := range map[string]func(context.Context, *suptest.Tree, *suptest.Worker){
		"a restart": func(ctx context.Context, tree *suptest.Tree, _ *suptest.Worker) {
			go func() { _ = tree.Restart(ctx, "shop/task") }() // it waits for the task
		},
		"a sibling's failure": func(_ context.Context, _ *suptest.Tree, db *suptest.Worker) { db.Fail(errBroken) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var begun, running atomic.Int32
				run := func(context.Context) error {
					if n := running.Add(1); n > 1 {
						t.Errorf("%d runs at once", n)
					}
					defer running.Add(-1)
					if begun.Add(1) == 1 {
						time.Sleep(time.Hour)
					}
					return nil
				}
				task, db := New(Config{Run: run, Every: 10 * time.Second, Immediately: true}), suptest.NewWorker()
				tree := suptest.Start(t, supervisor.Spec{
					Name: "shop", Strategy: supervisor.RestForOne,
					Children: []supervisor.Spec{db.Spec("db"), task.Spec("task")},
				}, supervisor.Options{})

				restart(t.Context(), tree, db)
				tree.Sleep(59 * time.Minute)
				tree.RequireState("shop/db", supervisor.Ready)
				tree.RequireState("shop/task", supervisor.Fenced)
				tree.RequireStatus("shop", supervisor.Down)
				tree.Sleep(time.Minute)
				tree.RequireStatus("shop", supervisor.Up)
				if n := begun.Load(); n != 2 {
					t.Errorf("%d runs began, want one that was abandoned, and the next once it has ended", n)
				}
			})
		})
	}
}

// Whatever comes first where a run ends just when the worker says that it has
// not: its own result is the last word.
func TestARunsResultIsTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Every: 10 * time.Second, Jitter: supervisor.NoJitter, Timeout: time.Second}
		tr := start(t, cfg, func(context.Context, int) error {
			time.Sleep(cfg.Timeout + grace)
			return nil
		})
		time.Sleep(5 * time.Second)
		for range 300 {
			time.Sleep(10 * time.Second)
			if got := tr.impairment(); strings.HasPrefix(got, "impaired") {
				t.Fatalf("%s, though the last run succeeded", got)
			}
		}
		tr.stop(t)
	})
}

func TestSleepPrefersTheStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if sleep(ctx, 0) {
			t.Fatal("sleep reported true though ctx was done")
		}
	}
}

func TestAStopEndsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		tr := start(t, Config{Every: time.Hour, Immediately: true}, func(ctx context.Context, n int) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		})
		time.Sleep(time.Minute)
		if took := tr.stop(t); took != 0 {
			t.Errorf("the stop took %v, want none", took)
		}
		if cause != supervisor.ErrShutdown {
			t.Errorf("the run's context ended with %v, want ErrShutdown", cause)
		}
		tr.wantEvents(t)
	})
}

func TestAPanicFailsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Every: 10 * time.Second, Jitter: supervisor.NoJitter}
		tr := start(t, cfg, func(ctx context.Context, n int) error { panic("oops") })
		time.Sleep(15 * time.Second)
		tr.stop(t)
		tr.wantEvents(t, "10s exited: panic: oops")
	})
}
