package supervisor_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// inTrace is a tree's trace with the number of the incident before each event.
func inTrace(tree *suptest.Tree) string {
	var b strings.Builder
	events := tree.Events()
	slices.SortFunc(events, func(a, b supervisor.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, e := range events {
		fmt.Fprintf(&b, "%d %v\n", e.Incident, e)
	}
	return b.String()
}

// report is the last incident's.
func report(t *testing.T, tree *suptest.Tree) string {
	t.Helper()
	all := tree.Incidents()
	if len(all) == 0 {
		t.Fatal("there is no incident")
	}
	return all[len(all)-1].Report()
}

// told are the incidents in a line each, without how long they took.
func told(incidents []supervisor.Incident) string {
	var b strings.Builder
	for _, i := range incidents {
		line, _, _ := strings.Cut(i.String(), " in ")
		line, _, _ = strings.Cut(line, " after ")
		b.WriteString(line + "\n")
	}
	return b.String()
}

func requireTold(t *testing.T, tree *suptest.Tree, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := strings.TrimSuffix(told(tree.Incidents()), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("incidents are\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// none is an Intensity that allows no restart.
var none = supervisor.Intensity{Within: time.Minute}

// startDeep starts shop/storage/cluster/db, whose failure goes up to storage,
// and the siblings cache, files and web of the three.
func startDeep(t *testing.T, db *suptest.Worker, change func(shop *supervisor.Spec)) *suptest.Tree {
	t.Helper()
	steady := supervisor.Backoff{Jitter: supervisor.NoJitter}
	shop := supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
		{Name: "storage", Intensity: none, Backoff: steady, Children: []supervisor.Spec{
			{Name: "cluster", Intensity: none, Backoff: steady, Children: []supervisor.Spec{
				db.Spec("db"), suptest.NewWorker().Spec("cache")}},
			suptest.NewWorker().Spec("files")}},
		suptest.NewWorker().Spec("web")}}
	if change != nil {
		change(&shop)
	}
	return suptest.Start(t, shop, supervisor.Options{})
}

// TestGoldenIncident: from a worker up through two supervisors that give up,
// and back. In the second start the database takes its time, which is the same
// trouble still.
func TestGoldenIncident(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker().Starts(suptest.Attempt{}, suptest.Attempt{Err: errors.New("still locked")})
		tree := startDeep(t, db, nil)
		db.Fail(fmt.Errorf("write: %w", errCrash))
		tree.Sleep(10 * time.Second)
		tree.Shutdown()
		golden(t, "incident", inTrace(tree)+"\n"+report(t, tree))
		if cause := tree.Incidents()[0].Cause; !errors.Is(cause, errCrash) {
			t.Errorf("the cause is %v", cause)
		}
	})
}

// TestGoldenIncidentToTheRoot: nothing is left to heal it.
func TestGoldenIncidentToTheRoot(t *testing.T) { // S35, S21
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker()
		tree := startDeep(t, db, func(shop *supervisor.Spec) { shop.Intensity = none })
		db.Fail(errCrash)
		_ = tree.Wait()
		tree.Sleep(time.Second)
		golden(t, "incident_to_the_root", inTrace(tree)+"\n"+report(t, tree))
	})
}

// TestGoldenIncidentAfterRemedies: what the probe and the remedies said comes
// first.
func TestGoldenIncidentAfterRemedies(t *testing.T) { // S35, S33
	synctest.Test(t, func(t *testing.T) {
		useless := suptest.NewCheck()
		p := startPatient(t, func(db *supervisor.Spec) {
			db.Probe.Remedies = []supervisor.Remedy{{Name: "reconnect", Do: useless.Run}}
		})
		p.check.Fail(errors.New("no route to host"))
		p.Sleep(31 * time.Second)
		p.check.Pass()
		p.Sleep(time.Minute)
		golden(t, "incident_after_remedies", report(t, p.Tree))
	})
}

