package browsertest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

// breakAll breaks what a page can show: crashes, a panic, an outage, a probe that
// fails, something parked.
func (s *shop) breakAll(b *browser) {
	s.breaks("w2", errBug)
	b.await(`document.body.textContent.includes("charge: nil card")`)
	s.breaks("w2", nil)
	s.breaks("db", errAway)
	s.breaks("cache-probe", errBadData)
	s.breaks("feed", errAway)
	b.await(`document.querySelector(".card.parked") && document.querySelector(".card.bad") && document.querySelector(".card.warn")`)
}

// TestTheEyeMeetsWhatBrokeFirst: in whatever state, it stands above all else, with
// why, and what comes next.
func TestTheEyeMeetsWhatBrokeFirst(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	if eval[bool](b, `!!document.querySelector(".card")`) {
		t.Error("something broke while all is well")
	}
	s.breakAll(b)
	first := eval[string](b, `document.querySelector(".card").innerText`)
	for _, want := range []string{"shop/storage/db", "backing off", "connection refused", "next start in", "restarts used", "decided: "} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is not in the first card:\n%s", want, first)
		}
	}
	if top := eval[float64](b, `document.querySelector(".card.bad").getBoundingClientRect().bottom`); top > 600 {
		t.Errorf("it ends at %v pixels", top)
	}
	s.breaks("db", nil)
	s.breaks("feed", nil)
	s.breaks("cache-probe", nil)
	b.await(`!document.querySelector(".card.bad") && document.title.startsWith("Degraded")`) // feed is parked
	b.requireQuiet()
}

// TestTheTreeIsForKeyboards walks it as the ARIA pattern says.
func TestTheTreeIsForKeyboards(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	b.await(`document.querySelector("[role=tree] [tabindex='0']")`)
	at := func() string {
		return eval[string](b, `document.activeElement.dataset.key ?? document.activeElement.id ?? document.activeElement.tagName`)
	}
	for n := 0; at() != "shop"; n++ {
		if n == 20 {
			t.Fatal("no Tab leads to the tree")
		}
		b.press(tab)
	}
	for _, step := range []struct{ keys, at string }{
		{down, "shop/storage"}, {down, "shop/storage/db"}, {up, "shop/storage"}, {left, "shop/storage"}, {down, "shop/workers"},
		{up, "shop/storage"}, {right, "shop/storage"}, {right, "shop/storage/db"}, {left, "shop/storage"}, {end, "shop/http"}, {home, "shop"},
		{"w", "shop/workers"}, {"w", "shop/workers/w1"}, {"h", "shop/http"}, {"c", "shop/storage/cache"}, {home, "shop"}, {down, "shop/storage"},
		{enter, "shop/storage"}, {down, "shop/workers"}, {up, "shop/storage"}, {space, "shop/storage"}, {down, "shop/storage/db"}, {up + up + up, "shop"},
	} {
		for _, key := range step.keys {
			b.press(string(key))
		}
		if got := at(); got != step.at {
			t.Fatalf("after %q the focus is at %s, not %s", step.keys, got, step.at)
		}
		if step.keys >= "a" && step.keys <= "z" { // so that letters are not one word
			eval[any](b, `new Promise(done => setTimeout(done, 750))`)
		}
	}
	if n := eval[int](b, `document.querySelectorAll("[role=tree] [tabindex='0']").length`); n != 1 {
		t.Errorf("%d Tab stops", n)
	}
	b.press(down, left) // storage is folded
	s.breaks("db", errAway)
	b.await(`document.title.startsWith("Down")`)
	if at() != "shop/storage" || !eval[bool](b, `document.activeElement.getAttribute("aria-expanded") === "false"`) {
		t.Errorf("an update moves the focus to %s, or unfolds it", at())
	}
	b.requireQuiet()
}

//go:embed testdata/axe-4.14.0.min.js
var axe string

