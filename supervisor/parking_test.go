package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// tiring is a Backoff that gives up after three failures, and tries again a
// minute later.
var tiring = supervisor.Backoff{Min: time.Second, Jitter: supervisor.NoJitter, Attempts: 3, Park: time.Minute}

// startTiring starts a trio of which b tires and is Optional.
func startTiring(t *testing.T, strategy supervisor.Strategy, change func(trio, *supervisor.Spec)) trio {
	t.Helper()
	w := trio{a: suptest.NewWorker(), b: suptest.NewWorker(), c: suptest.NewWorker()}
	app := supervisor.Spec{Name: "app", Strategy: strategy, Children: []supervisor.Spec{w.a.Spec("a"), w.b.Spec("b"), w.c.Spec("c")}}
	app.Children[1].Backoff, app.Children[1].Optional = tiring, true
	if change != nil {
		change(w, &app)
	}
	w.Tree = suptest.Start(t, app, supervisor.Options{})
	return w
}

// startParked also parks b.
func startParked(t *testing.T, strategy supervisor.Strategy, change func(trio, *supervisor.Spec)) trio {
	t.Helper()
	w := startTiring(t, strategy, func(w trio, app *supervisor.Spec) {
		w.b.Starts(slices.Repeat([]suptest.Attempt{{Err: errCrash}}, 4)...)
		if change != nil {
			change(w, app)
		}
	})
	w.Sleep(7 * time.Second) // 1 s + 2 s + 4 s
	w.RequireState("app/b", supervisor.Parked)
	return w
}

func TestGoldenParked(t *testing.T) { // S16
	synctest.Test(t, func(t *testing.T) {
		w := startTiring(t, supervisor.RestForOne, func(w trio, _ *supervisor.Spec) {
			w.b.Starts(slices.Repeat([]suptest.Attempt{{After: 100 * time.Millisecond, Err: errCrash}}, 5)...)
		})
		w.Sleep(3 * time.Minute)
		golden(t, "parked", w.Trace())
	})
}

// TestOutOfAttemptsFailsTheSupervisor whether the child could not start or
// crashed again and again; ErrUnavailable, which never counts to the intensity,
// counts here.
func TestOutOfAttemptsFailsTheSupervisor(t *testing.T) { // S16
	outage := fmt.Errorf("dial: %w", supervisor.ErrUnavailable)
	for name, start := range map[string]suptest.Attempt{"cannot start": {Err: outage}, "crashes": {}} {
		synctest.Test(t, func(t *testing.T) {
			w := startTiring(t, supervisor.OneForOne, func(w trio, app *supervisor.Spec) {
				app.Children[1].Optional = false
				w.b.AlwaysStarts(start)
			})
			for i := 0; !w.Ended() && i < 10; i++ {
				if w.b.Context() != nil {
					w.b.Fail(outage)
				}
				w.Sleep(10 * time.Second)
			}
			err := w.Shutdown()
			want := "out of 3 attempts in a row: app/b: dial: unavailable"
			if !errors.Is(err, supervisor.ErrAttempts) || !errors.Is(err, outage) || err.Error() != want {
				t.Errorf("%s: Run returned %v, want %s", name, err, want)
			}
			if got := w.b.Started(); got != 4 {
				t.Errorf("%s: it was started %d times, want 4", name, got)
			}
		})
	}
}

func TestParkedChildLeavesTheTreeUpAndDegraded(t *testing.T) { // S16, S36, S37, S38
	synctest.Test(t, func(t *testing.T) {
		w := startParked(t, supervisor.RestForOne, nil)
		w.RequireState("app/c", supervisor.Ready) // nobody waits for it
		w.RequireStatus("app/b", supervisor.Down)
		w.RequireStatus("app", supervisor.Degraded)
		w.Sleep(10 * time.Second)
		snap := mustFind(t, w.Tree, "app/b")
		if snap.Attempt != 4 || snap.LastErr != errCrash || time.Until(snap.NextStart) != 50*time.Second {
			t.Errorf("the snapshot is %+v", snap)
		}
		if got, want := w.Why("app"), "app/b parked (after 4 failures in a row, next trial in 50s): crash"; got != want {
			t.Errorf("Why says %q, want %q", got, want)
		}
		if nodes, total := w.Ailing(supervisor.Down, 10); total != 1 || len(nodes) != 1 || nodes[0].Path != "app/b" {
			t.Errorf("ailing are %v of %d", nodes, total)
		}
	})
}