func TestFailuresUntilItSettlesAreOneIncident(t *testing.T) { // S35, S15
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) {
			app.Children[1].Backoff.Settle = time.Minute
			app.Intensity = supervisor.Unlimited
		})
		for range 3 {
			w.b.Fail(errCrash)
			if i := w.Incidents()[0]; i.Healed || !i.Ended.IsZero() {
				t.Errorf("%v", i)
			}
			w.Sleep(time.Minute - time.Second)
		}
		requireTold(t, w.Tree, "incident 1: app/b#1: crash; 3 failures; healed")
		w.b.Starts(suptest.Attempt{Err: errors.New("refused")}, suptest.Attempt{Err: errors.New("refused")})
		w.Sleep(time.Minute)
		w.b.Fail(errors.New("another day"))
		w.Sleep(time.Minute)
		requireTold(t, w.Tree, "incident 1: app/b#1: crash; 3 failures; healed", "incident 2: app/b#4: another day; 3 failures; healed")
		if n := kinds(w.Tree, supervisor.EventHealed); n != 4 {
			t.Errorf("healed %d times, want each time that it was ready again", n)
		}
	})
}

// TestWhoWasTakenDownAndHasNotSettledIsInItStill: and who failed first is not
// counted among those that went down with it.
func TestWhoWasTakenDownAndHasNotSettledIsInItStill(t *testing.T) { // S35, S15
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForAll, nil)
		w.b.Fail(errCrash)
		w.Sleep(time.Second)
		w.a.Fail(errors.New("burst"))
		w.Sleep(time.Second)
		requireTold(t, w.Tree, "incident 1: app/b#1: crash; 2 failures; took down 2; healed")
	})
}

func TestIndependentFailuresAreTwoIncidents(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) { app.Children[2].Backoff.Min = 5 * time.Second })
		w.a.Fail(errCrash)
		w.c.Fail(errors.New("burst"))
		w.Sleep(time.Second)
		requireTold(t, w.Tree, "incident 1: app/a#1: crash; healed", "incident 2: app/c#1: burst; not over")
		w.Sleep(time.Minute)
		requireTold(t, w.Tree, "incident 1: app/a#1: crash; healed", "incident 2: app/c#1: burst; healed")
	})
}

// TestWhoIsTakenDownMovesToThatIncident: and the one that it was in ends with
// it, healed by nobody.
func TestWhoIsTakenDownMovesToThatIncident(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.RestForOne, nil)
		w.c.Fail(errors.New("burst"))
		w.a.Fail(errCrash)
		requireTold(t, w.Tree, "incident 1: app/c#1: burst; over", "incident 2: app/a#1: crash; took down 1; not over")
		w.Sleep(time.Minute)
		requireTold(t, w.Tree, "incident 1: app/c#1: burst; over", "incident 2: app/a#1: crash; took down 1; healed")
		if n := kinds(w.Tree, supervisor.EventHealed); n != 1 {
			t.Errorf("healed %d times", n)
		}
	})
}

// TestWhoStillRunsAndMustStopHealsNothing: c runs, and waits for d to stop,
// when it moves to another incident as the last of its own.
func TestWhoStillRunsAndMustStopHealsNothing(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		a, b, c, d := suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()
		on := func(spec supervisor.Spec, names ...string) supervisor.Spec { spec.DependsOn = names; return spec }
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Strategy: supervisor.DependentsForOne, Children: []supervisor.Spec{
			a.Spec("a"), on(b.Spec("b"), "a"), on(d.Spec("d"), "c"), on(c.Spec("c"), "b")}}, supervisor.Options{})
		d.StopsAfter(5*time.Second, nil)
		b.Fail(errCrash)
		a.Fail(errors.New("burst"))
		requireTold(t, tree, "incident 1: app/b#1: crash; took down 1; over", "incident 2: app/a#1: burst; not over")
		tree.Settle()
		requireTold(t, tree, "incident 1: app/b#1: crash; took down 1; over", "incident 2: app/a#1: burst; took down 1; healed")
	})
}

// TestOrdersOpenNoIncident: nor what fails because of one.
func TestOrdersOpenNoIncident(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForAll, nil)
		ctx, refused := t.Context(), suptest.Attempt{Err: errCrash}
		if err := w.Restart(ctx, "app/b"); err != nil {
			t.Error(err)
		}
		if _, err := w.Add(ctx, "app", suptest.NewWorker().AlwaysStarts(refused).Spec("d")); !errors.Is(err, errCrash) {
			t.Error(err)
		}
		if err := w.Stop(ctx, "app/b"); err != nil {
			t.Error(err)
		}
		w.b.Starts(refused)
		if err := w.Start(ctx, "app/b"); !errors.Is(err, errCrash) {
			t.Error(err)
		}
		if err := w.Start(ctx, "app/b"); err != nil {
			t.Error(err)
		}
		if err := w.Apply(ctx, supervisor.Spec{Name: "app", Children: []supervisor.Spec{w.b.Spec("b"), w.c.Spec("x")}}); err != nil {
			t.Error(err)
		}
		w.b.StopsAfter(time.Second, errCrash)
		w.Shutdown()
		requireTold(t, w.Tree, "")
		if trace := inTrace(w.Tree); strings.Contains("\n"+trace, "\n1 ") {
			t.Errorf("events are in an incident:\n%s", trace)
		}
	})
}

