package health_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

func TestThePageIsCalmWhenAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := health.NewLog(0)
		tree := suptest.Start(t, shop(suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{Observer: recent.Observe})
		tree.Sleep(200 * time.Second)
		page := get(health.Admin(tree.Supervisor, health.AdminOptions{Log: recent}), "/").Body.String()
		requireHas(t, page, "<title>All is well · shop</title>", ">All is well<", ">storage<", ">db<", "for 3 min 20 s", "5 up", "Recent events", "Nothing broke.",
			`href="style.css"`, `src="page.js"`, `<noscript><meta http-equiv="refresh"`)
		requireHasNot(t, page, "What broke", `class="error`, `href="/`, `src="/`, "http://", "https://", "style=", "onclick")
	})
}

func TestThePageShowsProblemsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cache := suptest.NewWorker(), suptest.NewWorker()
		tree := suptest.Start(t, shop(db, cache, suptest.NewWorker()), supervisor.Options{})
		h := health.Admin(tree.Supervisor, health.AdminOptions{})
		cache.Impaired(errors.New("slow"))
		requireHas(t, get(h, "/").Body.String(), ">Degraded<", "Ready, but 1 problem.", "impaired", "slow")
		db.AlwaysStarts(suptest.Attempt{Err: errRefused})
		db.Fail(errRefused)
		page := get(h, "/").Body.String()
		requireHas(t, page, ">Down<", "Not ready, 2 problems.", "backing off", "attempt 1", "next start in 0.1 s", "1 of 5 restarts used", errRefused.Error(),
			`readyz <strong class="bad">no</strong>`, `livez <strong class="fine">ok</strong>`)
		problems, tree2, _ := strings.Cut(page, `id="tree-title"`)
		if d, c := strings.Index(problems, ">shop/storage/db<"), strings.Index(problems, ">shop/storage/cache<"); d < 0 || c < d {
			t.Errorf("db at %d, cache at %d", d, c)
		}
		requireHas(t, tree2, ">db<", ">http<")
		fragment := get(h, "/fragment").Body.String()
		requireHas(t, fragment, ">shop/storage/db<", errRefused.Error(), `data-left="next start in %s"></time>`, `data-past="for %s"></time>`) // the words are the module's
		requireHasNot(t, fragment, "<html", "<form")
	})
}

func TestThePageNamesWhatStartingWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cache := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Hang: true}), suptest.NewWorker().AlwaysStarts(suptest.Attempt{Err: errRefused})
		spec := shop(db, cache, suptest.NewWorker())
		spec.Children[0].Concurrent = true
		tree := suptest.Start(t, spec, supervisor.Options{})
		page := get(health.Admin(tree.Supervisor, health.AdminOptions{}), "/").Body.String()
		requireHas(t, page, ">Starting</span>", ">shop/storage/db starting<", `pending</span><span class="fact">waits for others<`)
	})
}

func TestThePageTellsEveryPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sup, err := supervisor.New(pool(2, idle), supervisor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		requireHas(t, get(health.Admin(sup, health.AdminOptions{}), "/").Body.String(), ">Not started<")

		tree := suptest.Start(t, pool(2, idle), supervisor.Options{DrainDelay: time.Second})
		h := health.Admin(tree.Supervisor, health.AdminOptions{})
		tree.Cancel()
		requireHas(t, get(h, "/").Body.String(), ">Draining<")
		if err := tree.Wait(); err != nil {
			t.Error(err)
		}
		requireHas(t, get(h, "/").Body.String(), ">Stopped<")

		fails := func(context.Context, func()) error { return fmt.Errorf("%w: %w", supervisor.ErrEscalate, errRefused) }
		tree = suptest.Start(t, pool(2, fails), supervisor.Options{})
		if err := tree.Wait(); err == nil {
			t.Error("no error")
		}
		requireHas(t, get(health.Admin(tree.Supervisor, health.AdminOptions{}), "/").Body.String(), ">Gave up<", errRefused.Error())
	})
}