func TestRetryAfterOfAParkedChild(t *testing.T) { // S16, S45
	synctest.Test(t, func(t *testing.T) {
		var ref supervisor.Ref[int]
		w := startTiring(t, supervisor.RestForOne, func(w trio, app *supervisor.Spec) {
			app.Children[1].Run = ref.Run(func(context.Context, func(int)) error { return errCrash })
		})
		w.Sleep(17 * time.Second)
		if got := ref.RetryAfter(); got != 50*time.Second {
			t.Errorf("RetryAfter is %v, want 50s: the next trial", got)
		}
	})
}

func TestTrialUnparksOrParksAgain(t *testing.T) { // S16
	synctest.Test(t, func(t *testing.T) {
		w := startParked(t, supervisor.OneForOne, nil)
		w.b.Starts(suptest.Attempt{Err: errCrash})
		w.Sleep(time.Minute)
		w.RequireState("app/b", supervisor.Parked) // the trial failed
		w.Sleep(time.Minute)
		w.RequireState("app/b", supervisor.Ready)
		w.RequireStatus("app", supervisor.Up)
		w.Sleep(29 * time.Second) // less than Settle, Max: it has not lasted
		w.b.Fail(errCrash)
		w.RequireState("app/b", supervisor.Parked)
		w.Sleep(time.Minute + 30*time.Second) // ready for Settle
		w.RequireState("app/b", supervisor.Ready)
		w.b.Fail(errCrash)
		w.RequireState("app/b", supervisor.BackingOff) // counts anew
		if got := mustFind(t, w.Tree, "app/b").Attempt; got != 1 {
			t.Errorf("that is failure %d, want 1", got)
		}
	})
}

// TestParkedChildAndItsGroup: a crash after a trial takes the group down as any
// other, but the group does not wait for it; a restart of the group tries it.
func TestParkedChildAndItsGroup(t *testing.T) { // S16, S10, S11, S12
	for _, strategy := range []supervisor.Strategy{supervisor.OneForAll, supervisor.RestForOne, supervisor.DependentsForOne} {
		synctest.Test(t, func(t *testing.T) {
			w := startParked(t, strategy, func(_ trio, app *supervisor.Spec) {
				if strategy == supervisor.DependentsForOne {
					app.Children[1].DependsOn, app.Children[2].DependsOn = []string{"a"}, []string{"b"}
				}
			})
			w.Sleep(time.Minute)
			w.b.Fail(errCrash)
			w.RequireState("app/b", supervisor.Parked)
			w.RequireState("app/c", supervisor.Ready)
			if got := w.c.Started(); got != 2 {
				t.Errorf("%v: c was started %d times, want 2", strategy, got)
			}
			w.a.Fail(errCrash)
			w.Sleep(time.Second)
			w.RequireState("app/b", supervisor.Ready)
		})
	}
}

// TestTrialHoldsNobodyUp, though the crash before it was the group's.
func TestTrialHoldsNobodyUp(t *testing.T) { // S16, S1
	synctest.Test(t, func(t *testing.T) {
		w := startParked(t, supervisor.RestForOne, nil)
		w.Sleep(time.Minute)
		w.b.Fail(errCrash)
		w.b.Starts(suptest.Attempt{After: 10 * time.Second})
		w.Sleep(time.Minute)
		w.RequireState("app/b", supervisor.Starting)
		w.c.Fail(errCrash)
		w.Sleep(time.Second)
		w.RequireState("app/c", supervisor.Ready)
	})
}