// TestWhatStartedByHandFailsLaterIsAnIncident: once it was ready it is a child
// as any other.
func TestWhatStartedByHandFailsLaterIsAnIncident(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		w, d := startTrio(t, supervisor.OneForOne, nil), suptest.NewWorker()
		if _, err := w.Add(t.Context(), "app", d.Spec("d")); err != nil {
			t.Fatal(err)
		}
		d.Fail(errCrash)
		w.Sleep(time.Second)
		requireTold(t, w.Tree, "incident 1: app/d#1: crash; healed")
	})
}

func TestParkedOrStoppedIsNotHealed(t *testing.T) { // S35, S16
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) {
			app.Children[0].Optional, app.Children[0].Backoff.Attempts = true, 1
		})
		w.a.AlwaysStarts(suptest.Attempt{Err: errCrash})
		w.a.Fail(errCrash)
		w.b.Fail(errors.New("burst"))
		if err := w.Stop(t.Context(), "app/b"); err != nil {
			t.Fatal(err)
		}
		w.Sleep(time.Second)
		w.RequireState("app/a", supervisor.Parked)
		requireTold(t, w.Tree, "incident 1: app/a#1: crash; 2 failures; over", "incident 2: app/b#1: burst; over")
		w.Sleep(supervisor.DefaultPark) // a trial
		requireTold(t, w.Tree, "incident 1: app/a#1: crash; 3 failures; over", "incident 2: app/b#1: burst; over")
		if n := kinds(w.Tree, supervisor.EventHealed); n != 0 {
			t.Errorf("healed %d times", n)
		}
		if err := w.Start(t.Context(), "app/b"); err != nil {
			t.Fatal(err)
		}
		w.b.Fail(errors.New("burst again")) // whoever started it took it for well
		if all := w.Incidents(); len(all) != 3 {
			t.Errorf("incidents are\n%s", told(all))
		}
	})
}

// TestNormalEndIsNoFailure: of what runs to its end in a supervisor that is
// started again because of one.
func TestNormalEndIsNoFailure(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		db, web := suptest.NewWorker(), suptest.NewWorker().AlwaysStarts(suptest.Attempt{After: 5 * time.Second})
		done := supervisor.Spec{Name: "migrate", Restart: supervisor.Transient, Run: supervisor.Func(func(context.Context) error { return nil })}
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
			{Name: "storage", Intensity: none, Children: []supervisor.Spec{db.Spec("db"), done, web.Spec("web")}}}}, supervisor.Options{})
		tree.Sleep(time.Minute)
		db.Fail(errCrash)
		tree.Sleep(time.Minute)
		requireTold(t, tree, "incident 1: shop/storage/db#1: crash; 2 failures; took down 1; healed") // the other is storage's
	})
}

// TestWhatIsBelowIsInTheIncidentToo: of a supervisor that is taken down as a
// sibling. What failed there before on its own account ends with its child.
func TestWhatIsBelowIsInTheIncidentToo(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		db, web, api := suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Strategy: supervisor.OneForAll, Children: []supervisor.Spec{
			db.Spec("db"), {Name: "front", Children: []supervisor.Spec{web.Spec("web"), api.Spec("api")}}}}, supervisor.Options{})
		web.Fail(errors.New("burst"))
		api.Starts(suptest.Attempt{Err: errors.New("refused")})
		db.Fail(errCrash)
		tree.Sleep(time.Minute)
		golden(t, "incident_below", inTrace(tree))
		requireTold(t, tree, "incident 1: shop/front/web#1: burst; over", "incident 2: shop/db#1: crash; 2 failures; took down 2; healed")
	})
}

