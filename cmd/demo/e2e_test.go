package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestADatabaseThatGoesAwayComesBack(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0")
	before := d.buy()
	d.chaos("db")
	d.until("readiness goes red", func() bool { return !d.ready() })
	if r := d.get(d.probes + "/livez"); r.code != http.StatusOK {
		t.Errorf("liveness depends on the database: %+v", r)
	}
	if code, out := d.run("healthcheck"); code != exitFailed || !strings.Contains(out, "shop/storage/db") {
		t.Errorf("healthcheck: exit code %d, want %d, and the path of what is down in %q", code, exitFailed, out)
	}
	asked := time.Now()
	r := d.do(http.MethodPost, d.shop+"/orders", `{"item":"mug","quantity":1}`)
	if seconds, err := strconv.Atoi(r.retryAfter); r.code != http.StatusServiceUnavailable || err != nil || seconds < 1 {
		t.Errorf("POST /orders without a database: %+v, want 503 with Retry-After", r)
	}
	if took := time.Since(asked); took > time.Second {
		t.Errorf("saying so took %v", took)
	}
	d.until("readiness goes green", d.ready)
	after := d.buy()
	d.until("the orders from before and after are fulfilled", func() bool { return d.fulfilled(before) && d.fulfilled(after) })
}

func TestTheCacheMayBeDown(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0", "-redis", "127.0.0.1:1")
	if !slices.Contains(d.logged("ignored"), "shop/storage/cache/server") {
		t.Error("a server that is elsewhere is no part of this tree")
	}
	d.until("the client has tried", func() bool { return d.get(d.probes+"/readyz/shop/storage/cache").code == http.StatusServiceUnavailable })
	if r := d.get(d.shop + "/prices"); r.code != http.StatusOK {
		t.Errorf("GET /prices without a cache: %+v", r)
	}
	if !d.ready() {
		t.Error("the shop is not ready without a cache, which it can do without")
	}
	if code, out := d.run("chaos", "redis"); code != exitFailed || !strings.Contains(out, "not the demo's own") {
		t.Errorf("demo chaos redis on somebody else's server: exit code %d, %q", code, out)
	}
}

func TestCrashesHeal(t *testing.T) {
	t.Parallel()
	d := startReady(t)
	for _, c := range []struct{ fault, path string }{
		{"redis", "shop/storage/cache/server"}, {"worker", "shop/workers/"}, {"http", "shop/http"},
	} {
		said := func() bool {
			return slices.ContainsFunc(d.logged("exited"), func(path string) bool { return strings.HasPrefix(path, c.path) })
		}
		d.chaos(c.fault)
		d.until(c.path+" crashes", said)
		d.until("it is ready again", d.ready)
	}
	d.until("it serves", func() bool { return d.get(d.shop+"/prices").code == http.StatusOK })
}

func TestSIGTERMDrainsInOrder(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "50", "-drain", "500ms")
	var served, cut atomic.Int64
	var customers sync.WaitGroup
	for range 4 {
		customers.Go(func() {
			for d.ready() { // as a load balancer sends them
				if r := d.get(d.shop + "/prices"); r.code == http.StatusOK {
					served.Add(1)
				} else {
					cut.Add(1)
				}
			}
		})
	}
	d.until("there is business", func() bool { return served.Load() > 100 })
	d.signal(syscall.SIGTERM)
	if code := d.exit(10 * time.Second); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
	customers.Wait()
	if cut.Load() > 0 {
		t.Errorf("%d customers were cut off, %d served", cut.Load(), served.Load())
	}
	at := 0
	for _, path := range []string{"shop/http", "shop/jobs", "shop/workers", "shop/storage/cache", "shop/storage/db", "shop/storage", "shop"} {
		next := slices.Index(d.logged("stopped"), path)
		if next < at {
			t.Errorf("%s did not stop in its turn: %v", path, d.logged("stopped"))
		}
		at = max(at, next)
	}
	d.leavesNothing()
}

func TestReadinessGoesFirstOnDrain(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0", "-drain", "1m", "-grace", "2m")
	d.signal(syscall.SIGTERM)
	d.until("readiness goes red", func() bool { return !d.ready() })
	if r := d.get(d.probes + "/livez"); r.code != http.StatusOK {
		t.Errorf("liveness went with it: %+v", r)
	}
	if r := d.get(d.shop + "/prices"); r.code != http.StatusOK {
		t.Errorf("the shop does not serve while it drains: %+v", r)
	}
	d.signal(syscall.SIGTERM)
	if code := d.exit(5 * time.Second); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code after a second SIGTERM: %d, want 143", code)
	}
	d.leavesNothing()
}

