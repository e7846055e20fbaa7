package browsertest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
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
	b.tabTo("[data-key=shop]")
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
			b.rest(750 * time.Millisecond)
		}
	}
	if n := eval[int](b, `document.querySelectorAll("[role=tree] [tabindex='0']").length`); n != 1 {
		t.Errorf("%d Tab stops", n)
	}
	b.press(down, left, down, left, "*") // both are folded, and unfolded
	if n := eval[int](b, `document.querySelectorAll("[role=tree] [aria-expanded=false]").length`); n != 0 || at() != "shop/workers" {
		t.Errorf("* leaves %d folded, and leads to %s", n, at())
	}
	b.press(up, left, left) // from cache, and storage is folded
	s.breaks("db", errAway)
	b.await(`document.title.startsWith("Down")`)
	if at() != "shop/storage" || !eval[bool](b, `document.activeElement.getAttribute("aria-expanded") === "false"`) {
		t.Errorf("an update moves the focus to %s, or unfolds it", at())
	}
	b.requireQuiet()
}

// TestKeysAloneReadAndPause: who has no pointer opens what happened, copies it, and
// holds the page still; updates take nothing of that away.
func TestKeysAloneReadAndPause(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	s.breaks("db", errAway)
	b.await(`document.querySelector(".broken .drawer")`)
	eval[any](b, `navigator.clipboard.write = async ([item]) => window.copied = await (await item.getType("text/plain")).text(), 1`)
	b.tabTo(".broken .drawer > summary")
	b.press(enter)
	b.await(`document.activeElement.parentElement.open`)
	steps := eval[int](b, `document.querySelectorAll(".broken .steps li").length`)
	b.await(fmt.Sprintf(`document.querySelectorAll(".broken .steps li").length > %d`, steps))
	if !eval[bool](b, `document.activeElement.matches(".broken .drawer[open] > summary")`) {
		t.Error("an update takes the focus, or closes what is read")
	}
	b.tabTo(".broken [data-copy]")
	b.press(space)
	b.await(`window.copied?.includes("incident 1: shop/storage/db#1")`)

	b.open(s.url, "light", 1280)
	b.await(`document.getElementById("link").textContent === "Live"`)
	b.tabTo("#pause")
	b.press(space)
	b.await(`document.getElementById("link").textContent === "Paused" && document.activeElement.getAttribute("aria-pressed") === "true"`)
	b.press(enter)
	b.await(`document.getElementById("link").textContent === "Live" && document.activeElement.textContent === "Pause"`)
	b.requireQuiet()
}

//go:embed testdata/axe-4.14.0.min.js
var axe string

// What axe found.
type findings struct {
	Passes     []string `json:"passes"`     // rules that something was held against
	Violations []string `json:"violations"` // and those that it broke
}

// axe runs axe-core in the page as it is now.
func (b *browser) axe() findings {
	b.t.Helper()
	eval[any](b, axe+";1")
	return eval[findings](b, `axe.run().then(r => ({ passes: r.passes.map(p => p.id),
		violations: r.violations.map(v => v.id + ": " + v.help + "\n" + v.nodes.map(n => n.html + "\n" + n.failureSummary).slice(0, 3).join("\n")) }))`)
}