// TestIncidentOfABirthEndsForWhatHasSettled: who fails soon after it was
// started in an incident is in that one; who has settled is not, though its
// supervisor still starts.
func TestIncidentOfABirthEndsForWhatHasSettled(t *testing.T) { // S35, S15
	synctest.Test(t, func(t *testing.T) {
		db, web, api := suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()
		api.AlwaysStarts(suptest.Attempt{After: 25 * time.Second})
		front := []supervisor.Spec{web.Spec("web"), api.Spec("api")}
		front[0].Backoff.Settle = 10 * time.Second
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Strategy: supervisor.OneForAll, Children: []supervisor.Spec{
			db.Spec("db"), {Name: "front", Children: front}}}, supervisor.Options{})
		tree.Sleep(time.Minute)
		db.Fail(errCrash)
		tree.Sleep(9 * time.Second)
		web.Fail(errors.New("at once"))
		tree.Sleep(11 * time.Second)
		web.Fail(errors.New("late"))
		tree.Sleep(10 * time.Second)
		api.Fail(errors.New("soon"))
		tree.Sleep(time.Minute)
		requireTold(t, tree, "incident 1: shop/db#1: crash; 3 failures; took down 3; healed", "incident 2: shop/front/web#3: late; healed")
	})
}

// TestGivingUpWhileBornInAnIncident: it is the same one that goes up again.
func TestGivingUpWhileBornInAnIncident(t *testing.T) { // S35, S16
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker()
		tree := startDeep(t, db, func(shop *supervisor.Spec) {
			shop.Children[0].Children[0].Children[1].Backoff.Attempts = 1
			shop.Children[0].Children[0].Children[1].Run = db.Run // two that fail
		})
		db.Starts(suptest.Attempt{}, suptest.Attempt{Err: errors.New("refused")}, suptest.Attempt{Err: errors.New("refused")})
		db.Fail(errCrash)
		tree.Sleep(time.Minute)
		if got := tree.Incidents(); len(got) != 1 || !got[0].Healed || slices.Contains(got[0].Down, got[0].Path) || kinds(tree, supervisor.EventHealed) != 1 {
			t.Errorf("incidents are\n%s", told(got))
		}
		if n := kinds(tree, supervisor.EventGaveUp); n < 4 {
			t.Errorf("%d supervisors gave up, want the two of them twice", n)
		}
	})
}

// TestEscalatingIsAFailure: counted, and remembered, as any other.
func TestEscalatingIsAFailure(t *testing.T) { // S35, S8
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker()
		tree := startDeep(t, db, func(shop *supervisor.Spec) {
			shop.Children[0].Intensity, shop.Children[0].Children[0].Intensity = supervisor.Unlimited, supervisor.Unlimited
		})
		db.Fail(supervisor.ErrEscalate)
		tree.Sleep(time.Minute)
		requireTold(t, tree, "incident 1: shop/storage/cluster/db#1: supervisor: escalate; 2 failures; took down 1; healed")
		if snap, err := tree.Find("shop/storage/cluster/db"); err != nil || snap.LastErr != supervisor.ErrEscalate {
			t.Errorf("the last error is %v, %v", snap.LastErr, err)
		}
	})
}

// TestIncidentsOfThoseThatDoNotComeBack: of what is not restarted, nothing is
// healed, and a normal end is no incident.
func TestIncidentsOfThoseThatDoNotComeBack(t *testing.T) { // S35, S7, S20
	for name, try := range map[string]struct {
		change func(sub, w *supervisor.Spec)
		err    error
		want   string
	}{
		"temporary": {func(_, w *supervisor.Spec) { w.Restart = supervisor.Temporary }, errCrash,
			"incident 1: app/sub/w#1: crash; over"},
		"transient": {func(_, w *supervisor.Spec) { w.Restart = supervisor.Transient }, errCrash,
			"incident 1: app/sub/w#1: crash; healed"},
		"transient, normal end": {func(_, w *supervisor.Spec) { w.Restart = supervisor.Transient }, nil, ""},
		"permanent, normal end": {func(_, w *supervisor.Spec) {}, nil,
			"incident 1: app/sub/w#1: returned, though it is to run for ever; healed"},
		"significant, normal end": {func(sub, w *supervisor.Spec) {
			w.Restart, w.Significant, sub.AutoShutdown = supervisor.Temporary, true, supervisor.AnySignificant
		}, nil, "incident 1: app/sub#1: supervisor: auto shutdown; healed"},
		"significant": {func(sub, w *supervisor.Spec) {
			w.Restart, w.Significant, sub.AutoShutdown = supervisor.Temporary, true, supervisor.AnySignificant
		}, errCrash, "incident 1: app/sub/w#1: crash; 2 failures; healed"}, // the other is the supervisor's, which is permanent
		"significant, of a transient supervisor": {func(sub, w *supervisor.Spec) {
			w.Restart, w.Significant, sub.AutoShutdown, sub.Restart = supervisor.Temporary, true, supervisor.AllSignificant, supervisor.Transient
		}, errCrash, "incident 1: app/sub/w#1: crash; over"},
		"gave up, below a Strict one": {func(sub, _ *supervisor.Spec) { sub.Intensity, sub.Restart = none, supervisor.Transient }, errCrash,
			"incident 1: app/sub/w#1: crash; over"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := suptest.NewWorker()
				spec, sub := w.Spec("w"), supervisor.Spec{Name: "sub"}
				try.change(&sub, &spec)
				sub.Children = []supervisor.Spec{spec}
				tree := suptest.Start(t, supervisor.Spec{Name: "app", Strict: true, Children: []supervisor.Spec{sub}}, supervisor.Options{})
				w.Fail(try.err)
				tree.Sleep(time.Second)
				requireTold(t, tree, try.want)
				for _, e := range tree.Events() {
					if e.Supervisor != (e.Path == "app" || e.Path == "app/sub") {
						t.Errorf("%v is of a supervisor: %v", e, e.Supervisor)
					}
				}
			})
		})
	}
}

