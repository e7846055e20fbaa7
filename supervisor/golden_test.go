package supervisor_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

var update = flag.Bool("update", false, "rewrite the golden traces; read the diff")

// golden compares a trace with testdata/golden/<name>.txt.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n--- got\n%s--- want\n%s", file, got, want)
	}
}

// A trio is a supervisor "app" with the workers a, b and c.
type trio struct {
	*suptest.Tree
	a, b, c *suptest.Worker
}

func startTrio(t *testing.T, strategy supervisor.Strategy, change func(app *supervisor.Spec)) trio {
	t.Helper()
	w := trio{a: suptest.NewWorker(), b: suptest.NewWorker(), c: suptest.NewWorker()}
	app := supervisor.Spec{Name: "app", Strategy: strategy, Children: []supervisor.Spec{w.a.Spec("a"), w.b.Spec("b"), w.c.Spec("c")}}
	if change != nil {
		change(&app)
	}
	w.Tree = suptest.Start(t, app, supervisor.Options{})
	return w
}

// scale returns how often to try: less with -short, which is run many times.
func scale(n, short int) int {
	if testing.Short() {
		return short
	}
	return n
}

var errCrash = errors.New("crash")

func TestGoldenOneForOne(t *testing.T) { // S9
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, nil)
		w.b.Fail(errCrash)
		w.Sleep(10 * time.Second)
		w.Shutdown()
		golden(t, "one_for_one", w.Trace())
	})
}

func TestGoldenOneForAll(t *testing.T) { // S10, S15
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForAll, nil)
		w.b.Fail(errCrash)
		w.Sleep(10 * time.Second)
		w.Shutdown()
		golden(t, "one_for_all", w.Trace())
	})
}

func TestGoldenRestForOne(t *testing.T) { // S11
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.RestForOne, nil)
		w.b.Fail(errCrash)
		w.Sleep(10 * time.Second)
		w.Shutdown()
		golden(t, "rest_for_one", w.Trace())
	})
}

func TestGoldenStartFailsInsideGroupRestart(t *testing.T) { // S14
	for name, strategy := range map[string]supervisor.Strategy{"one_for_all": supervisor.OneForAll, "rest_for_one": supervisor.RestForOne} {
		synctest.Test(t, func(t *testing.T) {
			w := startTrio(t, strategy, nil)
			w.b.Starts(suptest.Attempt{Err: errCrash})
			w.a.Fail(errCrash)
			w.Sleep(10 * time.Second)
			golden(t, "start_fails_in_"+name, w.Trace())
		})
	}
}

func TestGoldenGiveUp(t *testing.T) { // S18
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.OneForOne, func(app *supervisor.Spec) {
			app.Intensity = supervisor.Intensity{Restarts: 2, Within: time.Minute}
		})
		for range 3 {
			w.b.Fail(errCrash)
			w.Sleep(time.Second)
		}
		_ = w.Wait()
		golden(t, "give_up", w.Trace())
	})
}

func TestGoldenEscalation(t *testing.T) { // S20
	synctest.Test(t, func(t *testing.T) {
		db, cache, web := suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
			{Name: "storage", Intensity: supervisor.Intensity{Within: time.Minute}, Backoff: supervisor.Backoff{Jitter: supervisor.NoJitter},
				Children: []supervisor.Spec{db.Spec("db"), cache.Spec("cache")}},
			web.Spec("web"),
		}}, supervisor.Options{})
		db.Fail(errCrash)
		tree.Sleep(10 * time.Second)
		golden(t, "escalation", tree.Trace())
	})
}

func TestGoldenAbandoned(t *testing.T) { // S27
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.RestForOne, nil)
		w.c.StopsAfter(25*time.Second, nil)
		w.b.Fail(errCrash)
		w.Sleep(time.Minute)
		golden(t, "abandoned", w.Trace())
	})
}

func TestGoldenFenced(t *testing.T) { // S27
	synctest.Test(t, func(t *testing.T) {
		w := startTrio(t, supervisor.RestForOne, func(app *supervisor.Spec) { app.Children[1].Exclusive = true })
		w.b.StopsAfter(25*time.Second, nil)
		w.a.Fail(errCrash)
		w.Sleep(time.Minute)
		golden(t, "fenced", w.Trace())
	})
}

// TestGoldenTheWholeLadder: nothing helps a database that does not answer. Each
// rung is an event, and before it the snapshot says what comes next and what is
// left of the budget; when the root has given up, it is the platform's turn.
func TestGoldenTheWholeLadder(t *testing.T) { // S33, S18, S20, S21, S35, S36
	synctest.Test(t, func(t *testing.T) {
		db, web := suptest.NewWorker(), suptest.NewWorker().StopsAfter(time.Second, nil)
		check := suptest.NewCheck()
		probed := db.Spec("db")
		probed.Probe = check.Probe()
		probed.Probe.Remedies = []supervisor.Remedy{{Name: "reconnect", Cooldown: time.Second, Do: func(context.Context) error { return nil }}}
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Intensity: none, Children: []supervisor.Spec{
			{Name: "storage", Strategy: supervisor.RestForOne, Intensity: supervisor.Intensity{Restarts: 1, Within: time.Hour},
				Children: []supervisor.Spec{probed, suptest.NewWorker().Spec("cache")}},
			web.Spec("web"),
		}}, supervisor.Options{})
		check.Fail(errors.New("no answer"))
		var ladder strings.Builder
		look := func(d time.Duration) {
			tree.Sleep(d)
			fmt.Fprintf(&ladder, "%s%s\n", tree.Trace(), looks(tree))
			tree.Forget()
		}
		look(5 * time.Second)
		look(10 * time.Second)               // impaired
		look(10 * time.Second)               // the remedy is next
		look(10 * time.Second)               // restarted with its group, once
		look(25*time.Second + time.Second/5) // once too often: up to the root
		look(time.Second)                    // ended
		golden(t, "the_whole_ladder", ladder.String()+report(t, tree))
	})
}

// looks is what there is to see of the ladder: what comes next, the budgets
// left, and what a liveness probe says.
func looks(tree *suptest.Tree) string {
	snap := tree.Snapshot()
	storage, _ := snap.Find("shop/storage")
	db, _ := snap.Find("shop/storage/db")
	next := "nothing is known"
	if db.Probe != nil {
		next = "next is " + db.Probe.Next
	}
	return fmt.Sprintf("-- %v: %s; storage may restart %d more, shop %d; alive: %v", snap.Status, next, storage.BudgetLeft, snap.BudgetLeft, tree.Alive())
}

// onceIsEnough is for what reads files, which do not change from one repeat to the next.
func onceIsEnough(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("reads files: once is enough, without -short")
	}
}