func TestOrdersToAParkedChild(t *testing.T) { // S16, S29, S30
	for _, c := range []struct {
		name  string
		order func(trio) error
		want  error
		state supervisor.State // afterwards; -1: gone
	}{
		{"Stop", func(w trio) error { return w.Stop(context.Background(), "app/b") }, nil, supervisor.Stopped},
		{"Start", func(w trio) error { return w.Start(context.Background(), "app/b") }, supervisor.ErrRestarting, supervisor.Parked},
		{"Restart", func(w trio) error { return w.Restart(context.Background(), "app/b") }, nil, supervisor.Ready},
		{"Remove", func(w trio) error { return w.Remove(context.Background(), "app/b") }, nil, -1},
		{"Delete", func(w trio) error { return w.Delete(context.Background(), "app/b") }, supervisor.ErrRestarting, supervisor.Parked},
		{"shut down", func(w trio) error { return w.Shutdown() }, nil, supervisor.Stopped},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := startParked(t, supervisor.OneForOne, nil)
			if err := c.order(w); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			snap, err := w.Find("app/b")
			if c.state == -1 && !errors.Is(err, supervisor.ErrNotFound) || c.state != -1 && snap.State != c.state {
				t.Errorf("%s: then it is %v (%v), want %v", c.name, snap.State, err, c.state)
			}
			if c.state == supervisor.Stopped || c.state == -1 {
				w.Sleep(time.Hour)
				if got := w.b.Started(); got != 4 {
					t.Errorf("%s: it was started %d times, want 4: no trial", c.name, got)
				}
			}
		})
	}
}

// TestRestartOfAParkedChildCountsAnew.
func TestRestartOfAParkedChildCountsAnew(t *testing.T) { // S16, S42
	synctest.Test(t, func(t *testing.T) {
		w := startParked(t, supervisor.OneForOne, nil)
		w.b.Starts(suptest.Attempt{Err: errCrash})
		if err := w.Restart(t.Context(), "app/b"); !errors.Is(err, errCrash) {
			t.Errorf("Restart returned %v, want the start's error", err)
		}
		w.RequireState("app/b", supervisor.BackingOff)
		if got := mustFind(t, w.Tree, "app/b").Attempt; got != 1 {
			t.Errorf("that is failure %d, want 1", got)
		}
	})
}

// TestParkedChildStartsWithItsSupervisor, and counts anew.
func TestParkedChildStartsWithItsSupervisor(t *testing.T) { // S16, S20
	synctest.Test(t, func(t *testing.T) {
		b := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Err: errCrash})
		spec := b.Spec("b")
		spec.Backoff, spec.Optional = tiring, true
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "sub", Children: []supervisor.Spec{spec}}}}, supervisor.Options{})
		tree.Sleep(10 * time.Second)
		tree.RequireState("app/sub/b", supervisor.Parked)
		if err := tree.Restart(t.Context(), "app/sub"); err != nil {
			t.Fatal(err)
		}
		tree.RequireState("app/sub", supervisor.Ready)
		tree.RequireState("app/sub/b", supervisor.BackingOff)
		if got := b.Started(); got != 5 {
			t.Errorf("it was started %d times, want 5", got)
		}
	})
}

// TestParkIsSpread by the Backoff's Jitter.
func TestParkIsSpread(t *testing.T) { // S16
	synctest.Test(t, func(t *testing.T) {
		app := supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited}
		for i := range 50 {
			spec := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Err: errCrash}).Spec(fmt.Sprint(i))
			spec.Optional, spec.Backoff = true, supervisor.Backoff{Jitter: 0.5, Attempts: 1, Park: time.Minute}
			app.Children = append(app.Children, spec)
		}
		tree := suptest.Start(t, app, supervisor.Options{})
		tree.Sleep(time.Second)
		seen := map[time.Duration]bool{}
		for _, e := range tree.Events() {
			if e.Kind == supervisor.EventParked {
				seen[e.Delay] = true
				if e.Delay < 30*time.Second || e.Delay > 90*time.Second {
					t.Errorf("%v waits %v, want 1m ± 50%%", e.Path, e.Delay)
				}
			}
		}
		if len(seen) < 45 {
			t.Errorf("50 parked children wait %d different times", len(seen))
		}
	})
}

