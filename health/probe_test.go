package health_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// probed is a shop whose database was checked at 10 s, and well, and in which
// nothing else is probed.
func probed(t *testing.T, change func(*supervisor.Probe)) (*suptest.Tree, *suptest.Check) {
	t.Helper()
	check := suptest.NewCheck()
	spec := shop(suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker())
	db := &spec.Children[0].Children[0]
	db.Probe = check.Probe()
	if change != nil {
		change(db.Probe)
	}
	spec.Children[1].DependsOn, spec.Strategy = []string{"storage"}, supervisor.DependentsForOne
	tree := suptest.Start(t, spec, supervisor.Options{})
	tree.Sleep(11 * time.Second)
	return tree, check
}

// stale makes the check take longer than three intervals, which its timeout
// lets it: 35 s after the last result, the database was last seen well.
func stale(t *testing.T) *suptest.Tree {
	t.Helper()
	tree, check := probed(t, func(p *supervisor.Probe) { p.Timeout = time.Minute })
	check.Do(late)
	tree.Sleep(34 * time.Second)
	tree.RequireStatus("shop/storage/db", supervisor.Up)
	return tree
}

// late is a check that takes as long as it may.
func late(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

type probe struct {
	At                  time.Time
	Took                float64 `json:"took_seconds"`
	Interval            float64 `json:"interval_seconds"`
	Error, Next         string
	Failures, Threshold int
	Stale               bool
}

func TestTreeJSONTellsProbesAndWhatComesNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, check := probed(t, func(p *supervisor.Probe) {
			p.Remedies = []supervisor.Remedy{{Name: "purge", Do: func(context.Context) error { return nil }}}
		})
		h := health.Admin(tree.Supervisor, health.AdminOptions{})
		db := func() (n node) {
			var got struct{ Root node }
			decode(t, get(h, "/tree").Body.String(), &got)
			if on := got.Root.Children[1].DependsOn; len(on) != 1 || on[0] != "storage" {
				t.Errorf("http depends on %v", on)
			}
			return got.Root.Children[0].Children[0]
		}
		if n := db(); n.Probe == nil || *n.Probe != (probe{At: time.Now().Add(-time.Second).UTC(), Interval: 10, Next: "check", Threshold: 3}) || n.Next != "" || n.Incident != 0 {
			t.Errorf("%+v %+v", n, n.Probe)
		}
		check.Do(func(context.Context) error { time.Sleep(500 * time.Millisecond); return errRefused })
		tree.Sleep(10 * time.Second)
		n := db()
		if p := n.Probe; p == nil || p.Took != 0.5 || p.Error != errRefused.Error() || p.Failures != 1 || p.Next != "check" || p.Stale {
			t.Errorf("%+v", n.Probe)
		}
		if n.State != "ready" || n.Status != "degraded" || n.Next != "check (1 of 3 checks failed in a row)" {
			t.Errorf("%+v", n)
		}
	})
}

// What is old is neither good nor bad: a probe that nobody heard of for three
// intervals says nothing.
func TestAStaleResultIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := stale(t)
		public, admin := health.Handler(tree.Supervisor), health.Admin(tree.Supervisor, health.AdminOptions{})
		for _, h := range []http.Handler{public, admin} {
			requireText(t, get(h, "/readyz/shop/storage/db"), 200, "[?]shop/storage/db unknown: last checked 35 s ago\nreadyz check passed\n")
			requireText(t, get(h, "/readyz/shop/storage?verbose"), 200, "[+]shop/storage ok\n[?]shop/storage/db unknown: last checked 35 s ago\n"+
				"[+]shop/storage/cache ok\nreadyz check passed\n")
			for _, query := range []string{"", "?verbose"} {
				b := getJSON(t, h, "/readyz/shop/storage/db"+query, 200)
				if c := b.Checks["shop/storage/db"]; b.Status != "warn" || len(c) != 1 || c[0].Status != "warn" || c[0].Output != "last checked 35 s ago" ||
					!c[0].Time.Equal(time.Now().Add(-35*time.Second)) {
					t.Errorf("%+v", b)
				}
			}
		}
		requireHas(t, get(admin, "/tree").Body.String(), `"stale":true`)
	})
}