// TestAxeFindsNothing runs axe-core in all states, both themes, wide and narrow,
// with everything open.
func TestAxeFindsNothing(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{Actions: []health.Action{{Name: "x", Do: func(context.Context) error { return nil }}}})
	check := func(state, script string) {
		for _, theme := range []string{"light", "dark"} {
			for _, width := range []int64{1280, 400} {
				b.open(s.url, theme, width)
				b.await(`document.querySelector("[role=tree]")`)
				eval[any](b, `document.querySelectorAll("details").forEach(d => d.open = true), document.getElementById("pause").click(), 1`)
				eval[any](b, script+";1")
				found := b.axe()
				for _, v := range found.Violations {
					t.Errorf("%s, %s, %d: %s", state, theme, width, v)
				}
				if len(found.Passes) < 15 || !slices.Contains(found.Passes, "color-contrast") {
					t.Errorf("%s, %s, %d: axe has looked at no more than %v", state, theme, width, found.Passes)
				}
			}
		}
	}
	check("green", "")
	b.open(s.url, "light", 1280)
	s.breakAll(b)
	check("failing", "")
	check("old", `document.getElementById("live").classList.add("stale")`)
	s.breaks("http", errBug)
	for name := range map[string]bool{"db": true, "feed": true} {
		s.breaks(name, nil)
	}
	b.open(s.url, "light", 1280)
	b.await(`document.title.startsWith("Gave up")`)
	check("gave up", "")
	b.requireQuiet()
}

// TestAxeFindsSomething where there is something, so that nothing means nothing.
func TestAxeFindsSomething(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	eval[any](b, `document.getElementById("live").append(new Image()), document.querySelector(".detail").style.opacity = .4, 1`)
	found := strings.Join(b.axe().Violations, "\n")
	for _, want := range []string{"image-alt: ", "color-contrast: "} {
		if !strings.Contains(found, want) {
			t.Errorf("%s is not in what axe found:\n%s", want, found)
		}
	}
}

// TestComplaintsAreHeard: requireQuiet would fail for what the page may not do.
func TestComplaintsAreHeard(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	b.await(`document.getElementById("link").textContent === "Live"`)
	b.requireQuiet()
	for script, want := range map[string]string{
		`document.body.setAttribute("style", "color: red")`:                                           "style-src 'self'",
		`document.body.append(Object.assign(new Image(), { src: "http://elsewhere.invalid/x.png" }))`: "img-src 'self'",
		`document.body.setAttribute("onclick", "window.pwned = 1")`:                                   "script-src 'self'",
		`fetch("http://elsewhere.invalid/").catch(() => {})`:                                          "connect-src 'self'",
		`setTimeout(() => { throw new Error("a fault of the module") })`:                              "a fault of the module",
	} {
		eval[any](b, script+";1")
		b.requireComplaint(want)
	}
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
	b.rest(1500 * time.Millisecond)
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
	b.rest(1500 * time.Millisecond)
	if title := eval[string](b, `document.title`); !strings.HasPrefix(title, "Down") {
		t.Errorf("a page that nobody looks at says %q", title)
	}
	eval[any](b, fmt.Sprintf(hide, false))
	b.await(`document.title.startsWith("All is well") && document.getElementById("link").textContent === "Live"`)
	b.requireQuiet()
	s.unserve(t)
	b.await(`document.getElementById("link").textContent.includes("What you see is old.") && document.querySelector("main.stale")`)
}

// TestThePageComesBack with the server, and shows what has changed meanwhile;
// also when it is another process that answers now.
func TestThePageComesBack(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	link, title := `document.getElementById("link").textContent`, `document.title`
	b.open(s.url, "light", 1280)
	b.await(link + ` === "Live"`)
	b.requireQuiet() // later it is told of every attempt
	addr := s.unserve(t)
	b.await(link + `.startsWith("Reconnecting") && document.querySelector("main.stale")`)
	s.fails("db", errAway)
	if got := eval[string](b, title); !strings.HasPrefix(got, "All is well") {
		t.Errorf("a page without a server says %q", got)
	}
	s.serve(t, addr)
	b.await(link + ` === "Live" && ` + title + `.startsWith("Down") && !document.querySelector("main.stale") && document.querySelector(".card.bad")`)
	s.breaks("db", nil)
	b.await(title + `.startsWith("All is well")`) // events come, too

	s.unserve(t)
	b.await(link + `.startsWith("Reconnecting")`)
	next := &shop{broken: map[string]error{}}
	next.run(t, supervisor.Spec{Name: "next", Children: []supervisor.Spec{next.worker("db")}}, health.AdminOptions{})
	next.unserve(t)
	next.serve(t, addr)
	b.await(link + ` === "Live" && ` + title + ` === "All is well · next" && !document.querySelector("main.stale")`)
	next.breaks("db", errAway)
	b.await(title + `.startsWith("Down")`)
}