// Whatever holds text of others is escaped: names, errors, stacks, events.
func TestThePageEscapesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const evil = `<img src=x onerror="alert(1)">`
		w, recent := suptest.NewWorker(), health.NewLog(0)
		fails := func(context.Context, func()) error { return errors.New("<script>alert(1)") }
		spec := supervisor.Spec{Name: "'><b>", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
			w.Spec(evil), {Name: `"><script>x`, Children: []supervisor.Spec{{Name: "worker", Run: idle}}}, {Name: "fails", Run: fails},
		}}
		tree := suptest.Start(t, spec, supervisor.Options{Observer: recent.Observe})
		w.Progress("<b>half</b>")
		w.Panic("</pre><script>")
		page := get(health.Admin(tree.Supervisor, health.AdminOptions{Log: recent}), "/").Body.String()
		requireHas(t, page, "decided: &#39;&gt;&lt;b&gt;/", "went down with it: &#39;&gt;&lt;b&gt;/&#34;&gt;&lt;script&gt;x", "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;", "&lt;script&gt;alert(1)", `data-key="&#39;&gt;&lt;b&gt;`, "&lt;b&gt;half&lt;/b&gt;, ")
		requireHasNot(t, page, "<img", "<script>", "<b>", `"><script`)
	})
}

// So are the stacks and errors of events, in the list and in the timeline.
func TestThePageEscapesWhatEventsTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const evil, text = `</pre></title><img src=x onerror="alert(1)">`, "&lt;/pre&gt;&lt;/title&gt;&lt;img src=x onerror=&#34;alert(1)&#34;&gt;"
		h := logged(t, 0, time.Second,
			supervisor.Event{Path: "pool/w0", Kind: supervisor.EventAbandoned, Err: errors.New("hangs"), Stack: "goroutine 7: " + evil},
			supervisor.Event{Path: "pool/w0", Kind: supervisor.EventExited, Err: errors.New("fails: " + evil)},
			supervisor.Event{Path: "pool/w0", Kind: supervisor.EventRemedy, Remedy: "remedy: " + evil, Err: errors.New("no")},
		)
		for _, path := range []string{"/", "/fragment"} {
			page := get(h, path).Body.String()
			requireHas(t, page, "<pre>goroutine 7: "+text+"</pre>", `<span class="error">fails: `+text+"</span>", "exited: fails: "+text+"</title>", "<td>fails: "+text+"</td>", "remedy: "+text)
			requireHasNot(t, page, "<img", evil)
		}
	})
}

func TestThePageFoldsLargeTrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := pool(3_001, idle)
		spec.Children[2_500].Run = func(context.Context, func()) error { return errRefused }
		tree := suptest.Start(t, spec, supervisor.Options{})
		page := get(health.Admin(tree.Supervisor, health.AdminOptions{}), "/").Body.String()
		_, rows, _ := strings.Cut(page, `id="tree-title"`)
		requireHas(t, rows, ">w2500<", `<a href="?open=pool">2999 that are well</a>`)
		if n := strings.Count(rows, `class="row"`); n != 2 {
			t.Errorf("%d rows", n)
		}
		_, rows, _ = strings.Cut(get(health.Admin(tree.Supervisor, health.AdminOptions{}), "/?open=pool").Body.String(), `id="tree-title"`)
		if n := strings.Count(rows, `class="row"`); n != 201 {
			t.Errorf("%d rows", n)
		}
		if bad := strings.Index(rows, ">w2500<"); bad < 0 || bad > strings.Index(rows, ">w0<") {
			t.Error("the problem does not come first")
		}
		requireHas(t, rows, ">and 2800 more<")
	})
}

func TestThePageFoldsWideTrees(t *testing.T) {
	var spec supervisor.Spec
	spec.Name = "wide"
	for i := range 25 {
		sub := pool(101, idle)
		sub.Name = fmt.Sprint("s", i)
		spec.Children = append(spec.Children, sub)
	}
	h := health.Admin(running(t, spec, supervisor.Options{}), health.AdminOptions{})
	page := get(h, "/").Body.String()
	if n := strings.Count(page, `class="row"`); n != 26 {
		t.Errorf("%d rows", n)
	}
	requireHas(t, page, `<a href="?open=wide%2Fs0">100 that are well</a>`)
	var open strings.Builder
	for i := range 25 {
		fmt.Fprintf(&open, "open=wide/s%d&", i)
	}
	page = get(h, "/?"+open.String()).Body.String()
	if n := strings.Count(page, `class="row"`); n != 2_000 {
		t.Errorf("%d rows of 2,526", n)
	}
	requireHas(t, page, "more</li>")
}

