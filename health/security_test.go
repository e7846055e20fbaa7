package health_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// A password in a DSN, a token in a URL, a header that is quoted: whatever a
// worker lets slip into an error or a panic, nothing that the admin side tells
// holds it.
func TestSecretsAreToldNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := health.NewLog(0)
		slips := fmt.Errorf("connect postgres://app:hunter2@db/shop: Get \"https://api/x?api_key=hunter2\": Authorization: Bearer hunter2hunter2")
		db, cache := suptest.NewWorker(), suptest.NewWorker()
		tree := suptest.Start(t, shop(db, cache, suptest.NewWorker()), supervisor.Options{Observer: recent.Observe})
		cache.Impaired(slips)
		cache.Progress("asked redis://:hunter2@cache:6379")
		db.AlwaysStarts(suptest.Attempt{Err: fmt.Errorf("again: %w", slips)})
		db.Panic("app:hunter2@tcp(db:3306)/shop password=hunter2")
		tree.Events()
		h := health.Admin(tree.Supervisor, health.AdminOptions{Log: recent})
		told := following(t, recent, "0").text()
		for _, path := range []string{"/", "/fragment", "/tree", "/events", "/incidents", "/incidents/1", "/readyz", "/readyz?verbose", "/readyz/shop/storage/db", "/readyz/shop/storage/cache"} {
			for _, accept := range []string{"*/*", "text/plain", "application/health+json"} {
				told += get(h, path, "Accept", accept).Body.String()
			}
		}
		requireHas(t, told, "panic: app:xxxxx@tcp(db:3306)/shop password=xxxxx", "postgres://app:xxxxx@db/shop", "api_key=xxxxx", "Bearer xxxxx", "asked redis://:xxxxx@cache:6379")
		requireHasNot(t, told, "hunter2")
	})
}

// No path leads out of what there is.
func TestNoPathLeadsAnywhereElse(t *testing.T) {
	h := health.Admin(running(t, pool(2, idle), supervisor.Options{}), health.AdminOptions{Operate: true})
	for _, path := range []string{
		"/../tree", "/../../etc/passwd", "//etc/passwd", "/style.css/../tree", "/style.css/", "/./tree", "/web/style.css", "/web/", "/admin.go",
		"/actions/../tree", "/nodes/../tree", "/incidents/../tree", "/incidents/01x", "/incidents/-1", "/readyz/../tree", "/readyz/pool/../../tree",
		"/tree\x00", "/tree/", "/TREE", "/events/", "/fragment/x", "/\\..\\tree", "/..%2ftree",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host, r.URL.Path = "localhost", path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("%q is %d: %s", path, w.Code, w.Body)
		}
		requireHasNot(t, w.Body.String(), "pool", "root:", "package")
	}
}

func TestTheAdminSideIsNotHeldUp(t *testing.T) {
	sup := running(t, pool(2, idle), supervisor.Options{})
	srv, err := health.ServeAdmin("127.0.0.1:0", sup, health.AdminOptions{Operate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	const host = " HTTP/1.1\r\nHost: localhost\r\n"
	for name, c := range map[string]struct {
		request string
		code    int
	}{
		"a large body":      {"POST /nodes/stop" + host + "Content-Length: 10000000\r\n\r\n", http.StatusRequestEntityTooLarge},
		"a large header":    {"GET /tree" + host + "X: " + strings.Repeat("x", 100_000) + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"a long path":       {"GET /" + strings.Repeat("x", 100_000) + host + "\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"an endless search": {"GET /?find=" + strings.Repeat("x", 30_000) + host + "\r\n", http.StatusOK},
	} {
		if code, _ := statusOf(t, dial(t, srv.Addr(), c.request)); code != c.code {
			t.Errorf("%s: %d", name, code)
		}
	}
	chunked := "POST /nodes/stop" + host + "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
	for range 100 {
		chunked += "3e8\r\n" + strings.Repeat("x", 1000) + "\r\n"
	}
	if code, _ := statusOf(t, dial(t, srv.Addr(), chunked+"0\r\n\r\n")); code != http.StatusNotFound {
		t.Errorf("a large body without a length: %d", code)
	}
	slow, err := health.ServeWithTimeouts("127.0.0.1:0", health.Admin(sup, health.AdminOptions{}), 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Shutdown(context.Background())
	for range 50 { // slowloris
		dial(t, slow.Addr(), "GET /tree HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
	}
	if code, closed := statusOf(t, dial(t, slow.Addr(), "GET /tree HTTP/1.1\r\nHost: local")); code == 200 || !closed {
		t.Errorf("half a header: %d", code)
	}
	if code, _ := body(t, "http://"+slow.Addr()+"/tree"); code != http.StatusOK {
		t.Errorf("beside slow ones: %d", code)
	}
}

// An error of a megabyte makes no page of a megabyte.
func TestGiantErrorsAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := health.NewLog(0)
		db := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Err: fmt.Errorf("%s", strings.Repeat("giant ", 200_000))})
		tree := suptest.Start(t, shop(db, suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{Observer: recent.Observe})
		tree.Sleep(10 * time.Second)
		h := health.Admin(tree.Supervisor, health.AdminOptions{Log: recent})
		for _, path := range []string{"/", "/tree", "/readyz", "/incidents/1"} {
			if w := get(h, path); w.Body.Len() > 1_000_000 || !strings.Contains(w.Body.String(), "(cut)") {
				t.Errorf("%s: %d bytes", path, w.Body.Len())
			}
		}
	})
}

// FuzzAdmin: whatever is asked, the answer is one of those that there are, and is
// confined; what was sent comes back as text.
func FuzzAdmin(f *testing.F) {
	recent := health.NewLog(0)
	h := health.Admin(running(f, pool(40, idle), supervisor.Options{Observer: recent.Observe}), health.AdminOptions{Log: recent, Operate: true})
	for _, s := range [][2]string{
		{"/", "find=<script>&only=problems&open=pool"}, {"/fragment", "open=pool&open=&find=%zz"}, {"/incidents/1", "text"}, {"/nodes/stop", "path=pool"},
		{"/actions/", ""}, {"/../x", "%00"}, {"/readyz/pool", "exclude=<b>&verbose"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, &http.Request{Method: http.MethodGet, Host: "localhost", URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}})
		switch w.Code {
		case 200, 400, 404, 405:
		default:
			t.Errorf("%q?%q: %d", path, query, w.Code)
		}
		if w.Header().Get("Content-Security-Policy") == "" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%q?%q: %v", path, query, w.Header())
		}
		values, _ := url.ParseQuery(query)
		if find := values.Get("find"); strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && strings.Contains(find, "<q") && strings.Contains(w.Body.String(), find) {
			t.Errorf("%q comes back as it was", find)
		}
	})
}