// TestCountdownsCount: what is left of a wait gets less while it is looked at, its
// bar grows, and a page that is paused holds both still.
func TestCountdownsCount(t *testing.T) {
	b, s := browse(t), &shop{broken: map[string]error{}}
	slow := s.worker("slow")
	slow.Backoff = supervisor.Backoff{Min: time.Minute, Max: time.Minute}
	s.run(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{slow}}, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	s.breaks("slow", errBadData)
	const due = `document.querySelector(".card time[data-left]")`
	b.await(due + `?.textContent`)
	type reading struct {
		Due  string
		Left int     // seconds
		Bar  float64 // per cent
	}
	read := func() reading {
		return eval[reading](b, `(() => {
			const time = `+due+`, [, m, s] = time.textContent.match(/^next start in (?:(\d+) min )?(\d+)(?:\.\d)? s$/);
			return { Due: time.dateTime, Left: 60 * (m ?? 0) + Number(s), Bar: Number(document.querySelector(".card rect[data-to]").getAttribute("width")) };
		})()`)
	}
	first := read()
	b.rest(2500 * time.Millisecond)
	second := read()
	if passed := first.Left - second.Left; second.Due != first.Due || passed < 2 || passed > 6 || second.Bar < first.Bar+2 {
		t.Errorf("%+v, and 2.5 s later %+v", first, second)
	}
	eval[any](b, `document.getElementById("pause").click()`)
	first = read()
	b.rest(1500 * time.Millisecond)
	if second := read(); second != first {
		t.Errorf("paused it goes from %+v to %+v", first, second)
	}
	b.requireQuiet()
}

// TestEventsHoldNothingUp: while they come all the time, what happens is seen soon
// nevertheless; and a server that is slow rests three times as long as it works.
func TestEventsHoldNothingUp(t *testing.T) {
	b, s := browse(t), &shop{broken: map[string]error{}}
	noisy := s.worker("noisy")
	noisy.Backoff = supervisor.Backoff{Min: 50 * time.Millisecond, Max: 50 * time.Millisecond}
	s.run(t, supervisor.Spec{Name: "shop", Intensity: supervisor.Unlimited, Children: []supervisor.Spec{noisy, s.worker("db")}}, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	b.await(`document.getElementById("link").textContent === "Live"`)
	s.breaks("noisy", errBadData)
	eval[any](b, `window.heard = 0, new EventSource("events").onmessage = () => heard++, 1`)
	b.rest(time.Second)
	s.breaks("db", errAway)
	took := eval[float64](b, `new Promise(done => {
		const began = performance.now(), look = () => {
			const took = performance.now() - began;
			if (document.querySelector(".card[data-key='shop/db']") || took > 5000) done(took);
			else setTimeout(look, 20);
		};
		look();
	})`)
	if took > 2000 {
		t.Errorf("it is seen after %.0f ms", took)
	}
	asked := eval[int](b, `new Promise(done => {
		const real = fetch;
		let asked = 0;
		window.fetch = async (...what) => (asked++, await new Promise(done => setTimeout(done, 500)), real(...what));
		setTimeout(() => done(asked), 6500);
	})`)
	if asked < 2 || asked > 4 { // one, each 2 s
		t.Errorf("in 6.5 s %d answers are asked for that take 0.5 s each", asked)
	}
	if heard := eval[int](b, `heard`); heard < 50 {
		t.Errorf("%d events: too few to prove anything", heard)
	}
	t.Logf("seen after %.0f ms, %d slow answers are asked for in 6.5 s", took, asked)
	b.requireQuiet()
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
	s.fails("db", errAway)
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