// TestAxeFindsNothing runs axe-core in all states, both themes, wide and narrow,
// with everything open.
func TestAxeFindsNothing(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{Actions: []health.Action{{Name: "x", Do: func(context.Context) error { return nil }}}})
	check := func(state string) {
		for _, theme := range []string{"light", "dark"} {
			for _, width := range map[string][]int64{"light": {1280, 400}, "dark": {1280}}[theme] {
				b.open(s.url, theme, width)
				b.await(`document.querySelector("[role=tree]")`)
				eval[any](b, `document.querySelectorAll("details").forEach(d => d.open = true), document.getElementById("pause").click(), 1`)
				eval[any](b, axe+";1")
				for _, v := range eval[[]string](b, `axe.run().then(r => r.violations.map(v => v.id + ": " + v.help + "\n" + v.nodes.map(n => n.html + "\n" + n.failureSummary).slice(0, 3).join("\n")))`) {
					t.Errorf("%s, %s, %d: %s", state, theme, width, v)
				}
			}
		}
	}
	check("green")
	b.open(s.url, "light", 1280)
	s.breakAll(b)
	check("failing")
	s.breaks("http", errBug)
	for name := range map[string]bool{"db": true, "feed": true} {
		s.breaks(name, nil)
	}
	b.open(s.url, "light", 1280)
	b.await(`document.title.startsWith("Gave up")`)
	check("gave up")
	b.requireQuiet()
}

// TestNothingThatIsToldRuns: names, errors and stacks are text, whatever they
// hold, and the page loads nothing from elsewhere.
func TestNothingThatIsToldRuns(t *testing.T) {
	const evil = `<img src=x onerror="window.pwned=1">`
	b, s := browse(t), &shop{broken: map[string]error{}}
	spec := supervisor.Spec{Name: "'><script>window.pwned=2<", Intensity: supervisor.Unlimited, Children: []supervisor.Spec{
		s.worker(evil), s.worker(strings.Repeat("long", 60)),
	}}
	s.run(t, spec, health.AdminOptions{})
	b.open(s.url+"?find=%22%3E%3Cscript%3Ewindow.pwned=3%3C/script%3E", "light", 400)
	b.open(s.url, "light", 400)
	s.breaks(evil, fmt.Errorf("</pre><script>window.pwned=4</script> %s %w", evil, errors.New("javascript:window.pwned=5")))
	b.await(`document.body.textContent.includes("window.pwned=4")`)
	eval[any](b, `document.querySelectorAll("details").forEach(d => d.open = true)`)
	s.breaks(evil, errBug)
	b.await(`document.body.textContent.includes("charge: nil card in <img")`)
	if pwned := eval[bool](b, `window.pwned !== undefined || document.images.length > 0 || document.scripts.length !== 1`); pwned {
		t.Error("text became an element")
	}
	if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > 400 {
		t.Errorf("400 pixels are not enough: %d", wide)
	}
	from := eval[[]string](b, `performance.getEntriesByType("resource").map(e => new URL(e.name).origin)`)
	for _, origin := range from {
		if origin+"/" != s.url {
			t.Errorf("something is loaded from %s", origin)
		}
	}
	b.requireQuiet()
}

