package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

type incident struct {
	ID, Incarnation uint64
	Path            string
	Began, Ended    time.Time
	Healed          bool
	Lasted          float64 `json:"lasted_seconds"`
	Failures        int
	Causes, Down    []string
	Stack, Report   string
	DownTotal       int `json:"down_total"`

	Before, Decisions []event
}

type event struct {
	Path, Event, Remedy, Error string
	Incident                   uint64
	RestartsLeft               *int `json:"restarts_left"`
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// troubled is a shop in which the database has panicked and is well again, and
// the cache has just failed and cannot start. What follows a failed db is taken
// down with it.
func troubled(t *testing.T, opts supervisor.Options) *suptest.Tree {
	t.Helper()
	db, cache := suptest.NewWorker(), suptest.NewWorker()
	spec := shop(db, cache, suptest.NewWorker())
	spec.Children[0].Strategy = supervisor.RestForOne
	check := suptest.NewCheck()
	spec.Children[0].Children[0].Probe = check.Probe()
	tree := suptest.Start(t, spec, opts)
	check.Fail(errors.New("slow"))
	tree.Sleep(12 * time.Second)                                    // one check
	db.Panic(fmt.Errorf("query: %w", fmt.Errorf("%w", errRefused))) // one of them says nothing new
	check.Pass()
	tree.Sleep(time.Hour)
	cache.AlwaysStarts(suptest.Attempt{Err: errRefused})
	cache.Fail(errRefused)
	return tree
}

func TestIncidentsJSONTellsWhatBroke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := health.Admin(troubled(t, supervisor.Options{}).Supervisor, health.AdminOptions{})
		var list []incident
		w := get(h, "/incidents")
		decode(t, w.Body.String(), &list)
		if len(list) != 2 || list[0].ID != 2 || list[1].ID != 1 {
			t.Fatalf("not newest first: %s", w.Body)
		}
		if open := list[0]; open.Path != "shop/storage/cache" || !open.Ended.IsZero() || open.Healed || open.Stack != "" || strings.Contains(w.Body.String(), "0001-01-01") {
			t.Errorf("%+v", open)
		}
		i := list[1]
		if i.Path != "shop/storage/db" || i.Incarnation != 1 || !i.Healed || i.Failures != 1 || i.Lasted <= 0 || i.Lasted != i.Ended.Sub(i.Began).Seconds() || i.Report != "" {
			t.Errorf("%+v", i)
		}
		if got, want := strings.Join(i.Causes, "\n"), "panic: query: "+errRefused.Error()+"\nquery: "+errRefused.Error()+"\n"+errRefused.Error(); got != want {
			t.Errorf("causes:\n%s\nwant\n%s", got, want)
		}
		if fmt.Sprint(i.Down) != "[shop/storage/cache]" || i.DownTotal != 1 {
			t.Errorf("down: %v, %d", i.Down, i.DownTotal)
		}
		if len(i.Before) == 0 || i.Before[0].Event != "impaired" || i.Before[0].Error != "slow" {
			t.Errorf("before: %+v", i.Before)
		}
		if len(i.Decisions) != 1 || i.Decisions[0].Event != "backing off" || i.Decisions[0].RestartsLeft == nil || *i.Decisions[0].RestartsLeft != 4 || i.Decisions[0].Incident != 1 {
			t.Errorf("decisions: %+v", i.Decisions)
		}
		if n := strings.Count(w.Body.String(), "suptest.(*Worker).Run"); n != 1 {
			t.Errorf("the stack is told %d times", n)
		}
		requireHas(t, i.Stack, "suptest.(*Worker).Run", "worker.go:")
	})
}

func TestOneIncidentIsToldInFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := health.Admin(troubled(t, supervisor.Options{}).Supervisor, health.AdminOptions{})
		text := get(h, "/incidents/1", "Accept", "text/plain").Body.String()
		requireHas(t, text, "2000-01-01T00:00:12Z incident 1: shop/storage/db#1: panic: query: ", "healed in 100ms\n",
			"\ncauses:\n  panic: query: "+errRefused.Error()+"\n  query: "+errRefused.Error()+"\n  "+errRefused.Error()+"\n",
			"just before:\n", "impaired: slow\n", "decided:\n", "backing off 100ms", "(4 more allowed)\n",
			"down with it (1):\n  shop/storage/cache\n", "stack:\n", "worker.go:")
		var one incident
		decode(t, get(h, "/incidents/1").Body.String(), &one)
		if one.ID != 1 || one.Report != text {
			t.Errorf("%+v", one)
		}
		for _, path := range []string{"/incidents/3", "/incidents/0", "/incidents/", "/incidents/x", "/incidents/-1", "/incidents/1/", "/incidents/99999999999999999999"} {
			requireText(t, get(h, path), 404, "not found\n")
		}
	})
}

