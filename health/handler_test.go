package health_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

func TestBeforeRunOnlyLivenessSaysYes(t *testing.T) {
	sup, err := supervisor.New(pool(3, idle), supervisor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := health.Handler(sup)
	requireCodes(t, h, 200, 503, 503)
	requireHas(t, get(h, "/readyz").Body.String(), "[-]pool failed: not ready yet\n", "readyz check failed\n")
	requireText(t, get(h, "/readyz/pool/w0"), 503, "[-]pool/w0 failed\nreadyz check failed\n")
}

func TestAnswersOfATreeThatIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := suptest.Start(t, shop(suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{})
		h := health.Handler(tree.Supervisor)
		requireCodes(t, h, 200, 200, 200)
		for _, path := range []string{"/livez", "/startupz", "/readyz", "/healthz", "/readyz/shop", "/readyz/shop/storage", "/readyz/shop/storage/db"} {
			requireText(t, get(h, path), 200, "ok")
		}
	})
}

// A database that is down at boot is weather (S3): restarting the process
// would not mend it.
func TestLivenessIgnoresADatabaseThatIsDownAtBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Err: errRefused})
		tree := suptest.Start(t, shop(db, suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{})
		h := health.Handler(tree.Supervisor)
		for range 60 {
			requireCodes(t, h, 200, 503, 503)
			tree.Sleep(10 * time.Second)
		}
		body := get(h, "/readyz").Body.String()
		requireHas(t, body, "[-]shop failed: not ready yet\n", "[-]shop/storage/db failed\n", "readyz check failed\n")
		requireHas(t, get(h, "/startupz").Body.String(), "[-]shop/storage/db failed\n", "startupz check failed\n")
		db.AlwaysStarts(suptest.Attempt{})
		tree.Settle()
		requireCodes(t, h, 200, 200, 200)
	})
}

func TestStartupStaysOnceItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker()
		tree := suptest.Start(t, shop(db, suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{})
		h := health.Handler(tree.Supervisor)
		db.AlwaysStarts(suptest.Attempt{Err: errRefused})
		db.Fail(errRefused)
		requireCodes(t, h, 200, 200, 503)
		requireText(t, get(h, "/readyz"), 503, "[-]shop/storage/db failed\nreadyz check failed\n")
		requireText(t, get(h, "/startupz?verbose"), 200, "[+]shop ok\nstartupz check passed\n")
	})
}

// S37: what is Optional, or merely impaired, leaves the tree ready.
func TestDegradedIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cache := suptest.NewWorker(), suptest.NewWorker()
		tree := suptest.Start(t, shop(db, cache, suptest.NewWorker()), supervisor.Options{})
		h := health.Handler(tree.Supervisor)
		cache.AlwaysStarts(suptest.Attempt{Err: errRefused})
		cache.Fail(errRefused)
		db.Impaired(errRefused)
		requireCodes(t, h, 200, 200, 200)
		requireText(t, get(h, "/readyz"), 200, "ok")
		requireText(t, get(h, "/readyz/shop/storage"), 200, "ok")
		requireText(t, get(h, "/readyz/shop/storage/db"), 200, "ok")
		requireText(t, get(h, "/readyz/shop/storage/cache"), 503, "[-]shop/storage/cache failed\nreadyz check failed\n")
		requireText(t, get(h, "/readyz?verbose"), 200, "[+]shop degraded\n[+]shop/storage degraded\n[+]shop/storage/db degraded\n"+
			"[-]shop/storage/cache failed (optional)\n[+]shop/http ok\nreadyz check passed\n")
		requireText(t, get(h, "/readyz/shop/storage?verbose"), 200, "[+]shop/storage degraded\n[+]shop/storage/db degraded\n"+
			"[-]shop/storage/cache failed (optional)\nreadyz check passed\n")
	})
}