// Readiness is what the tree keeps: a check that is late takes no traffic away.
func TestAStaleResultIsNoReasonNotToBeReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := stale(t)
		h := health.Handler(tree.Supervisor)
		requireCodes(t, h, 200, 200, 200)
		requireText(t, get(h, "/readyz"), 200, "ok")
		requireText(t, get(h, "/readyz/shop/storage"), 200, "ok")
		tree.Sleep(36 * time.Second) // the timeout is over: it has failed
		requireText(t, get(h, "/readyz/shop?verbose"), 200, "[+]shop degraded\n[+]shop/storage degraded\n[+]shop/storage/db degraded (checked 1 s ago)\n"+
			"[+]shop/storage/cache ok\n[+]shop/http ok\nreadyz check passed\n")
	})
}

// Three intervals to the instant are not too old yet.
func TestAResultIsGoodForThreeIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, check := probed(t, func(p *supervisor.Probe) { p.Timeout = time.Minute })
		h := health.Handler(tree.Supervisor)
		check.Do(late)
		tree.Sleep(29 * time.Second)
		requireText(t, get(h, "/readyz/shop/storage/db"), 200, "ok")
		tree.Sleep(time.Nanosecond)
		requireHas(t, get(h, "/readyz/shop/storage/db").Body.String(), "unknown")
	})
}

// What is known to be bad stays so, however old.
func TestAStaleResultHidesNothingBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, check := probed(t, func(p *supervisor.Probe) { p.Timeout = time.Minute })
		check.Fail(errRefused)
		tree.Sleep(10 * time.Second)
		check.Do(late)
		tree.Sleep(35 * time.Second)
		public, admin := health.Handler(tree.Supervisor), health.Admin(tree.Supervisor, health.AdminOptions{})
		requireHas(t, get(public, "/readyz?verbose").Body.String(), "[+]shop/storage/db degraded: last checked 36 s ago\n")
		requireHas(t, get(admin, "/readyz?verbose").Body.String(), "[+]shop/storage/db degraded: ready: "+errRefused.Error()+"; last checked 36 s ago\n")
		requireHas(t, get(admin, "/").Body.String(), `<span class="state warn">impaired</span>`, `probe <span class="unknown">unknown</span>, <time`, ">last checked 36 s ago<")
		if err := tree.Stop(t.Context(), "shop/storage/db"); err != nil {
			t.Fatal(err)
		}
		requireText(t, get(public, "/readyz/shop/storage/db"), 503, "[-]shop/storage/db failed\nreadyz check failed\n")
		requireHas(t, get(public, "/readyz?verbose").Body.String(), "[-]shop/storage/db failed\n") // its probe is no more
	})
}

func TestThePageShowsProbesAndTheirAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, check := probed(t, nil)
		h := health.Admin(tree.Supervisor, health.AdminOptions{})
		requireHas(t, get(h, "/").Body.String(), ">All is well<", `probe <span class="fine">ok</span>, <time`, ">1 s ago<", "depends on storage")
		check.Fail(errRefused)
		tree.Sleep(10 * time.Second)
		requireHas(t, get(h, "/").Body.String(), `<span class="state warn">impaired</span>`, "next: check (1 of 3 checks failed in a row)",
			`probe <span class="warn">failed</span>, <time`, ">1 s ago<", errRefused.Error())
	})
}

// A green that is too old is shown as none, not even in the sum of it all.
func TestThePageShowsNoStaleGreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := stale(t)
		h := health.Admin(tree.Supervisor, health.AdminOptions{})
		page := get(h, "/").Body.String()
		requireHas(t, page, `<span class="headline unknown">Ready</span>`, "But 1 probe did not answer lately.", "1 unknown", `id="shape-unknown"`,
			`<li class="card unknown"`, `<span class="name">db</span><span class="state unknown">unknown</span><span class="fact">probe <span class="unknown">unknown</span>, <time`, ">last checked 35 s ago<")
		requireHasNot(t, page, "All is well")
		if err := tree.Stop(t.Context(), "shop/http"); err != nil {
			t.Fatal(err)
		}
		requireHas(t, get(h, "/tree").Body.String(), `"why":"shop/http stopped"`) // what is known to be bad comes first
	})
}