// A sleeper is a supervisor "app" in which w needs db and x. All are Optional;
// db is down, and w backs off for an hour.
type sleeper struct {
	*suptest.Tree
	db, x, w *suptest.Worker
}

func startSleeper(t *testing.T, change func(sleeper, *supervisor.Spec)) sleeper {
	t.Helper()
	s := sleeper{db: suptest.NewWorker(), x: suptest.NewWorker(), w: suptest.NewWorker()}
	s.db.Starts(suptest.Attempt{Err: errCrash})
	s.w.Starts(suptest.Attempt{Err: errCrash})
	app := supervisor.Spec{Name: "app", Strategy: supervisor.DependentsForOne, Intensity: supervisor.Unlimited,
		Children: []supervisor.Spec{s.db.Spec("db"), s.x.Spec("x"), needing(s.w, "w", "db", "x")}}
	for i := range app.Children {
		app.Children[i].Optional = true
	}
	app.Children[0].Backoff.Min = 10 * time.Second
	app.Children[2].Backoff.Min = time.Hour
	if change != nil {
		change(s, &app)
	}
	s.Tree = suptest.Start(t, app, supervisor.Options{})
	return s
}

func TestGoldenRoused(t *testing.T) { // S17
	synctest.Test(t, func(t *testing.T) {
		s := startSleeper(t, func(s sleeper, _ *supervisor.Spec) { s.x.Starts(suptest.Attempt{After: time.Second}) })
		s.Sleep(12 * time.Second)
		golden(t, "roused", soon(s.Trace()))
	})
}

// soon hides from a trace what chance decides once db is there.
func soon(trace string) string {
	for chance, words := range map[string]string{
		`backing off \S+: app/db can`: "backing off (under 1s): app/db can",
		`(?m)^1[01]\.\S+ +`:           "soon     ",
		`app/w#1 healed \S+:`:         "app/w#1 healed (under 11s):",
	} {
		trace = regexp.MustCompile(chance).ReplaceAllString(trace, words)
	}
	return trace
}

// TestDependencyThatComesRouses those that wait for nothing else, at once or
// nearly, and nobody else.
func TestDependencyThatComesRouses(t *testing.T) { // S17
	const hour = time.Hour
	fail := suptest.Attempt{Err: errCrash}
	for name, c := range map[string]struct {
		change func(sleeper, *supervisor.Spec)
		want   supervisor.State
		says   string
	}{
		"only it was missing": {func(sleeper, *supervisor.Spec) {}, supervisor.Ready, "app/w#1 backing off"},
		"another is down":     {func(s sleeper, _ *supervisor.Spec) { s.x.AlwaysStarts(fail) }, supervisor.BackingOff, ""},
		"it is not needed":    {func(_ sleeper, app *supervisor.Spec) { app.Children[2].DependsOn = []string{"x"} }, supervisor.BackingOff, ""},
		"who needs it is parked": {func(s sleeper, app *supervisor.Spec) {
			s.w.Starts(fail, fail)
			app.Children[2].Backoff = supervisor.Backoff{Min: time.Second, Attempts: 1, Park: hour}
		}, supervisor.Ready, "app/w#2 parked"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := startSleeper(t, c.change)
			s.Sleep(9 * time.Second)
			if got := mustFind(t, s.Tree, "app/w").State; got == supervisor.Ready {
				t.Errorf("%s: it is ready too early", name)
			}
			s.Sleep(2 * time.Second)
			s.RequireState("app/db", supervisor.Ready)
			if got := mustFind(t, s.Tree, "app/w").State; got != c.want {
				t.Errorf("%s: it is %v, want %v\n%s", name, got, c.want, s.Trace())
			}
			said := slices.IndexFunc(s.Events(), func(e supervisor.Event) bool {
				return c.says != "" && strings.HasPrefix(e.String(), c.says) && strings.HasSuffix(e.String(), ": app/db can be used again")
			})
			if (said >= 0) != (c.says != "") {
				t.Errorf("%s: the trace is\n%s", name, s.Trace())
			}
		})
	}
}