// S26: readiness is red from the first instant of the drain, liveness green to
// its end.
func TestReadinessIsRedAndLivenessGreenThroughTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := suptest.NewWorker().StopsAfter(8*time.Second, nil)
		tree := suptest.Start(t, shop(suptest.NewWorker(), suptest.NewWorker(), slow), supervisor.Options{DrainDelay: 10 * time.Second})
		h := health.Handler(tree.Supervisor)
		requireCodes(t, h, 200, 200, 200)
		tree.Cancel()
		seconds := 0
		for ; !tree.Ended(); seconds++ {
			requireCodes(t, h, 200, 200, 503)
			requireHas(t, get(h, "/readyz").Body.String(), "[-]shop failed: draining\n")
			tree.Sleep(time.Second)
		}
		if seconds != 18 {
			t.Errorf("the drain took %d s", seconds)
		}
		requireCodes(t, h, 503, 200, 503)
		requireText(t, get(h, "/readyz"), 503, "[-]shop failed: not running\nreadyz check failed\n")
		requireText(t, get(h, "/readyz/shop/http"), 503, "[-]shop/http failed\nreadyz check failed\n")
	})
}

// What is over for good counts as up, but not when all is over.
func TestAfterTheEndEveryNodeIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := suptest.NewWorker()
		spec := supervisor.Spec{Name: "shop", Children: []supervisor.Spec{job.Spec("job"), suptest.NewWorker().Spec("http")}}
		spec.Children[0].Restart = supervisor.Transient
		tree := suptest.Start(t, spec, supervisor.Options{})
		job.Return()
		h := health.Handler(tree.Supervisor)
		requireText(t, get(h, "/readyz/shop/job"), 200, "ok")
		if err := tree.Shutdown(); err != nil {
			t.Error(err)
		}
		requireText(t, get(h, "/readyz/shop/job"), 503, "[-]shop/job failed\nreadyz check failed\n")
	})
}

func TestTheDrainIsSeenByWhoNeverGotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Hang: true}).StopsAfter(time.Second, nil)
		tree := suptest.Start(t, shop(db, suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{})
		h := health.Handler(tree.Supervisor)
		tree.Cancel()
		requireCodes(t, h, 200, 503, 503)
		requireHas(t, get(h, "/readyz").Body.String(), "[-]shop failed: draining\n")
	})
}

// S18, S21: a root that gave up is for the platform to replace, from the
// moment that it does, not only once everything has stopped.
func TestLivenessFailsOnceTheRootGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, slow := suptest.NewWorker(), suptest.NewWorker().StopsAfter(9*time.Second, nil)
		spec := supervisor.Spec{Name: "shop", Intensity: supervisor.Intensity{Within: time.Minute}, Children: []supervisor.Spec{
			slow.Spec("slow"), db.Spec("db"),
		}}
		tree := suptest.Start(t, spec, supervisor.Options{})
		h := health.Handler(tree.Supervisor)
		db.Fail(errRefused)
		requireText(t, get(h, "/livez"), 503, "[-]shop failed: cannot heal itself\nlivez check failed\n")
		if tree.Ended() {
			t.Error("the slow worker should still be stopping")
		}
		if err := tree.Wait(); err == nil {
			t.Error("Run returned no error")
		}
		requireCodes(t, h, 503, 200, 503)
	})
}

// S27: more abandoned incarnations than the tree bears.
func TestLivenessFailsWithTooManyAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frozen := suptest.NewWorker().StopsAfter(time.Hour, nil)
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{frozen.Spec("db")}}, supervisor.Options{MaxAbandoned: 1})
		h := health.Handler(tree.Supervisor)
		for range 2 {
			requireCodes(t, h, 200, 200, 200)
			_ = tree.Restart(t.Context(), "shop/db") // leaves one behind each time
			synctest.Wait()
		}
		if w := get(h, "/livez"); w.Code != 503 {
			t.Errorf("livez is %d", w.Code)
		}
	})
}

// A loop that is stuck holds its lock; no probe may wait for it.
func TestProbesAskNoNodeWhileALoopIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker()
		tree := suptest.Start(t, shop(db, suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{})
		stuck := fmt.Errorf("%w: 1 for over 5s", supervisor.ErrStuck)
		h, admin := health.HandlersWith(tree.Supervisor, func() error { return stuck })
		requireCodes(t, h, 503, 200, 200)
		for _, query := range []string{"", "?verbose"} {
			for _, h := range []http.Handler{h, admin} {
				requireText(t, get(h, "/readyz/shop/storage/db"+query), 503, "[-]shop/storage/db failed: the tree cannot heal itself\nreadyz check failed\n")
			}
		}
		for _, h := range []http.Handler{h, admin} {
			requireText(t, get(h, "/readyz?verbose"), 200, "[+]shop ok\nreadyz check passed\n")
		}
		requireHas(t, get(admin, "/livez").Body.String(), "[-]shop failed: cannot heal itself: supervisor: stuck loops: 1 for over 5s")
		stuck = nil
		requireCodes(t, h, 200, 200, 200)
	})
}

