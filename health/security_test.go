package health_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
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

// TestEachTimeoutIsSet, and ends by itself what it is for.
func TestEachTimeoutIsSet(t *testing.T) {
	sup := running(t, pool(2, idle), supervisor.Options{})
	probes, err := health.Serve("127.0.0.1:0", sup)
	if err != nil {
		t.Fatal(err)
	}
	defer probes.Shutdown(context.Background())
	admin, err := health.ServeAdmin("127.0.0.1:0", sup, health.AdminOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Shutdown(context.Background())
	if got, want := health.LimitsOf(probes), [4]time.Duration{5 * time.Second, 5 * time.Second, 10 * time.Second, 2 * time.Minute}; got != want {
		t.Errorf("probes: %v", got)
	}
	if got, want := health.LimitsOf(admin), [4]time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second, 2 * time.Minute}; got != want {
		t.Errorf("admin: %v", got)
	}
	large := func(w http.ResponseWriter, r *http.Request) {
		for chunk := make([]byte, 1<<20); ; { // nobody reads it
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	reads := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	for timeout, c := range map[string]struct {
		h       http.HandlerFunc
		request string
	}{
		"header": {reads, "GET / HTTP/1.1\r\nHost: local"},
		"read":   {reads, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf"},
		"write":  {large, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		"idle":   {reads, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	} {
		srv, err := health.ServeWithOne(timeout, c.h, 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		conn := dial(t, srv.Addr(), c.request)
		if timeout == "write" {
			time.Sleep(200 * time.Millisecond) // the buffers are full
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection was not closed", timeout)
		}
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

const asker = "s3cret-admin-token"

// FuzzAdmin: whatever is asked, in whose name, the answer is one of those that
// there are, and is confined; nobody gets in by another name of the host, or
// without the token; what was sent comes back as text.
func FuzzAdmin(f *testing.F) {
	recent := health.NewLog(0)
	sup := running(f, pool(40, idle), supervisor.Options{Observer: recent.Observe})
	opts := health.AdminOptions{Log: recent, Operate: true}
	h := health.Admin(sup, opts)
	opts.Token = asker
	secured := health.Admin(sup, opts)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+asker))
	for _, s := range [][5]string{
		{"/", "find=<qscript>&only=problems&open=pool", "", "localhost", ""}, {"/fragment", "open=pool&open=<q>&find=%zz", "", "127.0.0.1:80", "Bearer " + asker},
		{"/incidents/1", "text", "", "[::1]:80", basic}, {"/nodes/stop", "", "path=pool/w3", "localhost:8082", "Bearer"}, {"/nodes/restart", "", "path=<q>&path=%zz", "LOCALHOST.", ""},
		{"/actions/", "", "x", "evil.example", "Basic bWU6"}, {"/../x", "%00", "", "localhost.evil.example", "bearer  " + asker}, {"/readyz/pool", "exclude=<qb>&verbose", "", "127.0.0.1.nip.io", "Digest x"},
	} {
		f.Add(s[0], s[1], s[2], s[3], s[4])
	}
	f.Fuzz(func(t *testing.T, path, query, form, host, authorization string) {
		r := &http.Request{Method: http.MethodGet, Host: host, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{"Authorization": {authorization}}}
		if form != "" {
			r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader(form))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		requireConfined(t, w, query, form)
		if w.Code != http.StatusForbidden && !namesLoopback(host) {
			t.Errorf("%q was let in: %d", host, w.Code)
		}
		r.Body = io.NopCloser(strings.NewReader(form))
		w = httptest.NewRecorder()
		secured.ServeHTTP(w, r)
		requireConfined(t, w, query, form)
		decoded, _ := base64.StdEncoding.DecodeString(authorization[strings.IndexByte(authorization, ' ')+1:])
		if w.Code != http.StatusUnauthorized && !strings.Contains(authorization+string(decoded), asker) {
			t.Errorf("%q was let in: %d", authorization, w.Code)
		}
	})
}

// requireConfined wants an answer that there is, and that holds no markup which
// was sent.
func requireConfined(t *testing.T, w *httptest.ResponseRecorder, sent ...string) {
	t.Helper()
	switch w.Code {
	case 200, 303, 400, 401, 403, 404, 405, 409, 504:
	default:
		t.Errorf("%q: %d", sent, w.Code)
	}
	if w.Header().Get("Content-Security-Policy") == "" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%q: %v", sent, w.Header())
	}
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		return
	}
	for _, text := range sent {
		values, _ := url.ParseQuery(text)
		for name, list := range values {
			for _, value := range list {
				if strings.Contains(value, "<q") && strings.Contains(w.Body.String(), value) {
					t.Errorf("%s comes back as it was: %q", name, value)
				}
			}
		}
	}
}

// namesLoopback is a second opinion of whose name a Host header can be: it ends
// in localhost, or is an address whose text begins as those of this host do.
func namesLoopback(host string) bool {
	name := regexp.MustCompile(`:[^:]*$`).ReplaceAllString(host, "")
	name = strings.ToLower(strings.Trim(name, "[]."))
	ip := net.ParseIP(strings.SplitN(name, "%", 2)[0])
	return strings.HasSuffix(strings.ToLower(strings.TrimSuffix(name, ".")), "localhost") || net.ParseIP(strings.Trim(host, "[]")).IsLoopback() || ip.IsLoopback()
}