// TestStoppedDependencyDoesNotKeepOthersFromRousing: nobody waits for it.
func TestStoppedDependencyDoesNotKeepOthersFromRousing(t *testing.T) { // S17
	synctest.Test(t, func(t *testing.T) {
		s := startSleeper(t, nil)
		if err := s.Stop(t.Context(), "app/x"); err != nil {
			t.Fatal(err)
		}
		s.Sleep(11 * time.Second)
		s.RequireState("app/w", supervisor.Ready)
	})
}

// TestRecoveryRouses: a dependency that works badly is as good as none, until it
// works well again.
func TestRecoveryRouses(t *testing.T) { // S17, S32
	synctest.Test(t, func(t *testing.T) {
		s := startSleeper(t, nil)
		s.x.Impaired(errors.New("replica lag 40s"))
		s.Sleep(time.Minute)
		s.RequireState("app/db", supervisor.Ready)
		s.RequireState("app/w", supervisor.BackingOff)
		s.x.Impaired(nil)
		s.Sleep(time.Second)
		s.RequireState("app/w", supervisor.Ready)
	})
}

// TestSupervisorThatIsWellAgainRouses, though it was ready all the time.
func TestSupervisorThatIsWellAgainRouses(t *testing.T) { // S17, S37
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker()
		s := startSleeper(t, func(_ sleeper, app *supervisor.Spec) {
			inner := db.Spec("db")
			inner.Backoff.Min = 20 * time.Second
			app.Children[0].Run, app.Children[0].Children = nil, []supervisor.Spec{inner}
		})
		s.RequireState("app/w", supervisor.BackingOff)
		db.Fail(errCrash)
		s.RequireStatus("app/db", supervisor.Down)
		s.Sleep(19 * time.Second)
		s.RequireState("app/db", supervisor.Ready)
		s.RequireState("app/w", supervisor.BackingOff)
		s.Sleep(2 * time.Second)
		s.RequireState("app/w", supervisor.Ready)
	})
}

// TestRousedAreSpread over a second, so that they do not stampede, and nobody
// starts later than its backoff had it.
func TestRousedAreSpread(t *testing.T) { // S17
	synctest.Test(t, func(t *testing.T) {
		const n = 50
		s := startSleeper(t, func(_ sleeper, app *supervisor.Spec) {
			app.Children[2].Optional = false
			for i := range n {
				spec := needing(suptest.NewWorker().Starts(suptest.Attempt{Err: errCrash}), fmt.Sprint(i), "db")
				spec.Backoff.Min = 10*time.Second + 500*time.Millisecond // half of them were due anyway
				if i%2 == 0 {
					spec.Backoff.Min = time.Hour
				}
				app.Children = append(app.Children, spec)
			}
		})
		s.Sleep(9 * time.Second)
		s.Forget()
		roused := time.Now().Add(time.Second)
		s.Sleep(2 * time.Second)
		starts := map[time.Duration]int{}
		for _, e := range s.Events() {
			if _, i, _ := strings.Cut(e.Path, "/"); e.Kind == supervisor.EventStarted && i != "db" && i != "w" {
				after := e.Time.Sub(roused)
				starts[after]++
				if last := i[len(i)-1]; (last-'0')%2 == 1 && after > 500*time.Millisecond {
					t.Errorf("%s started %v after what it needs, later than its backoff had it", i, after)
				}
			}
		}
		total, most := 0, 0
		for after, some := range starts {
			total += some
			if after < 0 || after > time.Second {
				t.Errorf("%d started %v after what they need", some, after)
			}
			if after != 500*time.Millisecond {
				most = max(most, some)
			}
		}
		if total != n || most > 3 || len(starts) < n/2 {
			t.Errorf("%d of %d started, at %d instants, up to %d at one", total, n, len(starts), most)
		}
	})
}