// TestThePageSaysWhetherItIsLive: live, paused, reconnecting; what is old is
// shown as old.
func TestThePageSaysWhetherItIsLive(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	b.await(`document.getElementById("link").textContent === "Live"`)
	eval[any](b, `document.getElementById("pause").click()`)
	b.await(`document.getElementById("link").textContent === "Paused"`)
	s.breaks("db", errAway)
	if err := s.Restart(t.Context(), "shop/workers/w1"); err != nil {
		t.Fatal(err)
	}
	eval[any](b, `new Promise(done => setTimeout(done, 1500))`)
	if title := eval[string](b, `document.title`); !strings.HasPrefix(title, "All is well") {
		t.Errorf("a page that is paused says %q", title)
	}
	eval[any](b, `document.getElementById("pause").click()`)
	b.await(`document.title.startsWith("Down") && document.getElementById("link").textContent === "Live"`)
	hide := `Object.defineProperty(document, "hidden", { value: %t, configurable: true }), document.dispatchEvent(new Event("visibilitychange"))`
	eval[any](b, fmt.Sprintf(hide, true))
	s.breaks("db", nil)
	if err := s.WaitReady(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	eval[any](b, `new Promise(done => setTimeout(done, 1500))`)
	if title := eval[string](b, `document.title`); !strings.HasPrefix(title, "Down") {
		t.Errorf("a page that nobody looks at says %q", title)
	}
	eval[any](b, fmt.Sprintf(hide, false))
	b.await(`document.title.startsWith("All is well") && document.getElementById("link").textContent === "Live"`)
	b.requireQuiet()
	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	b.await(`document.getElementById("link").textContent.includes("What you see is old.") && document.querySelector("main.stale")`)
}

// TestDrawersStayOpen while the page lives on, and their text can be copied.
func TestDrawersStayOpen(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	s.breaks("db", errAway)
	b.await(`document.querySelector(".broken .drawer")`)
	eval[any](b, `window.drawer = document.querySelector(".broken .drawer"), drawer.open = true, 1`)
	before := eval[int](b, `document.querySelectorAll(".broken .steps li").length`)
	b.await(fmt.Sprintf(`document.querySelectorAll(".broken .steps li").length > %d`, before))
	if !eval[bool](b, `drawer.isConnected && drawer.open`) {
		t.Error("an update closes what is read")
	}
	eval[any](b, `navigator.clipboard.write = async ([item]) => window.copied = await (await item.getType("text/plain")).text(), 1`)
	eval[any](b, `drawer.querySelector("[data-copy]").click()`)
	b.await(`window.copied?.includes("incident 1: shop/storage/db#1: connect: unavailable")`)
	if text := eval[string](b, `copied`); strings.Contains(text, "hunter2") || !strings.Contains(text, "decided:") {
		t.Errorf("what is copied is\n%s", text)
	}
	if eval[bool](b, `document.documentElement.outerHTML.includes("hunter2")`) {
		t.Error("a password is on the page")
	}
	b.requireQuiet()
}

// TestFind narrows the tree, live and without JavaScript.
func TestFind(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	names := `Array.from(document.querySelectorAll(".tree .name"), n => n.textContent).join()`
	b.open(s.url, "light", 1280)
	b.do(chromedp.SendKeys(chromedp.CSS("#find"), "W3"))
	b.await(names + ` === "shop,workers,w3"`)
	if got := eval[string](b, `location.search`); got != "?find=W3" {
		t.Errorf("the address says %q", got)
	}
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.open(s.url+"?find=nope", "light", 1280)
	if text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(".whole"))); err != nil || !strings.Contains(text, "No node is like that.") {
		t.Errorf("%q, %v", text, err)
	}
	s.breaks("db", errAway)
	for s.Status() != supervisor.Down {
		time.Sleep(time.Millisecond)
	}
	b.open(s.url+"?only=problems", "light", 1280)
	b.snap("without-javascript")
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(".tree")))
	if err != nil || !strings.Contains(text, "db") || strings.Contains(text, "cache") || !strings.Contains(text, "connection refused") {
		t.Errorf("%q, %v", text, err)
	}
	b.requireQuiet()
}

// TestNodesAreOperatedFromTheTree: the node that has the focus is the one that is
// operated, by a form that works without JavaScript, too; with a token all the
// same, however the browser was told it.
func TestNodesAreOperatedFromTheTree(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{Operate: true, Token: "correct-horse"})
	b.open(strings.Replace(s.url, "http://", "http://anybody:correct-horse@", 1), "light", 1280)
	b.await(`document.getElementById("link").textContent === "Live"`)
	eval[any](b, `window.old = document.querySelector("header").dataset.now, 1`)
	b.await(`document.querySelector("header").dataset.now !== old`) // it refreshes itself
	eval[any](b, `document.querySelector("[data-key='shop/workers/w1'] > .row").click()`)
	b.await(`document.getElementById("node").value === "shop/workers/w1"`)
	b.do(chromedp.Click(chromedp.CSS("[formaction='nodes/restart']")))
	b.await(`document.querySelector(".outcome")?.textContent.startsWith("Restart shop/workers/w1, at")`)
	if n, err := s.Find("shop/workers/w1"); err != nil || n.Incarnation != 2 {
		t.Errorf("#%d, %v", n.Incarnation, err)
	}
	b.requireQuiet()
}
