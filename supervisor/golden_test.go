package supervisor_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
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

func TestGoldenOneForAll(t *testing.T) { // S10
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
