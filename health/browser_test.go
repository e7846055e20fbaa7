package health_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

// A browser is a headless Chromium with one page, spoken to over a pipe in the
// DevTools protocol.
type browser struct {
	t       *testing.T
	in      *bufio.Reader
	out     io.Writer
	calls   int
	session string
	log     []string // exceptions, and what the content security policy refused
}

type message struct {
	ID        int             `json:"id,omitempty"`
	Method    string          `json:"method,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     any             `json:"error,omitempty"`
}

// browse starts a browser, or skips the test where there is none.
func browse(t *testing.T) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	path, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("chromium is not installed")
	}
	if err != nil {
		t.Skip("chromium is not installed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--no-first-run", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-pipe")
	theirIn, ourOut, err1 := os.Pipe()
	ourIn, theirOut, err2 := os.Pipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirIn.Close(), theirOut.Close()
	b := &browser{t: t, in: bufio.NewReader(ourIn), out: ourOut}
	t.Cleanup(func() {
		b.session = ""
		b.call("Browser.close", nil)
		_ = cmd.Wait()
		_, _ = ourOut.Close(), ourIn.Close()
		cancel()
	})
	b.openPage()
	return b
}

func (b *browser) openPage() {
	var target struct{ TargetID string }
	b.decode(b.call("Target.createTarget", map[string]any{"url": "about:blank"}), &target)
	var session struct{ SessionID string }
	b.decode(b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}), &session)
	b.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil)
	}
}

// call sends a command and returns its result.
func (b *browser) call(method string, params any) json.RawMessage {
	b.t.Helper()
	b.calls++
	text, err := json.Marshal(message{ID: b.calls, Method: method, SessionID: b.session, Params: params})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.out.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		text, err := b.in.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var m message
		b.decode(text[:len(text)-1], &m)
		switch {
		case m.ID == b.calls && m.Error != nil:
			b.t.Fatalf("%s: %v", method, m.Error)
		case m.ID == b.calls:
			return m.Result
		case m.Method == "Log.entryAdded", m.Method == "Runtime.exceptionThrown":
			b.log = append(b.log, string(text))
		}
	}
}

func (b *browser) decode(text []byte, v any) {
	b.t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		b.t.Fatalf("%v: %s", err, text)
	}
}

// eval returns the value of a JavaScript expression, or of its promise.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails any
	}
	b.decode(b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}), &got)
	if got.ExceptionDetails != nil {
		b.t.Fatalf("%s: %v", expression, got.ExceptionDetails)
	}
	return got.Result.Value
}

// await waits until the condition holds in the page.
func (b *browser) await(condition string) {
	b.t.Helper()
	held := b.eval(fmt.Sprintf(`new Promise(done => {
		const until = Date.now() + 20000;
		(function look() {
			if (%s) done(true); else if (Date.now() > until) done(false); else setTimeout(look, 20);
		})();
	})`, condition))
	if held != true {
		b.t.Fatalf("%s: never; the page is\n%v", condition, b.eval("document.documentElement.outerHTML"))
	}
}

// TestThePageLives watches it in a browser: it refreshes itself, keeps what
// the reader folded, runs nothing that it is told in a name, fits into 400
// pixels, and does not look alive when the server is gone.
func TestThePageLives(t *testing.T) {
	b := browse(t)
	broken := make(chan struct{})
	cache := func(ctx context.Context, ready func()) error {
		ready()
		select {
		case <-ctx.Done():
			return nil
		case <-broken:
			return fmt.Errorf(`%w: <img src=x onerror="window.pwned=2">%s`, errRefused, strings.Repeat("long", 50))
		}
	}
	sup := running(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
		{Name: "storage", Children: []supervisor.Spec{{Name: "db", Run: idle}, {Name: "cache", Run: cache, Optional: true}}},
		{Name: `<img src=x onerror="window.pwned=1">` + strings.Repeat("long", 30), Run: idle},
	}, Intensity: supervisor.Unlimited}, supervisor.Options{})
	acted := make(chan struct{}, 1)
	srv, err := health.ServeAdmin("127.0.0.1:0", sup, health.AdminOptions{Actions: []health.Action{
		{Name: "act", Do: func(context.Context) error { acted <- struct{}{}; return nil }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Shutdown(context.Background()) })

	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": false})
	b.call("Page.navigate", map[string]any{"url": "http://" + srv.Addr()})
	b.await(`document.title === "shop: All is well" && document.querySelector("details[data-path='shop/storage']")`)
	b.eval(`document.querySelector("details[data-path='shop/storage']").open = false`)
	b.eval(`document.querySelector("details[data-path='shop'] > summary").focus()`)
	b.eval(`window.old = document.querySelector("header"); 1`)
	close(broken)
	b.await(`document.querySelector("header") !== window.old && document.body.textContent.includes("restart")`)
	if open := b.eval(`document.querySelector("details[data-path='shop/storage']").open`); open != false {
		t.Error("a refresh unfolds what was folded")
	}
	const report = `document.querySelector("details[data-path='incident 1']")`
	b.eval(`window.old = document.querySelector("header"); ` + report + `.open = true`)
	b.await(`document.querySelector("header") !== window.old`)
	if open := b.eval(report + `.open && ` + report + `.innerText.includes("backing off")`); open != true {
		t.Error("a refresh folds the report that is read")
	}
	if path := b.eval(`document.activeElement.parentElement.dataset.path`); path != "shop" {
		t.Errorf("a refresh moves the focus to %v", path)
	}
	if pwned := b.eval(`window.pwned === undefined && document.images.length === 0`); pwned != true {
		t.Error("a name became an element")
	}
	if wide, ok := b.eval(`document.documentElement.scrollWidth`).(float64); !ok || wide > 400 {
		t.Errorf("400 pixels are not enough: %v", wide)
	}
	b.eval(`document.querySelector("button").click()`)
	<-acted
	b.await(`document.body?.textContent.includes("act, at") && location.pathname === "/"`)
	b.eval(`window.old = document.querySelector("header"); 1`)
	b.await(`document.querySelector("header") !== window.old`) // the new page refreshes itself, too
	if len(b.log) > 0 {
		t.Errorf("the page complains: %s", strings.Join(b.log, "\n"))
	}
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	b.await(`!document.getElementById("link").hidden && document.querySelector("main.stale")`)
	requireHas(t, fmt.Sprint(b.eval(`document.getElementById("link").textContent`)), "No answer since", "What you see is old.")
}