// Who reads with their own eyes gets text, programs get JSON.
func TestIncidentsAreTextForPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := health.Admin(troubled(t, supervisor.Options{}).Supervisor, health.AdminOptions{})
		for _, c := range []struct {
			accept, agent string
			text          bool
		}{
			{"", "", false}, {"*/*", "Go-http-client/1.1", false}, {"text/html,application/xml;q=0.9,*/*;q=0.8", "Mozilla/5.0", false},
			{"application/json, text/plain, */*", "axios", false}, {"application/json", "curl/8.5.0", false},
			{"text/plain", "", true}, {"*/*", "curl/8.5.0", true}, {"*/*", "Wget/1.21", true},
		} {
			for _, path := range []string{"/incidents", "/incidents/2"} {
				kind := get(h, path, "Accept", c.accept, "User-Agent", c.agent).Header().Get("Content-Type")
				if got := strings.HasPrefix(kind, "text/plain"); got != c.text {
					t.Errorf("%s for %q of %q is %s", path, c.accept, c.agent, kind)
				}
			}
		}
		lines := strings.Split(get(h, "/incidents", "Accept", "text/plain").Body.String(), "\n")
		if len(lines) != 3 || !strings.HasPrefix(lines[0], "2000-01-01T01:00:12Z incident 2: shop/storage/cache#2: ") ||
			!strings.HasSuffix(lines[1], "; took down 1; healed in 100ms") || lines[2] != "" {
			t.Errorf("%q", lines)
		}
	})
	h := health.Admin(running(t, pool(2, idle), supervisor.Options{}), health.AdminOptions{})
	requireText(t, get(h, "/incidents"), 200, "[]\n")
	requireText(t, get(h, "/incidents", "Accept", "text/plain"), 200, "no incidents\n")
}

// rude is an error whose methods panic.
type rude struct{}

func (rude) Error() string   { panic("no text") }
func (rude) Unwrap() []error { panic("no errors") }
func (rude) Stack() string   { panic("no stack") }

func TestIncidentsOfOddErrorsDoNoHarm(t *testing.T) {
	for _, odd := range []error{rude{}, panicky{}, errors.Join(errRefused, nil, rude{}), fmt.Errorf("%w, %w", rude{}, errRefused)} {
		synctest.Test(t, func(t *testing.T) {
			db := suptest.NewWorker()
			tree := suptest.Start(t, shop(db, suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{})
			db.Fail(odd)
			h := health.Admin(tree.Supervisor, health.AdminOptions{})
			for _, path := range []string{"/", "/incidents", "/incidents/1"} {
				if w := get(h, path, "Accept", "text/plain"); w.Code != 200 {
					t.Errorf("%T: %s: %d", odd, path, w.Code)
				}
			}
		})
	}
}

// The open incident comes first, and each can be read in full without a script.
func TestThePageShowsIncidents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := health.Admin(troubled(t, supervisor.Options{}).Supervisor, health.AdminOptions{})
		page := get(h, "/").Body.String()
		open, page, _ := strings.Cut(page, `id="tree-title"`)
		tree, healed, _ := strings.Cut(page, `id="incidents-title"`)
		requireHas(t, open, ">What broke<", ">shop/storage/cache<", ">backing off<", "for 0 s", errRefused.Error(), "next start in 0.1 s", "1 of 5 restarts used",
			"decided: shop/storage/cache backing off for 0.1 s, 4 restarts left", `data-fold="incident 2"`)
		requireHas(t, healed, ">shop/storage/db<", ">healed after 0.1 s<", "began 00:00:12 UTC", "59 min 59 s ago", "went down with it: shop/storage/cache<",
			`<details class="drawer" data-fold="incident 1">`, "<h4>Stack</h4>", "worker.go:", "<h4>Just before</h4>", "&#43;0.000 s<", `href="incidents/1?text"`)
		requireHas(t, tree, "incident 2")
		requireHas(t, get(h, "/tree").Body.String(), `"incident":2`)
	})
}

func TestThePageShowsTheLastIncidentsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker()
		spec := shop(db, suptest.NewWorker(), suptest.NewWorker())
		tree := suptest.Start(t, spec, supervisor.Options{})
		for range 11 {
			db.Fail(errRefused)
			tree.Sleep(time.Hour)
		}
		page := get(health.Admin(tree.Supervisor, health.AdminOptions{}), "/").Body.String()
		if n := strings.Count(page, `data-fold="incident `); n != 8 || strings.Contains(page, `"incident 3"`) {
			t.Errorf("%d incidents", n)
		}
		requireHas(t, page, `<a href="incidents">and 3 more</a>`, "Last incident: shop/storage/db, healed after 0.1 s, <time", ">59 min 59 s ago<")
	})
}

// What was found out before a tree stopped answering is what one wants to read.
func TestIncidentsAreShownForATreeThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := health.BusyAdmin(troubled(t, supervisor.Options{}).Supervisor, health.AdminOptions{})
		requireHas(t, get(h, "/").Body.String(), "No answer", `data-fold="incident 2"`)
		requireHas(t, get(h, "/incidents").Body.String(), `"id":2`)
	})
}

// parked is a cache that failed more often than it may.
func parked(t *testing.T, opts supervisor.Options) *suptest.Tree {
	t.Helper()
	cache := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Err: errRefused})
	spec := shop(suptest.NewWorker(), cache, suptest.NewWorker())
	spec.Children[0].Children[1].Backoff = supervisor.Backoff{Attempts: 3, Park: time.Minute, Jitter: supervisor.NoJitter}
	tree := suptest.Start(t, spec, opts)
	tree.Sleep(10 * time.Second)
	tree.RequireState("shop/storage/cache", supervisor.Parked)
	return tree
}

func TestParkedHasALookOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := health.NewLog(0)
		h := health.Admin(parked(t, supervisor.Options{Observer: recent.Observe}).Supervisor, health.AdminOptions{Log: recent})
		page := get(h, "/").Body.String()
		requireHas(t, page, "1 parked", `href="#shape-parked"`, `id="shape-parked"`, `<span class="state parked">parked</span>`, "trial start in 50 s", errRefused.Error(),
			`<span class="state parked">parked, trial start in 1 min 0 s`)
		var events []event
		decode(t, get(h, "/events").Body.String(), &events)
		for _, e := range events {
			if e.Event == "parked" && (e.Path != "shop/storage/cache" || e.Incident != 1 || e.RestartsLeft == nil) {
				t.Errorf("%+v", e)
			}
		}
		requireHas(t, get(h, "/tree").Body.String(), `"state":"parked","status":"down"`, `"next":"trial start in 5`)
	})
}

func TestRecentEventsTellHowItHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, check, recent := suptest.NewWorker(), suptest.NewCheck(), health.NewLog(0)
		spec := shop(db, suptest.NewWorker(), suptest.NewWorker())
		probe := check.Probe()
		probe.Remedies = []supervisor.Remedy{
			{Name: "<purge>", Do: func(context.Context) error { return nil }},
			{Name: "reload", Do: func(context.Context) error { check.Pass(); return nil }},
		}
		spec.Children[0].Children[0].Probe = probe
		tree := suptest.Start(t, spec, supervisor.Options{Observer: recent.Observe})
		check.Fail(errRefused)
		tree.Sleep(time.Minute)
		db.Fail(errRefused)
		tree.Sleep(time.Second)
		h := health.Admin(tree.Supervisor, health.AdminOptions{Log: recent})
		requireHas(t, get(h, "/").Body.String(), ">remedy &lt;purge&gt; did not help<", `<span class="state fine">remedy reload helped<`,
			`<span class="state fine">healed after 0.1 s</span> <a class="fact" href="incidents/1?text">incident 1<`)
		var events []event
		decode(t, get(h, "/events").Body.String(), &events)
		kinds := map[string]event{}
		for _, e := range events {
			kinds[e.Event+" "+e.Remedy] = e
		}
		if e := kinds["remedy <purge>"]; e.Error == "" {
			t.Errorf("%+v", e)
		}
		if e, ok := kinds["remedy reload"]; !ok || e.Error != "" {
			t.Errorf("%+v", e)
		}
		if e := kinds["healed "]; e.Incident != 1 || e.Path != "shop/storage/db" {
			t.Errorf("%+v", e)
		}
	})
}