func TestTooManyAbandonedAreAnIncident(t *testing.T) { // S35, S27
	synctest.Test(t, func(t *testing.T) {
		a := suptest.NewWorker().StopsAfter(time.Hour, nil)
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{a.Spec("a")}}, supervisor.Options{MaxAbandoned: 1})
		for range 2 {
			go func() { _ = tree.Restart(t.Context(), "app/a") }()
			tree.Sleep(time.Minute)
		}
		_ = tree.Wait()
		requireTold(t, tree, "incident 1: app#1: supervisor: too many abandoned incarnations: 2, MaxAbandoned is 1; not over")
	})
}

func TestIncidentKeepsTheStack(t *testing.T) { // S35, S6, S34
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.a.Panic("boom")
		w.Sleep(time.Second)
		w.b.Fail(errCrash)
		w.Sleep(time.Second)
		all := w.Incidents()
		if len(all) != 2 || !strings.Contains(all[0].Stack(), "suptest.(*Worker).Run") || !strings.Contains(all[0].Report(), "\nstack:\n") {
			t.Errorf("the panic's report is\n%s", all[0].Report())
		}
		if all[1].Stack() != "" || strings.Contains(all[1].Report(), "stack:") {
			t.Errorf("the error's report is\n%s", all[1].Report())
		}
	})
}

// TestMissedBeatIsTheCause: not that it was told to stop over it.
func TestMissedBeatIsTheCause(t *testing.T) { // S35, S34
	synctest.Test(t, func(t *testing.T) {
		w := suptest.NewWorker()
		tree := startBeating(t, w)
		tree.Sleep(2 * time.Second)
		all := tree.Incidents()
		var missed *supervisor.BeatError
		if len(all) != 1 || !errors.As(all[0].Cause, &missed) || all[0].Failures != 1 || all[0].DownTotal != 0 {
			t.Fatalf("incidents are %+v", all)
		}
	})
}

// TestIncidentRemembersWithinLimits: each path once, and how many there were.
func TestIncidentRemembersWithinLimits(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		first, spec := suptest.NewWorker(), supervisor.Spec{Name: "app", Strategy: supervisor.OneForAll, Intensity: supervisor.Unlimited}
		spec.Children = append(spec.Children, first.Spec("first"))
		below := supervisor.Spec{Name: "below"}
		for i := range 15 {
			spec.Children = append(spec.Children, suptest.NewWorker().Spec(fmt.Sprint("w", i)))
			below.Children = append(below.Children, suptest.NewWorker().Spec(fmt.Sprint("x", i)))
		}
		spec.Children = slices.Insert(spec.Children, 1, below) // so that it stops after those that fill the list
		spec.Children[0].Backoff.Settle = time.Hour
		tree := suptest.Start(t, spec, supervisor.Options{})
		var early supervisor.Incident
		for n := range 40 {
			if n == 20 {
				early = tree.Incidents()[0]
			}
			first.Fail(errCrash)
			tree.Sleep(time.Minute)
		}
		i := tree.Incidents()[0]
		slices.Sort(i.Down)
		if i.DownTotal != 31 || len(i.Down) != 20 || len(slices.Compact(i.Down)) != 20 {
			t.Errorf("took down %d, %v", i.DownTotal, i.Down)
		}
		if n := len(i.Decisions); n != 16 || i.Decisions[0].Seq >= i.Decisions[n-1].Seq || i.Decisions[n-1].Kind != supervisor.EventBackingOff {
			t.Errorf("%d decisions: %v", n, i.Decisions)
		}
		if n := len(early.Decisions); early.Decisions[0].Seq >= early.Decisions[n-1].Seq || early.Decisions[n-1].Seq >= i.Decisions[0].Seq {
			t.Errorf("what was read before has become %v", early.Decisions)
		}
	})
}