func TestWhatCannotBeHealedIsThePlatforms(t *testing.T) {
	t.Parallel()
	message := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(message, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startReady(t, "-load", "0", "-termination-log", message)
	for crash := 1; crash <= 6; crash++ {
		d.chaos("http")
		if crash < 6 {
			d.until("it heals once more", func() bool { return len(d.logged("exited")) == crash && d.ready() })
		}
	}
	if code := d.exit(10 * time.Second); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	text, err := os.ReadFile(message)
	if err != nil || len(text) > 4096 {
		t.Errorf("the termination log has %d bytes (%v)", len(text), err)
	}
	for _, told := range []string{string(text), d.out.String()} {
		for _, want := range []string{"the shop gave up", "more than 5 restarts", "shop/http", "incident ", "decided:"} {
			if !strings.Contains(told, want) {
				t.Errorf("it is not told that %q in:\n%s", want, told)
			}
		}
	}
	d.leavesNothing()
}

func TestAnOrderOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	dsn := "file:" + filepath.Join(t.TempDir(), "shop.db")
	d := startReady(t, "-load", "0", "-dsn", dsn)
	d.chaos("hang")
	id := d.buy() // its worker will not come back in time
	d.kill()
	d = startReady(t, "-load", "0", "-dsn", dsn)
	d.until("the order is fulfilled", func() bool { return d.fulfilled(id) })
}

func TestAHangingWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 15 s")
	}
	d := startReady(t, "-load", "0")
	d.chaos("hang")
	id := d.buy()
	d.until("it is left behind", func() bool { return len(d.logged("abandoned")) == 1 })
	if !d.ready() {
		t.Error("one worker of four took the shop down")
	}
	d.until("it ends after all", func() bool { return len(d.logged("returned")) == 1 })
	d.until("its order is fulfilled by another", func() bool { return d.fulfilled(id) })
	d.signal(syscall.SIGINT)
	if code := d.exit(10 * time.Second); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
}

func TestBadInputIsOneLineAndNothingStarts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := []string{"-addr", freeAddr(t), "-probes", freeAddr(t), "-admin", freeAddr(t)}
	one := freeAddr(t)
	for _, c := range []struct{ args, want string }{
		{"-nope", "-nope"},
		{"sell", "sell"},
		{"tour now", "now"},
		{"chaos everything", "everything"},
		{"chaos db redis", "redis"},
		{"tour -redis 127.0.0.1:1", "-redis"},
		{"-dsn postgres://app:s3cret-hunter2@db:port/shop", "shop/storage/db: "},
		{"-dsn mysql://app:s3cret-hunter2@db/shop", "shop/storage/db: "},
		{"-redis redis://:s3cret-hunter2@cache:port", "-redis"},
		{"-addr " + taken.Addr().String(), "address already in use"},
		{"-probes " + taken.Addr().String(), "address already in use"},
		{"-admin " + taken.Addr().String(), "address already in use"},
		{"-addr " + one + " -probes " + one, "-probes: "},
		{"-addr " + one + " -admin " + one, "-admin: "},
		{"-dsn host=db user=app password=s3cret-hunter2", "put values with spaces into quotes"},
		{"postgres://app:s3cret-hunter2@db/shop", "no command (an argument that is not repeated"},
		{"chaos redis://app:s3cret-hunter2@cache", "no fault (an argument that is not repeated"},
		{"chaos db redis://app:s3cret-hunter2@cache", "takes one fault"},
	} {
		code, out := execute(t, append(slices.Clone(free), strings.Fields(c.args)...)...)
		if code != exitUsage || strings.Count(out, "\n") != 1 || !strings.Contains(out, c.want) {
			t.Errorf("demo %s: exit code %d, want %d, and one line with %q, got:\n%s", c.args, code, exitUsage, c.want, out)
		}
		if strings.Contains(out, "s3cret") {
			t.Errorf("demo %s tells the password: %s", c.args, out)
		}
	}
}

