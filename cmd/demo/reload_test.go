package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/supervisor"
)

func TestSettingsAreReadWithTheirDefaults(t *testing.T) {
	for text, want := range map[string]settings{
		`{}`: defaultSettings,
		`{"workers": 7, "prices": "1m", "sweep": "300ms", "report": "10s"}`: {7, time.Minute, 300 * time.Millisecond, 10 * time.Second},
		" {\n\"report\":\"24h\"}\n":                                         {defaultSettings.workers, defaultSettings.prices, defaultSettings.sweep, 24 * time.Hour},
	} {
		if got, err := parseSettings("shop.json", []byte(text)); err != nil || got != want {
			t.Errorf("%s: %+v (%v), want %+v", text, got, err, want)
		}
	}
}

func TestEveryFaultOfTheSettingsIsToldWithItsLine(t *testing.T) {
	for text, want := range map[string][]string{
		"{\n\"workers\": 0,\n\"prices\": \"2\",\n\"nope\": 1,\n\"sweep\": \"1ms\",\n\"report\": 5\n}": {
			`shop.json:2: "workers" is 0; use`, `shop.json:3: "prices" is "2"; use`, `shop.json:4: "nope" is unknown; there are`, `shop.json:5: "sweep"`, `shop.json:6: "report" is 5`},
		``:                              {"shop.json:1: it is no JSON object"},
		`[]`:                            {"shop.json:1: it is no JSON object"},
		"{\n\"workers\":":               {"shop.json:2: it is no JSON"},
		`{"workers": 2`:                 {"it is no JSON"},
		`{"workers": 2} {}`:             {"there is more"},
		`{}]`:                           {"there is more"},
		`{"workers": 2, "workers": 3}`:  {`"workers" is there twice`},
		`{"workers": 99}`:               {"from 1 to 64"},
		`{"workers": "many"}`:           {"from 1 to 64"},
		`{"prices": "9999999999h"}`:     {`from "100ms" to "24h"`},
		`{"report": "-1s"}`:             {`from "100ms" to "24h"`},
		"{\"workers\": 1.5, \"x\": {}}": {"from 1 to 64", `"x" is unknown`},
	} {
		_, err := parseSettings("shop.json", []byte(text))
		if err == nil {
			t.Errorf("%q is accepted", text)
			continue
		}
		if n := len(strings.Split(err.Error(), "\n")); n != len(want) {
			t.Errorf("%q has %d faults, want %d:\n%v", text, n, len(want), err)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q: it is not told that %s:\n%v", text, w, err)
			}
		}
	}
}

// FuzzSettings: what is accepted is within its bounds, whatever is in the file.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"workers": 7, "prices": "1m", "sweep": "300ms", "report": "10s"}`))
	f.Add([]byte("{\n\"workers\": 0,\n\"nope\": [1, {}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseSettings("shop.json", text)
		if err != nil {
			return
		}
		within := func(d time.Duration) bool { return d >= 100*time.Millisecond && d <= 24*time.Hour }
		if s.workers < 1 || s.workers > 64 || !within(s.prices) || !within(s.sweep) || s.report != 0 && !within(s.report) || !json.Valid(text) {
			t.Errorf("%q gives %+v", text, s)
		}
	})
}

// node is what the admin side says of one.
type node struct {
	Path        string `json:"path"`
	Status      string `json:"status"`
	Incarnation int    `json:"incarnation"`
	Abandoned   int    `json:"abandoned"`
	Children    []node `json:"children"`
}