// TestIncidentOutlivesTheList: one that others have pushed out goes on, and
// nothing of it gets into theirs.
func TestIncidentOutlivesTheList(t *testing.T) { // S35
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) {
			app.Intensity = supervisor.Unlimited
			app.Children[1].Backoff = supervisor.Backoff{Min: time.Second, Max: time.Second, Settle: time.Hour, Jitter: supervisor.NoJitter}
			app.Children[2].Backoff = supervisor.NoBackoff // which settles at once
		})
		for range 100 {
			w.b.Fail(errCrash)
			w.c.Fail(errors.New("burst"))
			w.Sleep(2 * time.Second)
		}
		all := w.Incidents()
		if len(all) != 64 || all[0].ID != 38 || all[63].ID != 101 {
			t.Errorf("%d incidents, from %d on", len(all), all[0].ID)
		}
		for _, i := range all {
			if i.Path != "app/c" || i.Failures != 1 || !i.Healed || i.DownTotal+len(i.Before) > 0 {
				t.Errorf("%v", i)
			}
		}
		healed := 0
		for _, e := range w.Events() {
			if e.Kind == supervisor.EventHealed && e.Incident == 1 {
				if healed++; e.Path != "app/b" || e.Incarnation != 1 || e.Err != errCrash {
					t.Errorf("%v", e)
				}
			}
		}
		if healed != 100 {
			t.Errorf("incident 1 healed %d times, want 100", healed)
		}
	})
}

// TestIncidentsDuringAStorm: each of a thousand children fails three times, and
// its incident is told to the end, though they are far more than are listed.
func TestIncidentsDuringAStorm(t *testing.T) { // S35
	n, goOn := scale(1_000, 70), make(chan struct{})
	spec := supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited, Concurrent: true}
	for i := range n {
		spec.Children = append(spec.Children, failsThrice(fmt.Sprint(i), goOn))
	}
	ctx, allHealed := context.WithTimeout(t.Context(), time.Minute)
	defer allHealed()
	healed, last := map[uint64]int{}, map[uint64]uint64{}
	sup, stop := run(t, spec, supervisor.Options{EventBuffer: 1 << 16, Observer: func(e supervisor.Event) {
		before := last[e.Incident]
		last[e.Incident] = e.Seq
		if e.Incident != 0 && (before == 0 && e.Kind != supervisor.EventExited || e.Seq <= before) {
			t.Errorf("%v is %d, after %d of incident %d", e, e.Seq, before, e.Incident)
		}
		if e.Kind == supervisor.EventHealed {
			if healed[e.Incident]++; len(healed) == n {
				allHealed()
			}
		}
	}})
	close(goOn)
	readWhile(ctx, t, sup)
	if err := stop(); err != nil || ctx.Err() == context.DeadlineExceeded {
		t.Errorf("%d of %d healed, %v", len(healed), n, err)
	}
	for id, times := range healed {
		if times != 1 {
			t.Errorf("incident %d healed %d times", id, times)
		}
	}
}

// failsThrice runs until goOn is closed, and then twice does not start.
func failsThrice(name string, goOn <-chan struct{}) supervisor.Spec {
	starts := 0
	return supervisor.Spec{Name: name, Backoff: supervisor.Backoff{Min: time.Millisecond}, Run: func(ctx context.Context, ready func()) error {
		switch starts++; starts {
		case 1:
			ready()
			<-goOn
			return errCrash
		case 2, 3:
			return errCrash
		}
		ready()
		<-ctx.Done()
		return nil
	}}
}

// readWhile reads the incidents, and finds each whole.
func readWhile(ctx context.Context, t *testing.T, sup *supervisor.Supervisor) {
	for ctx.Err() == nil {
		last := uint64(0)
		for _, i := range sup.Incidents() {
			if i.ID <= last || i.Cause != errCrash || i.Failures < 1 || i.Failures > 3 || i.Healed && i.Ended.IsZero() {
				t.Errorf("after %d: %+v", last, i)
			}
			last = i.ID
		}
	}
}