// Contrast as WCAG 2.2 computes it, of every text colour on every ground; and of
// what is old, which is grey.
func TestTheColoursCanBeRead(t *testing.T) {
	css, err := os.ReadFile("web/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, _ := strings.Cut(string(css), "prefers-color-scheme: dark")
	if regexp.MustCompile(`\.stale \{[^}]*opacity`).Match(css) || !regexp.MustCompile(`\.stale \{[^}]*grayscale\(1\)`).Match(css) {
		t.Error("what is old is not grey, or is faint")
	}
	for theme, text := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]rgb{}
		for _, m := range regexp.MustCompile(`--(\w+): #(\w{6});`).FindAllStringSubmatch(text, -1) {
			colours[m[1]] = parse(t, m[2])
		}
		for _, name := range []string{"text", "soft", "fine", "warn", "bad", "wait", "off", "parked"} {
			for _, ground := range []string{"page", "card", "alarm"} {
				a, b := colours[name], colours[ground]
				if ratio, old := contrast(a, b), contrast(a.grey(), b.grey()); min(ratio, old) < 4.5 {
					t.Errorf("%s: %s on %s has %.2f, old %.2f", theme, name, ground, ratio, old)
				}
			}
		}
	}
}

// rgb is a colour, each part from 0 to 1.
type rgb [3]float64

func parse(t *testing.T, hex string) (c rgb) {
	t.Helper()
	for i := range c {
		v, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c[i] = float64(v) / 255
	}
	return c
}

// grey is what CSS' grayscale(1) makes of it (Filter Effects 1).
func (c rgb) grey() rgb {
	grey := 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2]
	return rgb{grey, grey, grey}
}

func contrast(a, b rgb) float64 {
	la, lb := a.luminance()+0.05, b.luminance()+0.05
	return max(la, lb) / min(la, lb)
}

func (c rgb) luminance() (sum float64) {
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := c[i] / 12.92
		if c[i] > 0.04045 {
			v = math.Pow((c[i]+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

// When thousands of nodes are down the page shows some, and counts the others.
func TestThePageIsBoundedWhenAllIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := supervisor.Spec{Name: "wide", Concurrent: true}
		for i := range 30 {
			sub := pool(101, func(context.Context, func()) error { return errRefused })
			sub.Name = fmt.Sprint("s", i)
			spec.Children = append(spec.Children, sub)
		}
		tree := suptest.Start(t, spec, supervisor.Options{})
		h := health.Admin(tree.Supervisor, health.AdminOptions{})
		for query, want := range map[string]string{"": ">70 more</a>", "?only=problems": "more are like that", "?find=w": "more are like that"} {
			page := get(h, "/"+query).Body.String()
			if n := strings.Count(page, `class="row"`); n != 500 {
				t.Errorf("%q: %d rows", query, n)
			}
			requireHas(t, page, "and 99 more of wide/s29, with the same error", want)
		}
	})
}

// Nor is it large because they have much to say, each something of its own.
func TestThePageStaysSmallWhateverErrorsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec, recent := pool(301, nil), health.NewLog(0)
		for i := range spec.Children {
			err := fmt.Errorf("%d: %s", i, strings.Repeat("long ", 9<<10/5))
			spec.Children[i].Run = func(context.Context, func()) error { return err }
		}
		tree := suptest.Start(t, spec, supervisor.Options{Observer: recent.Observe})
		tree.Sleep(10 * time.Second)
		h := health.Admin(tree.Supervisor, health.AdminOptions{Log: recent})
		for _, query := range []string{"", "?only=problems", "?open=pool"} {
			if n := get(h, "/fragment"+query).Body.Len(); n > 2_000_000 {
				t.Errorf("%q: %d bytes", query, n)
			}
		}
	})
}

// Children that fail for one reason are one thing that broke; those with reasons
// of their own are others.
func TestThePageTellsTheSameOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := pool(6, func(context.Context, func()) error { return errRefused })
		spec.Children[3].Run = func(context.Context, func()) error { return errors.New("another") }
		tree := suptest.Start(t, spec, supervisor.Options{})
		page := get(health.Admin(tree.Supervisor, health.AdminOptions{}), "/").Body.String()
		if n := strings.Count(page, `<li class="card`); n != 2 {
			t.Errorf("%d cards", n)
		}
		requireHas(t, page, `data-key="pool/w0"`, "and 3 more of pool, with the same error", `data-key="pool/w3"`, "another")
		requireHasNot(t, page, "find them in the tree")
	})
}
