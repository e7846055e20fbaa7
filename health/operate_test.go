package health_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

// audited collects what goes to slog's default log.
func audited(t *testing.T) *strings.Builder {
	var b strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &b
}

// order posts a form; header is pairs.
func order(h http.Handler, target, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(url.Values{"path": {path}}.Encode()))
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// requireOperated wants such events, in that order.
func requireOperated(t *testing.T, recent *health.Log, want ...string) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for left := want; len(left) > 0; time.Sleep(time.Millisecond) {
		left = want
		for _, e := range slices.Backward(recent.Recent(1000)) {
			if len(left) > 0 && e.String() == left[0] {
				left = left[1:]
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %q in %v", left, recent.Recent(1000))
		}
	}
}

// TestOperationsAreToldSomebody: slog's default log if the tree has no observer.
func TestOperationsAreToldSomebody(t *testing.T) {
	log := audited(t)
	h := health.Admin(running(t, pool(3, idle), supervisor.Options{}), health.AdminOptions{Operate: true, Actions: []health.Action{
		{Name: "fail", Label: "Fail", Do: func(context.Context) error { return errRefused }},
	}})
	requireText(t, order(h, "/nodes/restart", "pool/w1"), 200, "ok")
	ask(h, http.MethodPost, "/actions/fail")
	requireHas(t, log.String(), `msg="health: an operation" path=pool/w1 operation="Restart pool/w1, from 192.0.2.1:1234"`,
		`operation="Fail, from 192.0.2.1:1234" error="`+errRefused.Error())
}

func TestNodesCanBeOperated(t *testing.T) {
	log := audited(t)
	recent := health.NewLog(0)
	sup := running(t, pool(3, idle), supervisor.Options{Observer: recent.Observe})
	h := health.Admin(sup, health.AdminOptions{Operate: true, Log: recent})
	state := func(want supervisor.State, incarnation uint64) {
		t.Helper()
		if n, err := sup.Find("pool/w1"); err != nil || n.State != want || n.Incarnation != incarnation {
			t.Errorf("%v #%d, %v", n.State, n.Incarnation, err)
		}
	}
	requireText(t, order(h, "/nodes/restart", "pool/w1"), 200, "ok")
	state(supervisor.Ready, 2)
	requireText(t, order(h, "/nodes/stop", "pool/w1"), 200, "ok")
	state(supervisor.Stopped, 2)
	requireText(t, order(h, "/nodes/start", "pool/w1"), 200, "ok")
	state(supervisor.Ready, 3)
	for path, want := range map[string]int{"pool/nope": 404, "": 404, "pool": 409, "../pool/w1": 404} {
		if w := order(h, "/nodes/restart", path); w.Code != want {
			t.Errorf("%q: %d %s", path, w.Code, w.Body)
		}
	}
	if w := order(h, "/nodes/start", "pool/w1"); w.Code != http.StatusConflict {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	requireOperated(t, recent,
		"pool/w1#1 operated Restart pool/w1, from 192.0.2.1:1234", "pool/w1#2 operated Stop pool/w1, from 192.0.2.1:1234",
		"pool#1 operated Restart pool/nope, from 192.0.2.1:1234", "pool#1 operated Restart pool/nope, from 192.0.2.1:1234: pool/nope: supervisor: no such node")
	requireHas(t, get(h, "/events").Body.String(), `"event":"operated"`, `"operation":"Restart pool/w1, from 192.0.2.1:1234"`)
	if log.Len() > 0 {
		t.Errorf("told twice: %s", log)
	}
	requireHas(t, get(h, "/").Body.String(), `formaction="nodes/restart"`, "Start pool/w1, at ")
	w := order(h, "/nodes/restart", "pool/w1", "Accept", "text/html", "Sec-Fetch-Site", "same-origin")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "../" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// Nothing is done unless it is switched on, asked for by POST, by a page of ours
// or by no page, with the token if there is one; what is refused to another site
// is told in the log.
func TestNodesAreSafe(t *testing.T) {
	log := audited(t)
	sup := running(t, pool(3, idle), supervisor.Options{})
	off, on := health.Admin(sup, health.AdminOptions{}), health.Admin(sup, health.AdminOptions{Operate: true})
	secured := health.Admin(sup, health.AdminOptions{Operate: true, Token: token})
	requireHasNot(t, get(off, "/").Body.String(), "formaction")
	for _, w := range []*httptest.ResponseRecorder{
		order(off, "/nodes/restart", "pool/w1"), order(on, "/nodes/delete", "pool/w1"), order(on, "/nodes/", "pool/w1"),
		get(on, "/nodes/restart?path=pool/w1"), ask(on, http.MethodPost, "/nodes/restart?path=pool/w1"),
		order(on, "/nodes/restart", "pool/w1", "Origin", "http://evil.example"), order(on, "/nodes/restart", "pool/w1", "Sec-Fetch-Site", "cross-site"),
		order(secured, "/nodes/restart", "pool/w1"), order(secured, "/nodes/restart", "pool/w1", "Authorization", "Bearer x"),
	} {
		if w.Code < 400 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if n, err := sup.Find("pool/w1"); err != nil || n.Incarnation != 1 {
		t.Errorf("#%d, %v", n.Incarnation, err)
	}
	requireHas(t, log.String(), `level=WARN msg="health: an action of another site was refused" action=restart`, "origin=http://evil.example")
	requireText(t, order(secured, "/nodes/restart", "pool/w1", "Authorization", "Bearer "+token), 200, "ok")
}