// incarnations returns those of every node, by path.
func (d *demo) incarnations() map[string]int {
	d.t.Helper()
	var tree struct{ Root node }
	if r := d.get(d.admin + "/tree"); json.Unmarshal([]byte(r.body), &tree) != nil {
		d.t.Fatalf("GET /tree: %+v", r)
	}
	found := map[string]int{}
	var walk func(node)
	walk = func(n node) {
		found[n.Path] = n.Incarnation
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(tree.Root)
	return found
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSIGHUPReloadsAndLeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.json")
	write(t, file, `{"workers": 2}`)
	d := startReady(t, "-load", "20", "-config", file)
	before := d.incarnations()
	if _, ok := before["shop/workers/2"]; !ok || len(before) == 0 {
		t.Fatalf("the tree has %v", before)
	}

	write(t, file, `{"workers": 3, "prices": "1s", "report": "100ms"}`)
	d.signal(syscall.SIGHUP)
	d.until("it is reloaded", func() bool { return len(d.logged("reloaded")) == 1 })
	d.until("the report is there", func() bool { return len(d.logged("sales so far")) > 0 })
	after := d.incarnations()
	for path, incarnation := range after {
		if was, ok := before[path]; ok && path != "shop/jobs/prices" && incarnation != was {
			t.Errorf("%s was restarted, though nothing of it has changed", path)
		}
	}
	if after["shop/jobs/prices"] != 2 || after["shop/jobs/report"] != 1 || after["shop/workers/3"] != 1 {
		t.Errorf("the tree has not what the settings say: %v", after)
	}
	for _, change := range []string{"start shop/workers/3", "start shop/jobs/report", `restart shop/jobs/prices: Revision was \"2s\", is \"1s\"`} {
		if !strings.Contains(d.out.String(), change) {
			t.Errorf("the log does not tell %s", change)
		}
	}
	d.keepsTheLastGood(file, after)
	for _, workers := range []string{"2", "5"} { // the second while the first is read, or applied
		write(t, file, `{"workers": `+workers+`}`)
		d.signal(syscall.SIGHUP)
	}
	d.until("the last settings hold", func() bool { return d.incarnations()["shop/workers/5"] == 1 })
	d.signal(syscall.SIGTERM)
	if code := d.exit(10 * time.Second); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
}

// keepsTheLastGood breaks the file, and mends it.
func (d *demo) keepsTheLastGood(file string, want map[string]int) {
	d.t.Helper()
	write(d.t, file, "{\"workers\": 1,\n\"report\": never}")
	d.signal(syscall.SIGHUP)
	const refusal = "not reloaded: the last good settings hold"
	d.until("it says so", func() bool { return slices.Contains(d.logged(refusal), "-") })
	if !strings.Contains(d.out.String(), "shop.json:2: it is no JSON") {
		d.t.Error("it is not told where the fault is")
	}
	if got := d.incarnations(); got["shop/workers/3"] != want["shop/workers/3"] || got["shop/jobs/report"] != want["shop/jobs/report"] {
		d.t.Errorf("a bad file changed the tree: %v", got)
	}
	write(d.t, file, `{"workers": 1}`)
	d.signal(syscall.SIGHUP)
	d.until("it is reloaded again", func() bool { return len(d.logged("reloaded")) == 2 })
	got := d.incarnations()
	if _, there := got["shop/workers/2"]; there {
		d.t.Errorf("workers that are not wanted any more are still there: %v", got)
	}
	if _, there := got["shop/jobs/report"]; there {
		d.t.Errorf("the report is still there: %v", got)
	}
}

func TestBadSettingsAreToldBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.json")
	write(t, file, "{\"workers\": 0,\n\"colour\": 1}")
	for config, want := range map[string][]string{
		file:           {`shop.json:1: "workers" is 0`, `shop.json:2: "colour" is unknown`},
		file + ".nope": {"no such file"},
		os.TempDir():   {"is a directory"},
		"/dev/zero":    {"zero has more than 65536 bytes"},
	} {
		code, out := execute(t, "-config", config, "-addr", freeAddr(t), "-probes", freeAddr(t), "-admin", freeAddr(t))
		if code != exitUsage || strings.Count(out, "\n") != len(want) {
			t.Errorf("exit code %d, want %d, and %d lines, got:\n%s", code, exitUsage, len(want), out)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("it is not told that %s:\n%s", w, out)
			}
		}
	}
}

func TestSIGHUPBeforeItRunsIsRefusedClearly(t *testing.T) {
	cfg, _, err := parse([]string{"-addr", freeAddr(t), "-probes", freeAddr(t), "-admin", freeAddr(t), "-config", filepath.Join(t.TempDir(), "shop.json")}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	write(t, cfg.config, `{"workers": 2}`)
	var told output
	p, err := newProgram(cfg, zerolog.Nop(), func(supervisor.Event) {})
	defer p.close()
	if err != nil {
		t.Fatal(err)
	}
	write(t, cfg.config, `{"workers": 3}`)
	p.reload(t.Context(), zerolog.New(&told))
	if got := told.String(); !strings.Contains(got, "not reloaded: the shop does not run yet") || strings.Contains(got, "last good") {
		t.Errorf("it is told:\n%s", got)
	}
}

// A poisoned cache is purged, and not restarted for it; and its entries are
// served to nobody.
func TestAPoisonedCacheIsPurged(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0")
	d.until("prices are there", func() bool { return d.get(d.shop+"/prices").code == http.StatusOK })
	before := d.incarnations()
	d.chaos("poison")
	said := func(what string) func() bool {
		return func() bool {
			if r := d.get(d.shop + "/prices"); r.code != http.StatusOK || strings.Contains(r.body, `"cents":1}`) {
				t.Errorf("poison is served: %+v", r)
			}
			return slices.Contains(d.logged(what), "shop/storage/cache/client")
		}
	}
	d.until("it is seen", said("impaired"))
	d.until("it is purged", said("remedy"))
	d.until("all is well", said("recovered"))
	for path, incarnation := range d.incarnations() {
		if incarnation != before[path] {
			t.Errorf("%s was restarted", path)
		}
	}
}

// What flaps is parked, and nothing else is the worse for it.
func TestAFlappingFeedIsParkedAndBothersNobody(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "20")
	before := d.incarnations()
	d.chaos("flap")
	d.until("it is parked", func() bool { return slices.Contains(d.logged("parked"), "shop/jobs/feed") })
	if !d.ready() {
		t.Error("the shop is not ready without its feed, which it can do without")
	}
	d.until("it is back", func() bool { return d.get(d.probes+"/readyz/shop/jobs/feed").code == http.StatusOK })
	for path, incarnation := range d.incarnations() {
		if path != "shop/jobs/feed" && incarnation != before[path] {
			t.Errorf("%s was restarted", path)
		}
	}
	d.signal(syscall.SIGTERM)
	d.exit(10 * time.Second)
	if n := strings.Count(d.out.String(), "shop/jobs/feed#1: feed: unavailable"); n != 1 {
		t.Errorf("it is told as %d incidents, want 1", n)
	}
}