func TestUnknownPathsAre404(t *testing.T) {
	sup := running(t, pool(3, idle), supervisor.Options{})
	h := health.Handler(sup)
	for _, path := range []string{"/", "/nope", "/livez/", "/livez/pool", "/readyz/", "/readyz/nope", "/readyz/pool/nope", "/readyz/pool/w0/nope", "/readyz/pool/", "/readyz//pool", "/tree", "/incidents", "/incidents/1"} {
		if w := get(h, path); w.Code != http.StatusNotFound {
			t.Errorf("%s is %d", path, w.Code)
		}
	}
}

func TestMountsUnderAnyPrefix(t *testing.T) {
	sup := running(t, pool(3, idle), supervisor.Options{})
	for _, prefix := range []string{"/health", "/health/"} {
		requireText(t, get(http.StripPrefix(prefix, health.Handler(sup)), "/health/readyz/pool/w1"), 200, "ok")
	}
}

func TestNodesWithOddNamesHaveProbes(t *testing.T) {
	spec := supervisor.Spec{Name: "a b", Children: []supervisor.Spec{{Name: "<img>%2F?", Run: idle}}}
	h := health.Handler(running(t, spec, supervisor.Options{}))
	requireText(t, get(h, "/readyz/a%20b/%3Cimg%3E%252F%3F"), 200, "ok")
	requireText(t, get(h, "/readyz?verbose"), 200, "[+]a b ok\n[+]a b/<img>%2F? ok\nreadyz check passed\n")
}

func TestOnlyGetAndHead(t *testing.T) {
	h := health.Handler(running(t, pool(3, idle), supervisor.Options{}))
	w := ask(h, http.MethodHead, "/readyz")
	if w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "2" {
		t.Errorf("HEAD: %d, %v, %q", w.Code, w.Header(), w.Body)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		w := ask(h, method, "/readyz/pool")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, %v", method, w.Code, w.Header())
		}
	}
}

func TestHeaders(t *testing.T) {
	h := health.Handler(running(t, pool(3, idle), supervisor.Options{}))
	for _, path := range []string{"/livez?x", "/readyz?verbose", "/nope", "/livez"} {
		header := get(h, path).Header()
		for name, want := range map[string]string{
			"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		} {
			short := path == "/livez" && name == "X-Content-Type-Options" // "ok" is no script
			if got := header.Get(name); got != want && !short {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
}

func TestRedAnswersNameTwentyNodesAndCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := func(context.Context, func()) error { return errRefused }
		tree := suptest.Start(t, pool(101, fails), supervisor.Options{})
		body := get(health.Handler(tree.Supervisor), "/readyz").Body.String()
		if n := strings.Count(body, "[-]pool/w"); n != 20 {
			t.Errorf("%d nodes are named", n)
		}
		requireHas(t, body, "and 80 more\n")
	})
}

func TestVerboseListsAThousandNodes(t *testing.T) {
	sup := running(t, pool(1_050, idle), supervisor.Options{})
	body := get(health.Handler(sup), "/readyz?verbose").Body.String()
	if n := strings.Count(body, "[+]pool"); n != 1_000 {
		t.Errorf("%d nodes are listed", n)
	}
	requireHas(t, body, "[+]pool ok\n[+]pool/w0 ok\n", "only the first 1000 nodes are listed\nreadyz check passed\n")
}