func TestAllAddressesThatAreTakenAreTold(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	code, out := execute(t, "-addr", addr, "-probes", addr, "-admin", addr)
	if code != exitUsage || strings.Count(out, "\n") != 3 {
		t.Errorf("exit code %d, want %d, and 3 lines, got:\n%s", code, exitUsage, out)
	}
	for _, want := range []string{"-addr: ", "-probes: ", "-admin: "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
}

func TestSecretsAreNotTold(t *testing.T) {
	for _, c := range []struct{ name, flag, value, path string }{
		{"database", "-dsn", "postgres://app:%s@127.0.0.1:1/shop?sslmode=disable", "shop/storage/db"},
		{"cache", "-redis", "redis://app:%s@127.0.0.1:1/0", "shop/storage/cache/client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const secret, token = "s3cret-hunter2", "t0ken-hunter3"
			d := start(t, "-admin-token", token, c.flag, fmt.Sprintf(c.value, secret))
			d.until("it was tried", func() bool { return slices.Contains(d.logged("start failed"), c.path) })
			told := d.everything(token)
			d.signal(syscall.SIGTERM)
			if code := d.exit(10 * time.Second); code != exitOK {
				t.Errorf("exit code while waiting for something: %d, want %d", code, exitOK)
			}
			for _, s := range []string{secret, token} {
				if strings.Contains(told+d.out.String(), s) {
					t.Errorf("%q is told", s)
				}
			}
		})
	}
}

// everything is what a demo tells those who have its token, and checks that
// others are told nothing.
func (d *demo) everything(token string) (told string) {
	d.t.Helper()
	if r := d.get(d.admin + "/tree"); r.code != http.StatusUnauthorized {
		d.t.Errorf("/tree without a token: %+v, want 401", r)
	}
	if code, out := d.run("chaos", "worker"); code != exitFailed {
		d.t.Errorf("demo chaos without a token: exit code %d, %q", code, out)
	}
	code, told := d.run("chaos", "worker", "-admin-token", token)
	if code != exitOK {
		d.t.Errorf("demo chaos with the token: exit code %d, %q", code, told)
	}
	admin := strings.Replace(d.admin, "//", "//any:"+token+"@", 1)
	for _, url := range []string{admin + "/", admin + "/tree", admin + "/events", admin + "/readyz?verbose", d.probes + "/readyz?verbose"} {
		r := d.get(url)
		if r.code == 0 || r.code == http.StatusUnauthorized || len(r.body) < 20 {
			d.t.Errorf("GET %s: %+v", strings.Replace(url, token, "…", 1), r)
		}
		told += r.body
	}
	return told
}

func TestHealthcheckExitCodes(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0")
	for _, probe := range []string{"-readyz", "-livez"} {
		if code, out := d.run("healthcheck", probe); code != exitOK || !strings.Contains(out, "ok") {
			t.Errorf("healthcheck %s: exit code %d, %q", probe, code, out)
		}
	}
	d.kill()
	if code, out := d.run("healthcheck"); code != exitFailed || !strings.Contains(out, "no answer") {
		t.Errorf("healthcheck of nobody: exit code %d, %q", code, out)
	}
}

func TestTheShopIsAPoliteOne(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0")
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/", "", 200},
		{"GET", "/prices", "", 200},
		{"POST", "/orders", `{"item":"mug","quantity":1}`, 201},
		{"POST", "/orders", `{"item":"mug","quantity":0}`, 400},
		{"POST", "/orders", `{"item":"yacht","quantity":1}`, 404},
		{"POST", "/orders", `nonsense`, 400},
		{"POST", "/orders", `{"item":"` + strings.Repeat("m", 5000) + `"}`, 400},
		{"GET", "/orders/none", "", 404},
		{"DELETE", "/orders/none", "", 405},
	} {
		if r := d.do(c.method, d.shop+c.path, c.body); r.code != c.want {
			t.Errorf("%s %s %.40s: %+v, want %d", c.method, c.path, c.body, r, c.want)
		}
	}
}

func TestTheTourHealsEverything(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	code, out := execute(t, "tour", "-addr", freeAddr(t), "-probes", freeAddr(t), "-admin", freeAddr(t))
	if code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
	for _, want := range []string{"1/9", "9/9", "healed after", "remedy purge: helped", "it is parked", "no beat for", "No order was lost"} {
		if !strings.Contains(out, want) {
			t.Errorf("the tour does not tell %q", want)
		}
	}
	t.Log(out)
}
