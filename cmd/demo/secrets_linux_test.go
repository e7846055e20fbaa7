package main

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The passwords here hold what URLs, JSON and HTML escape, and begin and end
// with words that can be found in every escaped form.
const (
	oddPassword = `xyzzy42&<"% /@:#plugh43`
	oddToken    = "token44"
	oddRedis    = "frotz45&<% /@:#"
	realSecret  = password // of the real servers
)

var oddWords = []string{"xyzzy42", "plugh43", oddToken, "frotz45", realSecret}

// TestNoOutputTellsASecret: not the log, the pages, the JSON, the events, the
// incidents, the probes, the API, what systemd hears, or the termination log;
// while databases are away, while they refuse the password, and when the shop
// gives up.
func TestNoOutputTellsASecret(t *testing.T) {
	user := url.UserPassword("app", oddPassword).String()
	keywords := "host=127.0.0.1 port=1 user=app dbname=shop sslmode=disable password='" + oddPassword + "'"
	for _, c := range []struct {
		name string
		args []string
		path string // that fails
	}{
		{"database URL", []string{"-dsn", "postgres://" + user + "@127.0.0.1:1/shop?sslmode=disable"}, "shop/storage/db"},
		{"database by keywords", []string{"-db", "postgres", "-dsn", keywords}, "shop/storage/db"},
		{"cache URL", []string{"-redis", "redis://" + url.UserPassword("app", oddRedis).String() + "@127.0.0.1:1/0"}, "shop/storage/cache/client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, rest := startListenedTo(t, c.args...)
			d.until("it has failed", func() bool { return slices.Contains(d.logged("start failed"), c.path) })
			told := d.all()
			d.signal(syscall.SIGTERM)
			d.exit(10 * time.Second)
			tellsNoSecret(t, told+rest())
		})
	}
}

func TestWrongPasswordsAreNotTold(t *testing.T) {
	postgres, redis := newPostgres(t), newRedis(t)
	postgres.start()
	redis.start()
	for _, c := range []struct{ flag, value, says string }{
		{"-dsn", "postgres://" + url.UserPassword("app", oddPassword).String() + "@" + postgres.addr + "/postgres?sslmode=disable", "password authentication failed"},
		{"-redis", "redis://" + url.UserPassword("default", oddRedis).String() + "@" + redis.addr + "/0", "WRONGPASS"},
	} {
		d, rest := startListenedTo(t, c.flag, c.value)
		d.until("it was refused", func() bool { return strings.Contains(d.out.String(), c.says) })
		told := d.all()
		d.signal(syscall.SIGTERM)
		d.exit(10 * time.Second)
		tellsNoSecret(t, told+rest())
	}
}

func TestGivingUpTellsNoSecret(t *testing.T) {
	postgres, redis := newPostgres(t), newRedis(t)
	postgres.start()
	redis.start()
	d, rest := startListenedTo(t,
		"-dsn", fmt.Sprintf("postgres://app:%s@%s/postgres?sslmode=disable", realSecret, postgres.addr),
		"-redis", fmt.Sprintf("redis://:%s@%s/0", realSecret, redis.addr))
	d.until("it is ready", d.ready)
	told := ""
	for crash := 1; crash <= 6; crash++ {
		if code, out := d.run("chaos", "http", "-admin-token", oddToken); code != exitOK {
			t.Fatalf("demo chaos http: %s", out)
		}
		if crash < 6 {
			d.until("it heals once more", func() bool { return len(d.logged("exited")) == crash && d.ready() })
			told = d.all()
		}
	}
	if code := d.exit(30 * time.Second); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	last := rest()
	if !strings.Contains(last, "the shop gave up") {
		t.Errorf("it was not told that the shop gave up: %q", last)
	}
	tellsNoSecret(t, told+last)
}

// startListenedTo starts a demo with a token, a termination log and a systemd.
// rest is what those two got to know, and what the demo wrote.
func startListenedTo(t *testing.T, args ...string) (d *demo, rest func() string) {
	t.Helper()
	dir := t.TempDir()
	message, socket := filepath.Join(dir, "termination-log"), filepath.Join(dir, "notify")
	if err := os.WriteFile(message, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	go func() {
		var all strings.Builder
		for buf := make([]byte, 4096); ; {
			n, _, err := conn.ReadFromUnix(buf)
			if err != nil {
				heard <- all.String()
				return
			}
			all.Write(buf[:n])
		}
	}()
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", socket)
	d = start(t, append([]string{"-load", "5", "-admin-token", oddToken, "-termination-log", message}, args...)...)
	return d, func() string {
		_ = conn.Close()
		systemd := <-heard
		if !strings.Contains(systemd, "STATUS=") {
			t.Errorf("systemd heard no status: %q", systemd)
		}
		text, err := os.ReadFile(message)
		if err != nil {
			t.Error(err)
		}
		return d.out.String() + systemd + string(text)
	}
}

// all is every answer of the demo, in every form.
func (d *demo) all() (told string) {
	d.t.Helper()
	admin := strings.Replace(d.admin, "//", "//any:"+oddToken+"@", 1)
	for _, page := range []string{
		admin + "/", admin + "/fragment", admin + "/tree", admin + "/events", admin + "/incidents", admin + "/incidents/1",
		admin + "/readyz?verbose", admin + "/livez?verbose", admin + "/startupz?verbose",
		d.probes + "/readyz?verbose", d.probes + "/livez?verbose", d.probes + "/startupz?verbose", d.probes + "/readyz/shop/storage/db?verbose",
		d.shop + "/", d.shop + "/prices",
	} {
		for _, accept := range []string{"text/html", "text/plain", "application/json", "application/health+json"} {
			told += d.as(accept, page)
		}
	}
	if !strings.Contains(told, "shop/storage/db") || !strings.Contains(told, "refused") && !strings.Contains(told, "exited") && !strings.Contains(told, "failed") {
		d.t.Errorf("little was told, which shows nothing:\n%s", told)
	}
	return told
}

func (d *demo) as(accept, page string) string {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, page, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	r, err := fetch(&http.Client{Timeout: 10 * time.Second}, req)
	if err != nil && !strings.HasPrefix(page, d.shop) { // which may be down
		d.t.Errorf("GET %s: %v", strings.Replace(page, oddToken, "…", 1), err)
	}
	if r.code == http.StatusUnauthorized {
		d.t.Errorf("GET %s: %d", strings.Replace(page, oddToken, "…", 1), r.code)
	}
	return string(r.body)
}

func tellsNoSecret(t *testing.T, told string) {
	t.Helper()
	for _, secret := range oddWords {
		if at := strings.Index(told, secret); at >= 0 {
			t.Errorf("%q is told: …%s…", secret, told[max(0, at-150):min(len(told), at+100)])
		}
	}
}