// Public answers hold no reasons, in any form; the admin side does.
func TestReasonsAreForTheAdminSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker()
		tree := suptest.Start(t, shop(db, suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{})
		db.AlwaysStarts(suptest.Attempt{Err: errRefused})
		db.Fail(errRefused)
		public, admin := health.Handler(tree.Supervisor), health.Admin(tree.Supervisor, health.AdminOptions{})
		for _, path := range []string{"/readyz", "/readyz?verbose", "/readyz/shop/storage/db", "/readyz/shop/storage?verbose"} {
			for _, accept := range []string{"*/*", "application/health+json"} {
				requireHasNot(t, get(public, path, "Accept", accept).Body.String(), "refused", "10.1.2.3", "backing off")
				requireHas(t, get(admin, path, "Accept", accept).Body.String(), "backing off (attempt 1", errRefused.Error())
			}
		}
	})
}

type healthBody struct {
	Status string
	Notes  []string
	Checks map[string][]struct {
		Status, Output string
		Time           time.Time
	}
}

func getJSON(t *testing.T, h http.Handler, target string, code int) (body healthBody) {
	t.Helper()
	w := get(h, target, "Accept", "text/html;q=0.5, application/Health+JSON; charset=utf-8")
	if w.Code != code || w.Header().Get("Content-Type") != "application/health+json" {
		t.Errorf("%s: %d %v", target, w.Code, w.Header())
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Errorf("%s: %v: %s", target, err, w.Body)
	}
	return body
}

// draft-inadarei-api-health-check: pass, warn and fail.
func TestHealthJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cache := suptest.NewWorker(), suptest.NewWorker()
		tree := suptest.Start(t, shop(db, cache, suptest.NewWorker()), supervisor.Options{DrainDelay: time.Second})
		h := health.Handler(tree.Supervisor)
		if b := getJSON(t, h, "/readyz", 200); b.Status != "pass" || len(b.Checks) != 0 {
			t.Errorf("%+v", b)
		}
		cache.Impaired(errRefused)
		if b := getJSON(t, h, "/readyz", 200); b.Status != "warn" || fmt.Sprint(b.Checks) != fmt.Sprintf("map[shop/storage/cache:[{warn  %v}]]", time.Now().UTC()) {
			t.Errorf("%+v", b)
		}
		tree.Cancel()
		b := getJSON(t, h, "/readyz?verbose", 503)
		if b.Status != "fail" || len(b.Checks) != 5 || b.Checks["shop"][0].Output != "draining" {
			t.Errorf("%+v", b)
		}
	})
}

func TestHealthJSONIsCapped(t *testing.T) {
	sup := running(t, pool(1_050, idle), supervisor.Options{})
	b := getJSON(t, health.Handler(sup), "/readyz?verbose", 200)
	if len(b.Checks) != 1_000 || fmt.Sprint(b.Notes) != "[only the first 1000 nodes are listed]" {
		t.Errorf("%d checks, %v", len(b.Checks), b.Notes)
	}
}

func TestHandlerWithoutATreePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	health.Handler(nil)
}

// The short way must say what the long one does, in every state of the tree.
func TestTheShortWayTellsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cache := suptest.NewWorker(), suptest.NewWorker()
		tree := suptest.Start(t, shop(db, cache, suptest.NewWorker()), supervisor.Options{DrainDelay: time.Second})
		alive := error(nil)
		h, _ := health.HandlersWith(tree.Supervisor, func() error { return cmp.Or(alive, tree.Alive()) })
		same := func(state string) {
			t.Helper()
			for _, path := range []string{"/livez", "/readyz", "/healthz", "/startupz"} {
				for _, accept := range []string{"*/*", "application/health+json"} {
					short, long := get(h, path, "Accept", accept), get(h, path+"?long", "Accept", accept)
					if short.Code != long.Code || short.Body.String() != long.Body.String() {
						t.Errorf("%s, %s: %d %s, the long way %d %s", state, path, short.Code, short.Body, long.Code, long.Body)
					}
				}
			}
		}
		same("up")
		cache.Impaired(errRefused)
		same("degraded")
		alive = supervisor.ErrStuck
		same("stuck")
		alive = supervisor.ErrTooManyAbandoned
		same("too many abandoned")
		alive = nil
		db.AlwaysStarts(suptest.Attempt{Err: errRefused})
		db.Fail(errRefused)
		same("down")
		tree.Cancel()
		same("draining")
		_ = tree.Wait()
		same("ended")
	})
}
