package health_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// captureLog collects what goes to the standard logger. It is for tests whose
// writers have finished before they read.
func captureLog(t *testing.T) *bytes.Buffer {
	var b bytes.Buffer
	before := log.Writer()
	log.SetOutput(&b)
	t.Cleanup(func() { log.SetOutput(before) })
	return &b
}

const token = "correct-horse-battery"

func TestWithoutATokenOnlyLocalNamesAreAnswered(t *testing.T) {
	h := health.Admin(running(t, pool(2, idle), supervisor.Options{}), health.AdminOptions{})
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8082": 200, "LOCALHOST:1": 200, "localhost.": 200, "demo.localhost:80": 200,
		"127.0.0.1": 200, "127.0.0.1:8082": 200, "127.9.9.9": 200, "[::1]": 200, "[::1]:8082": 200, "[::ffff:127.0.0.1]:80": 200,
		"": 403, "evil.example": 403, "evil.example:8082": 403, "localhost.evil.example": 403, "evil-localhost": 403, "127.0.0.1.evil.example": 403,
		"10.0.0.1:8082": 403, "[2001:db8::1]:80": 403, "0.0.0.0": 403, "[::]:80": 403, "2130706433": 403,
	} {
		for _, path := range []string{"/", "/tree", "/incidents", "/incidents/1", "/readyz", "/style.css", "/actions/x", "/nope"} {
			w := get(h, path, "Host", host)
			if got := w.Code; (got == 403) != (want == 403) {
				t.Errorf("Host %q, %s: %d", host, path, got)
			}
			if want == 403 {
				requireHasNot(t, w.Body.String(), "pool")
			}
		}
	}
}

// A handler that is mounted on a listener that anybody can reach asks for a
// token, whatever the Host header says.
func TestWithoutATokenOnlyLocalAddressesAreAnswered(t *testing.T) {
	h := health.Admin(running(t, pool(2, idle), supervisor.Options{}), health.AdminOptions{})
	for addr, want := range map[string]int{"127.0.0.1:8082": 200, "[::1]:8082": 200, "10.1.1.1:8082": 403, "[fe80::1%eth0]:80": 403} {
		local, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/tree", nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local)))
		if w.Code != want {
			t.Errorf("%s: %d", addr, w.Code)
		}
	}
}

func TestTheTokenIsAskedOfEveryRequest(t *testing.T) {
	h := health.Admin(running(t, pool(2, idle), supervisor.Options{}), health.AdminOptions{Token: token})
	basic := func(password string) string {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth("anybody", password)
		return r.Header.Get("Authorization")
	}
	for auth, want := range map[string]int{
		"Bearer " + token: 200, "bearer " + token: 200, basic(token): 200,
		"": 401, "Bearer": 401, "Bearer ": 401, "Bearer x": 401, "Bearer " + token + "x": 401, "Bearer " + token[1:]: 401, token: 401,
		"Basic " + token: 401, basic(""): 401, basic("x"): 401, "Digest " + token: 401,
	} {
		for _, path := range []string{"/", "/fragment", "/tree", "/events", "/incidents", "/readyz", "/style.css"} {
			w := get(h, path, "Authorization", auth, "Host", "admin.example")
			if w.Code != want {
				t.Errorf("%q, %s: %d", auth, path, w.Code)
			}
			if want == 401 && len(w.Header().Values("WWW-Authenticate")) != 2 {
				t.Errorf("%q, %s: %v", auth, path, w.Header())
			}
			requireHasNot(t, w.Body.String(), token)
		}
	}
}

