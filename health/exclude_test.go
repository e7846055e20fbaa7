package health_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// brokenShop is a shop whose database, and cache, are away.
func brokenShop(t *testing.T) *suptest.Tree {
	db, cache := suptest.NewWorker(), suptest.NewWorker()
	tree := suptest.Start(t, shop(db, cache, suptest.NewWorker()), supervisor.Options{})
	for _, w := range []*suptest.Worker{db, cache} {
		w.AlwaysStarts(suptest.Attempt{Err: errRefused})
		w.Fail(errRefused)
	}
	return tree
}

func TestExcludedNodesCountAsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := health.Handler(brokenShop(t).Supervisor)
		const db, cache = "exclude=shop/storage/db", "exclude=shop/storage/cache"
		requireText(t, get(h, "/readyz?"+cache), 503, "[-]shop/storage/db failed\nreadyz check failed\n")
		requireText(t, get(h, "/readyz?"+db), 200, "ok") // degraded
		requireText(t, get(h, "/healthz?exclude=shop/storage"), 200, "ok")
		requireText(t, get(h, "/readyz/shop/storage?"+db+"&"+cache+"&"+db), 200, "ok")
		requireText(t, get(h, "/readyz/shop/storage?verbose&"+db), 200,
			"[+]shop/storage degraded\n[+]shop/storage/db excluded: ok\n[-]shop/storage/cache failed (optional)\nreadyz check passed\n")
		b := getJSON(t, h, "/readyz?verbose&"+db, 200)
		if c := b.Checks["shop/storage/db"]; b.Status != "warn" || len(b.Notes) != 0 || c[0].Status != "pass" || c[0].Output != "excluded" {
			t.Errorf("%+v", b)
		}
		if b := getJSON(t, h, "/readyz?"+db+"&"+cache, 200); b.Status != "pass" || len(b.Checks) != 0 {
			t.Errorf("%+v", b)
		}
	})
}

// A name that is wrong, or of a node that is gone, must not take the process
// out, and must not pass for one that is left out.
func TestWhatCannotBeExcludedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := health.Handler(brokenShop(t).Supervisor)
		requireText(t, get(h, "/readyz?exclude=shop/storage/db&exclude=shop/nope&exclude="), 200,
			"[-]shop/storage/cache failed (optional)\nwarn: cannot exclude \"shop/nope\": there is no such node\n"+
				"warn: cannot exclude \"\": it is not below shop\nreadyz check passed\n")
		requireHas(t, get(h, "/readyz?exclude=nope").Body.String(), "[-]shop/storage/db failed\n", `cannot exclude "nope"`, "readyz check failed\n")
		requireText(t, get(h, "/readyz/shop/http?exclude=shop/storage"), 200,
			"[+]shop/http ok\nwarn: cannot exclude \"shop/storage\": it is not below shop/http\nreadyz check passed\n")
		b := getJSON(t, h, "/readyz?exclude=shop/storage&exclude=nope", 200)
		if b.Status != "pass" || fmt.Sprint(b.Notes) != `[warn: cannot exclude "nope": it is not below shop]` {
			t.Errorf("%+v", b)
		}
	})
}

// What was never ready, or drains, stays so whatever is left out; what rests on
// no node has none to leave out.
func TestNothingIsExcludedFromWhatRestsOnNoNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := suptest.Start(t, pool(3, idle), supervisor.Options{DrainDelay: 1e9})
		h := health.Handler(tree.Supervisor)
		for _, path := range []string{"/livez", "/startupz"} {
			requireText(t, get(h, path+"?exclude=pool/w0"), 400, "this rests on no node, so none can be excluded: exclude is for /readyz\n")
		}
		tree.Cancel()
		requireHas(t, get(h, "/readyz?exclude=pool/w0").Body.String(), "[-]pool failed: draining\n")
	})
	sup, err := supervisor.New(pool(3, idle), supervisor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	requireHas(t, get(health.Handler(sup), "/readyz?exclude=pool/w0").Body.String(), "not ready yet")
}

func TestQueriesThatCannotBeReadAreRefused(t *testing.T) {
	h := health.Handler(running(t, pool(3, idle), supervisor.Options{}))
	for query, want := range map[string]string{
		"exclude=%zz": "the query cannot be read", "a;b": "the query cannot be read",
		strings.Repeat("exclude=pool/w0&", 51): "51 nodes are excluded; at most 50 can be",
	} {
		w := get(h, "/readyz?"+query)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d", query, w.Code)
		}
		requireHas(t, w.Body.String(), want)
		requireHasNot(t, w.Body.String(), "zz")
	}
}

// FuzzProbes: whatever is asked, the answer is one of those that there are, and
// nothing that was sent comes back as more than text.
func FuzzProbes(f *testing.F) {
	h := health.Handler(running(f, pool(3, idle), supervisor.Options{}))
	for _, s := range [][3]string{
		{"/readyz", "verbose", "*/*"}, {"/readyz/pool/w0", "exclude=pool/w1&exclude=x", "application/health+json"},
		{"/readyz/../livez", "%zz", "a,,b;;,"}, {"//", "exclude=%00", ",;=\x00"}, {"/livez", "exclude", "text/html"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, path, query, accept string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{"Accept": {accept}}})
		switch w.Code {
		case 200, 400, 404: // all nodes are up
		default:
			t.Errorf("%q?%q: %d", path, query, w.Code)
		}
		kind := w.Header().Get("Content-Type")
		if kind != "text/plain; charset=utf-8" && kind != "application/health+json" || w.Header().Get("X-Content-Type-Options") != "nosniff" && w.Body.String() != "ok" {
			t.Errorf("%q?%q: %q", path, query, kind)
		}
		if w.Body.Len() > len(query)*4+4_000 {
			t.Errorf("%q?%q: %d bytes", path, query, w.Body.Len())
		}
	})
}
