package supervisor_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

func TestValidateReportsEveryFaultOfDependsOn(t *testing.T) { // S5, S12
	run := suptest.NewWorker().Run
	needs := func(name string, on ...string) supervisor.Spec {
		return supervisor.Spec{Name: name, Run: run, DependsOn: on}
	}
	temporary := needs("temporary")
	temporary.Restart = supervisor.Temporary
	spec := supervisor.Spec{Name: "app", Strategy: supervisor.DependentsForOne, DependsOn: []string{"x"}, Children: []supervisor.Spec{
		needs("a"), needs("fine", "a"), temporary,
		needs("unknown", "nobody"), needs("brief", "temporary"), needs("twice", "a", "fine", "a"), needs("self", "self"),
		needs("p", "q"), needs("q", "p"),
		needs("behind", "r"), needs("r", "s"), needs("s", "a", "t"), needs("t", "r"),
		{Name: "other", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{needs("a"), needs("b", "a")}},
		{Name: "strict", Strategy: supervisor.DependentsForOne, Strict: true, Children: []supervisor.Spec{}},
	}}
	err := spec.Validate()
	if !errors.Is(err, supervisor.ErrInvalid) {
		t.Fatalf("Validate returned %v", err)
	}
	want := []string{
		"app: DependsOn, but its supervisor's Strategy is not DependentsForOne; set that, or drop this",
		`app/unknown: DependsOn "nobody", which is not there; name a sibling`,
		`app/brief: DependsOn "temporary", which is Temporary and may be forgotten; make that Transient or Permanent`,
		`app/twice: DependsOn names "a" twice; once is enough`,
		"app/self: DependsOn is circular: self → self; break the circle",
		"app/p: DependsOn is circular: p → q → p; break the circle",
		"app/r: DependsOn is circular: r → s → t → r; break the circle",
		"app/other/b: DependsOn, but its supervisor's Strategy is not DependentsForOne; set that, or drop this",
		"app/strict: Strict follows OTP, which has no DependentsForOne; use another strategy, or drop Strict",
	}
	got := strings.Split(err.Error(), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the faults are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestValidateTakesTangledGraphs: many ways lead to the same child, and none
// back.
func TestValidateTakesTangledGraphs(t *testing.T) { // S5, S12
	spec := supervisor.Spec{Name: "app", Strategy: supervisor.DependentsForOne}
	var names []string
	for i := range 60 { // 2^59 ways
		spec.Children = append(spec.Children, needing(suptest.NewWorker(), string(rune('A'+i)), names...))
		names = append(names, spec.Children[i].Name)
	}
	slices.Reverse(spec.Children)
	if err := spec.Validate(); err != nil {
		t.Error(err)
	}
	if budget, _ := spec.StopBudget(); budget != 60*supervisor.DefaultStopTimeout {
		t.Errorf("StopBudget is %v, want 10m", budget)
	}
}

func TestDependsOnOfCallerMayChangeAfterNew(t *testing.T) { // S5, S12
	synctest.Test(t, func(t *testing.T) {
		needs := []string{"a"}
		w := startDiamond(t, func(_ *diamond, app *supervisor.Spec) {
			app.Children[0].Optional = true
			app.Children = []supervisor.Spec{{Name: "sub", Strategy: supervisor.DependentsForOne, Children: []supervisor.Spec{app.Children[0], app.Children[1]}}}
			app.Children[0].Children[1].DependsOn = needs
		})
		needs[0] = "changed"
		if err := w.Restart(t.Context(), "app/sub"); err != nil { // links them anew
			t.Fatal(err)
		}
		w.a.Fail(errCrash)
		w.Sleep(time.Second)
		if got := w.b.Started(); got != 3 {
			t.Errorf("b was started %d times, want 3: it still needs a", got)
		}
	})
}

func TestStopBudgetOfDependentsIsTheLongestChain(t *testing.T) { // S23, S26
	worker := func(name string, stop time.Duration, needs ...string) supervisor.Spec {
		spec := needing(suptest.NewWorker(), name, needs...)
		spec.StopTimeout = stop
		return spec
	}
	spec := supervisor.Spec{Name: "app", Strategy: supervisor.DependentsForOne, Children: []supervisor.Spec{
		worker("web", 5*time.Second, "db", "cache"), worker("db", 7*time.Second), worker("cache", 20*time.Second), worker("log", 24*time.Second),
	}}
	budget, worst := spec.StopBudget()
	if budget != 25*time.Second || worst != "app/log" {
		t.Errorf("StopBudget is %v by %s, want 25s, web and then cache, by app/log", budget, worst)
	}
	synctest.Test(t, func(t *testing.T) {
		tree := suptest.Start(t, spec, supervisor.Options{GracePeriod: 24 * time.Second})
		want := "app#1 warning: DrainDelay and stopping can take 25s together, more than the GracePeriod of 24s; shorten StopTimeouts (app/log takes longest), or raise it"
		if trace := tree.Trace(); !strings.Contains(trace, want) {
			t.Errorf("the trace lacks %q:\n%s", want, trace)
		}
	})
	spec.StopTimeout = 3 * time.Second
	if budget, _ := spec.StopBudget(); budget != 3*time.Second {
		t.Errorf("StopBudget is %v, want its own StopTimeout", budget)
	}
	spec.StopTimeout, spec.Children[0].StopTimeout = 0, math.MaxInt64
	if budget, _ := spec.StopBudget(); budget != math.MaxInt64 {
		t.Errorf("StopBudget overflows to %v", budget)
	}
}

func TestWarningsOfDoubtfulPolicies(t *testing.T) { // S5, S15, S16, S18
	type policy = supervisor.Backoff
	const minute = time.Minute
	for name, c := range map[string]struct {
		app, child supervisor.Spec
		want       string
	}{
		"Attempts and Park of an Optional": {child: supervisor.Spec{Optional: true, Backoff: policy{Attempts: 4, Park: minute}}},
		"Attempts alone":                   {child: supervisor.Spec{Backoff: policy{Attempts: 4}}},
		"Park without Attempts": {child: supervisor.Spec{Optional: true, Backoff: policy{Park: minute}},
			want: "Park is 1m0s, but Attempts is 0, no bound: it is never parked; set Attempts, or drop Park"},
		"Park of one that is not Optional": {child: supervisor.Spec{Backoff: policy{Attempts: 4, Park: minute}},
			want: "Park is 1m0s, but it is not Optional: with failure 5 in a row its supervisor fails; make it Optional, or drop Park"},
		"a Backoff under Strict": {app: supervisor.Spec{Strict: true}, child: supervisor.Spec{Optional: true, Backoff: policy{Min: time.Second, Attempts: 9}},
			want: "its Backoff (Min 1s, Max 0s, Settle 0s, Attempts 9, Park 0s) means nothing: its supervisor is Strict, and restarts at once; drop one of the two"},
		"no Backoff under Strict": {app: supervisor.Spec{Strict: true}, child: supervisor.Spec{Backoff: supervisor.NoBackoff}},
		"as many Attempts as restarts": {child: supervisor.Spec{Backoff: policy{Attempts: 5}},
			want: "crash 6 within 5m0s is over its supervisor's limit of 5: its Attempts of 5 are used up only by failures that do not count, as failed starts; lower them below 5, or raise the Intensity"},
		"many Attempts, seldom":       {child: supervisor.Spec{Backoff: policy{Min: 2 * minute, Attempts: 9}}},
		"many Attempts, Unlimited":    {app: supervisor.Spec{Intensity: supervisor.Unlimited}, child: supervisor.Spec{Backoff: policy{Attempts: 9}}},
		"no restart, and Attempts":    {app: supervisor.Spec{Intensity: supervisor.Intensity{Within: minute}}, child: supervisor.Spec{Backoff: policy{Attempts: 9}}},
		"a limit that Attempts spare": {child: supervisor.Spec{Backoff: policy{Min: 2 * minute, Attempts: 4}}},
		"a limit out of reach": {child: supervisor.Spec{Backoff: policy{Min: 2 * minute}},
			want: "its backoff lets it restart at most 3 times in 5m0s: its supervisor's limit of 5 is never reached by it alone"},
		"never restarted": {child: supervisor.Spec{Restart: supervisor.Temporary, Backoff: policy{Min: 2 * minute}}},
	} {
		c.app.Name, c.child.Name, c.child.Run = "app", "w", suptest.NewWorker().Run
		c.app.Children = []supervisor.Spec{c.child}
		if err := c.app.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got, want []string
		for _, w := range c.app.Warnings() {
			got = append(got, w.Error())
		}
		if c.want != "" {
			want = []string{"app/w: " + c.want}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: warnings are %q, want %q", name, got, want)
		}
	}
}

// TestAttemptsWarningIsTrue: what it says happens.
func TestAttemptsWarningIsTrue(t *testing.T) { // S5, S16, S18
	for attempts, want := range map[int]bool{4: false, 5: true} {
		synctest.Test(t, func(t *testing.T) {
			w := startTiring(t, supervisor.OneForOne, func(_ trio, app *supervisor.Spec) {
				app.Children[1].Backoff.Attempts = attempts
				app.Children[1].Backoff.Min = 0
				if got := len(app.Warnings()) > 0; got != want {
					t.Errorf("%d attempts: warned is %v, want %v", attempts, got, want)
				}
			})
			for i := 0; i <= attempts && !w.Ended(); i++ {
				w.b.Fail(errCrash)
				w.Sleep(10 * time.Second)
			}
			if got := w.Ended(); got != want {
				t.Errorf("%d attempts: the intensity ended it: %v, want %v", attempts, got, want)
			}
		})
	}
}