func TestServeAdminIsLocalUnlessThereIsAToken(t *testing.T) {
	sup := running(t, pool(2, idle), supervisor.Options{})
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0"} {
		srv, err := health.ServeAdmin(addr, sup, health.AdminOptions{})
		if err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "set AdminOptions.Token, or use 127.0.0.1:0") {
			t.Errorf("%s: %v, %v", addr, srv, err)
		}
	}
	open, err := health.ServeAdmin("0.0.0.0:0", sup, health.AdminOptions{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Shutdown(context.Background())
	local, err := health.ServeAdmin("localhost:0", sup, health.AdminOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Shutdown(context.Background())
	if code, text := body(t, "http://"+local.Addr()+"/tree"); code != 200 {
		t.Errorf("%d: %s", code, text)
	}
	_, port, _ := net.SplitHostPort(open.Addr())
	if code, text := body(t, "http://127.0.0.1:"+port+"/tree"); code != 401 {
		t.Errorf("%d: %s", code, text)
	}
}

// Every fault is told at once, with its mend.
func TestFaultsOfAdminOptions(t *testing.T) {
	sup := running(t, pool(2, idle), supervisor.Options{})
	do := func(context.Context) error { return nil }
	opts := health.AdminOptions{Token: "read from a file\n", Actions: []health.Action{
		{Name: "a", Do: do}, {Name: "a", Do: do}, {Name: "", Do: do}, {Name: "../x", Do: do}, {Name: "b"},
	}}
	_, err := health.ServeAdmin("127.0.0.1:0", sup, opts)
	if err == nil {
		t.Fatal("no error")
	}
	requireHas(t, err.Error(), "AdminOptions.Token holds white space", `Actions[1]: Name "a" was used before`, `Actions[2]: Name is ""`,
		`Actions[3]: Name is "../x"`, "Actions[4]: Do is nil")
	requireHasNot(t, err.Error(), "read from a file")
	defer func() {
		if recover() == nil {
			t.Error("Admin does not panic")
		}
	}()
	health.Admin(sup, opts)
}

func TestAdminHeaders(t *testing.T) {
	h := health.Admin(running(t, pool(2, idle), supervisor.Options{}), health.AdminOptions{})
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/fragment": "text/html; charset=utf-8", "/tree": "application/json", "/events": "application/json", "/incidents": "application/json",
		"/style.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8", "/icon.svg": "image/svg+xml", "/readyz": "text/plain; charset=utf-8",
	} {
		header := get(h, path).Header()
		for name, want := range map[string]string{
			"Content-Type": kind, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if w := ask(h, http.MethodPost, path); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, w.Code)
		}
		if w := ask(h, http.MethodHead, path); w.Code != http.StatusOK || w.Body.Len() != 0 {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
	for _, path := range []string{"/nope", "/incidents/1", "/actions/nope", "/actions/", "/web/page.html", "/page.html"} {
		if w := get(h, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

type node struct {
	Path, Name, Kind, State, Status, Strategy string

	Since        time.Time
	NextStart    time.Time `json:"next_start"`
	LastError    string    `json:"last_error"`
	Attempt      int
	Incarnation  int
	Optional     bool
	RestartsLeft *int `json:"restarts_left"`
	Next         string
	Incident     uint64
	DependsOn    []string `json:"depends_on"`
	Probe        *probe
	Children     []node
}

func TestTreeJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := suptest.NewWorker()
		tree := suptest.Start(t, shop(db, suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{})
		db.AlwaysStarts(suptest.Attempt{Err: errRefused})
		db.Fail(errRefused)
		var got struct {
			Alive, Started, Ready, Draining bool
			Status, Why                     string
			Time                            time.Time
			Root                            node
		}
		w := get(health.Admin(tree.Supervisor, health.AdminOptions{}), "/tree")
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if !got.Alive || !got.Started || got.Ready || got.Draining || got.Status != "down" || !got.Time.Equal(time.Now()) {
			t.Errorf("%+v", got)
		}
		requireHas(t, got.Why, "shop/storage/db backing off (attempt 1, next in", errRefused.Error())
		root := got.Root
		if root.Path != "shop" || root.Kind != "supervisor" || root.Strategy != "rest_for_one" || root.RestartsLeft == nil || len(root.Children) != 2 {
			t.Fatalf("%+v", root)
		}
		n := root.Children[0].Children[0]
		if n.Path != "shop/storage/db" || n.Name != "db" || n.Kind != "worker" || n.State != "backing off" || n.Status != "down" ||
			n.LastError != errRefused.Error() || n.Attempt != 1 || n.Incarnation != 1 || n.RestartsLeft != nil || !n.NextStart.After(n.Since) {
			t.Errorf("%+v", n)
		}
		requireHasNot(t, w.Body.String(), "0001-01-01")
	})
}

func TestTreeJSONBeforeRunAndAfter(t *testing.T) {
	sup, err := supervisor.New(pool(2, idle), supervisor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := health.Admin(sup, health.AdminOptions{})
	requireHas(t, get(h, "/tree").Body.String(), `"alive":true,"started":false`, `"why":"pool pending"`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- sup.Run(ctx) }()
	if err := sup.WaitReady(ctx, ""); err != nil {
		t.Fatal(err)
	}
	requireHas(t, get(h, "/tree").Body.String(), `"alive":true,"started":true`, `"why":""`)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	requireHas(t, get(h, "/tree").Body.String(), `"alive":false,"not_alive":"supervisor: not running"`)
}

// panicky is an error whose text cannot be had.
type panicky struct{}

func (panicky) Error() string { panic("no text") }

func TestErrorsThatPanicDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, recent := suptest.NewWorker(), health.NewLog(0)
		tree := suptest.Start(t, shop(db, suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{Observer: recent.Observe})
		db.AlwaysStarts(suptest.Attempt{Err: panicky{}})
		db.Fail(panicky{})
		h := health.Admin(tree.Supervisor, health.AdminOptions{Log: recent})
		for path, want := range map[string]int{"/": 200, "/tree": 200, "/events": 200, "/readyz": 503, "/readyz?verbose": 503} {
			if w := get(h, path); w.Code != want {
				t.Errorf("%s: %d", path, w.Code)
			}
		}
	})
}

// A tree that does not answer must not make the page hang.
func TestTheAdminSideAnswersForATreeThatDoesNot(t *testing.T) {
	h := health.BusyAdmin(running(t, pool(2, idle), supervisor.Options{}), health.AdminOptions{})
	requireText(t, get(h, "/tree"), 503, "the tree does not answer\n")
	w := get(h, "/")
	if w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
	requireHas(t, w.Body.String(), "No answer", "the tree does not answer", "livez")
}

func TestActionsAreOffByDefault(t *testing.T) {
	h := health.Admin(running(t, pool(2, idle), supervisor.Options{}), health.AdminOptions{})
	requireHasNot(t, get(h, "/").Body.String(), `method="post"`, "Actions", "actions/")
	if w := ask(h, http.MethodPost, "/actions/crash"); w.Code != http.StatusNotFound {
		t.Errorf("%d", w.Code)
	}
}

// acting is an admin side with actions that count.
func acting(t *testing.T, done *int) http.Handler {
	return health.Admin(running(t, pool(2, idle), supervisor.Options{}), health.AdminOptions{Actions: []health.Action{
		{Name: "crash-db", Label: `Crash <the> "db"`, Do: func(context.Context) error { *done++; return nil }},
		{Name: "fail", Do: func(context.Context) error { *done++; return errRefused }},
		{Name: "panic", Do: func(context.Context) error { *done++; panic("oh no") }},
		{Name: "wait", Do: func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			if !ok || ctx.Err() != nil {
				return fmt.Errorf("deadline %v, %v", deadline, ctx.Err())
			}
			return nil
		}},
	}})
}

func TestActions(t *testing.T) {
	done := 0
	h := acting(t, &done)
	requireText(t, ask(h, http.MethodPost, "/actions/crash-db"), 200, "ok")
	requireText(t, ask(h, http.MethodPost, "/actions/fail"), 500, errRefused.Error()+"\n")
	requireText(t, ask(h, http.MethodPost, "/actions/panic"), 500, "panic: oh no\n")
	if done != 3 {
		t.Errorf("%d were done", done)
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		if w := ask(h, method, "/actions/crash-db"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
			t.Errorf("%s: %d, %v", method, w.Code, w.Header())
		}
	}
	if w := ask(h, http.MethodPost, "/actions/nope"); w.Code != http.StatusNotFound {
		t.Errorf("%d", w.Code)
	}
	if done != 3 {
		t.Errorf("%d were done", done)
	}
}

// A form goes back to the page, which is one up whatever the prefix, and shows
// what became of it.
func TestFormsGoBackToThePage(t *testing.T) {
	done := 0
	h := http.StripPrefix("/some/admin", acting(t, &done))
	w := ask(h, http.MethodPost, "/some/admin/actions/fail", "Accept", "text/html,*/*;q=0.8", "Sec-Fetch-Site", "same-origin")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "../" || done != 1 {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
	requireHas(t, get(h, "/some/admin/").Body.String(), "fail, at ", "failed: "+errRefused.Error(), `action="actions/crash-db"`, "Crash &lt;the&gt; &#34;db&#34;")
}

// A page that was closed must not stop half an action.
func TestAnActionOutlivesItsRequest(t *testing.T) {
	done := 0
	h := acting(t, &done)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest(http.MethodPost, "/actions/wait", nil).WithContext(ctx)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	requireText(t, w, 200, "ok")
}

func TestOtherSitesCannotAct(t *testing.T) {
	done := 0
	h := acting(t, &done)
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "http://evil.example"}, {"Origin", "null"},
		{"Origin", "http://localhost:9"}, {"Sec-Fetch-Site", "cross-site", "Origin", "http://localhost"},
	} {
		if w := ask(h, http.MethodPost, "/actions/crash-db", header...); w.Code != http.StatusForbidden {
			t.Errorf("%v: %d", header, w.Code)
		}
	}
	if done != 0 {
		t.Errorf("%d were done", done)
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://localhost"}, nil} {
		if w := ask(h, http.MethodPost, "/actions/crash-db", header...); w.Code != http.StatusOK {
			t.Errorf("%v: %d", header, w.Code)
		}
	}
}

func TestAnActionHasTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := suptest.Start(t, pool(2, idle), supervisor.Options{})
		h := health.Admin(tree.Supervisor, health.AdminOptions{Actions: []health.Action{{Name: "hang", Do: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}}})
		before := time.Now()
		w := ask(h, http.MethodPost, "/actions/hang")
		if took := time.Since(before); w.Code != http.StatusGatewayTimeout || took != 10*time.Second {
			t.Errorf("%d after %v", w.Code, took)
		}
	})
}

func TestLogKeepsTheNewest(t *testing.T) {
	recent := health.NewLog(3)
	for i := range uint64(5) {
		recent.Observe(supervisor.Event{Seq: i + 1})
		var want []uint64
		for s := i + 1; s > 0 && s+3 > i+1; s-- {
			want = append(want, s)
		}
		var got []uint64
		for _, e := range recent.Recent(10) {
			got = append(got, e.Seq)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("after %d: %v, want %v", i+1, got, want)
		}
	}
	if n := len(recent.Recent(2)); n != 2 {
		t.Errorf("Recent(2) returned %d", n)
	}
	var none *health.Log
	none.Observe(supervisor.Event{})
	if len(none.Recent(9)) != 0 || len(health.NewLog(0).Recent(-1)) != 0 {
		t.Error("a nil Log is not empty")
	}
}

func TestEventsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, recent := suptest.NewWorker(), health.NewLog(0)
		tree := suptest.Start(t, shop(db, suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{Observer: recent.Observe})
		db.Panic(errors.New("oh no"))
		tree.Events()
		h := health.Admin(tree.Supervisor, health.AdminOptions{Log: recent})
		var events []struct {
			Seq, Incarnation                uint64
			Path, Kind, Event, Error, Stack string
			DelaySeconds                    float64 `json:"delay_seconds"`
		}
		if err := json.Unmarshal(get(h, "/events").Body.Bytes(), &events); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(events); i++ {
			if events[i].Seq >= events[i-1].Seq {
				t.Errorf("%d before %d", events[i-1].Seq, events[i].Seq)
			}
		}
		for _, e := range events {
			if e.Event == "backing off" && (e.Path != "shop/storage/db" || e.Kind != "worker" || e.DelaySeconds <= 0 || e.Error == "" || e.Incarnation != 1) {
				t.Errorf("%+v", e)
			}
			if e.Event == "exited" {
				requireHas(t, e.Stack, "TestEventsJSON", "worker.go")
			}
		}
	})
	h := health.Admin(running(t, pool(2, idle), supervisor.Options{}), health.AdminOptions{})
	requireText(t, get(h, "/events"), 200, "[]\n")
}
