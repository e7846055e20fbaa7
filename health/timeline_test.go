package health_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// timeline returns the lanes of a page, and the rows of the table beside them,
// as text.
func timeline(t *testing.T, page string) (lanes []string, table string) {
	t.Helper()
	_, rest, _ := strings.Cut(page, `id="timeline-title"`)
	rest, _, _ = strings.Cut(rest, "</section>")
	drawn, table, _ := strings.Cut(rest, "<tbody>")
	return strings.Split(drawn, `class="lane"`)[1:], table
}

// A crash is a mark, what follows from it are spans, and each node has a lane,
// what was in most trouble first; the table says the same.
func TestTheTimelineTellsTheLastQuarterOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := health.NewLog(0)
		db, cache := suptest.NewWorker(), suptest.NewWorker()
		tree := suptest.Start(t, shop(db, cache, suptest.NewWorker()), supervisor.Options{Observer: recent.Observe})
		h := health.Admin(tree.Supervisor, health.AdminOptions{Log: recent})
		tree.Sleep(10 * time.Minute)
		cache.Impaired(errors.New("slow"))
		tree.Sleep(time.Minute)
		cache.Impaired(nil)
		db.AlwaysStarts(suptest.Attempt{Err: errRefused})
		db.Fail(errRefused)
		tree.Sleep(time.Minute)
		page := get(h, "/").Body.String()
		lanes, table := timeline(t, page)
		if len(lanes) != 2 {
			t.Fatalf("%d lanes", len(lanes))
		}
		requireHas(t, lanes[0], ">storage/db<", `class="mark crash"`, `class="span backoff"`, `<rect class="incident"`, "incident 1, open")
		requireHas(t, lanes[1], ">storage/cache<", `class="span warn" x="86.11%"`, `width="6.67%"`, "impaired: slow", `class="mark flip"`)
		drawn := regexp.MustCompile(`<(rect|use) `).FindAllString(strings.Join(lanes, ""), -1)
		if rows := strings.Count(table, "<tr>"); rows != len(drawn) || rows < 10 {
			t.Errorf("%d things are drawn, %d are in the table", len(drawn), rows)
		}
		requireHas(t, table, "<td>shop/storage/cache</td><td>00:10:00.000</td><td>00:11:00.000</td><td>impaired</td><td>slow</td>")
		cache.Impaired(errors.New("slow again"))
		db.AlwaysStarts(suptest.Attempt{})
		tree.Sleep(20 * time.Minute)
		if lanes, _ := timeline(t, get(h, "/").Body.String()); len(lanes) != 1 || !strings.Contains(lanes[0], `width="100`) && !strings.Contains(lanes[0], `x="0.00%"`) {
			t.Errorf("what goes on since long ago is not there: %v", lanes)
		}
		cache.Impaired(nil)
		tree.Sleep(16 * time.Minute)
		if lanes, _ := timeline(t, get(h, "/").Body.String()); len(lanes) != 0 {
			t.Errorf("after 16 minutes: %v", lanes)
		}
	})
}

func TestTheTimelineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := health.NewLog(0)
		tree := suptest.Start(t, pool(2, idle), supervisor.Options{})
		for i := range 5_000 {
			recent.Observe(supervisor.Event{Seq: uint64(i + 1), Time: time.Now(), Path: fmt.Sprint("pool/w", i%50), Kind: supervisor.EventExited, Err: errRefused})
			time.Sleep(10 * time.Millisecond)
		}
		page := get(health.Admin(tree.Supervisor, health.AdminOptions{Log: recent}), "/").Body.String()
		lanes, _ := timeline(t, page)
		if len(lanes) != 12 || len(page) > 600_000 {
			t.Errorf("%d lanes, %d bytes", len(lanes), len(page))
		}
		requireHas(t, page, "and 38 more, to which less happened")
	})
}

// logged returns an admin side whose log was told what happened, each event so
// long after the one before.
func logged(t *testing.T, keeps int, pace time.Duration, events ...supervisor.Event) http.Handler {
	t.Helper()
	recent := health.NewLog(keeps)
	tree := suptest.Start(t, pool(2, idle), supervisor.Options{})
	for i, e := range events {
		time.Sleep(pace)
		e.Seq, e.Time = uint64(i+1), time.Now()
		recent.Observe(e)
	}
	return health.Admin(tree.Supervisor, health.AdminOptions{Log: recent})
}

// Nothing is said of a time whose events are forgotten, but that.
func TestTheTimelineSaysHowFarBackItReaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crash := supervisor.Event{Path: "pool/w0", Kind: supervisor.EventExited, Err: errRefused}
		ready := supervisor.Event{Path: "pool/w0", Kind: supervisor.EventReady}
		const only = "Reaches back to 00:02:00 (UTC) only: older events are forgotten."

		h := logged(t, 3, time.Minute, crash, ready, ready, ready) // from 00:01 to 00:04
		requireHas(t, get(h, "/").Body.String(), only, "Nothing broke since.")
		requireHasNot(t, get(h, "/").Body.String(), "Nothing broke.")
		time.Sleep(15 * time.Minute) // all of that is over
		requireHas(t, get(h, "/").Body.String(), "Nothing broke.")
		requireHasNot(t, get(h, "/").Body.String(), "Reaches back")
	})
	synctest.Test(t, func(t *testing.T) {
		crash := supervisor.Event{Path: "pool/w0", Kind: supervisor.EventExited, Err: errRefused}
		h := logged(t, 3, time.Minute, crash, crash, crash, crash)
		page := get(h, "/").Body.String()
		requireHas(t, page, "<caption>The last 15 minutes. Reaches back to 00:02:00 (UTC) only: older events are forgotten.</caption>")
		lanes, table := timeline(t, page)
		requireHas(t, lanes[0], `class="span forgotten" x="0.00%" y="7" width="86.11%"`)
		requireHas(t, table, "<td>23:49:05.000</td><td>00:02:00.000</td><td>not known: older events are forgotten</td>")
	})
	synctest.Test(t, func(t *testing.T) {
		crash := supervisor.Event{Path: "pool/w0", Kind: supervisor.EventExited, Err: errRefused}
		h := logged(t, 4, time.Minute, crash, crash, crash, crash)
		requireHasNot(t, get(h, "/").Body.String(), "Reaches back", "forgotten") // none is
	})
}

// A lane that holds too much leaves out what was first, and says so.
func TestALaneSaysWhatItLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []supervisor.Event
		for range 300 {
			events = append(events, supervisor.Event{Path: "pool/w0", Kind: supervisor.EventExited, Err: errRefused}, supervisor.Event{Path: "pool/w0", Kind: supervisor.EventReady})
		}
		lanes, table := timeline(t, get(logged(t, 0, time.Second, events...), "/").Body.String())
		requireHas(t, lanes[0], `class="span forgotten"`)
		requireHas(t, table, "left out: too much has happened since")
		_, last, _ := strings.Cut(table, "left out")
		requireHas(t, last, "<td>00:09:59.000</td><td>00:10:00.000</td><td>down</td>", "<td>00:09:59.000</td><td></td><td>exited</td>")
		requireHasNot(t, last, "<td>00:01:")
	})
}

// Errors are told short here, so that an update of the page stays small.
func TestTheTimelineStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []supervisor.Event
		for i := range 2_000 {
			err := fmt.Errorf("%d: %s", i, strings.Repeat("long ", 9<<10/5))
			events = append(events, supervisor.Event{Path: fmt.Sprint("pool/w", i%12), Kind: supervisor.EventExited, Err: err})
		}
		fragment := get(logged(t, 0, 100*time.Millisecond, events...), "/fragment").Body.String()
		lanes, table := timeline(t, fragment)
		if len(lanes) != 12 || len(fragment) > 2_000_000 {
			t.Errorf("%d lanes, %d bytes", len(lanes), len(fragment))
		}
		requireHas(t, table, "<td>1999: long long ", "… (cut)</td>")
	})
}

// A job that is done is no trouble: it has no lane, and takes none from others.
func TestAJobThatIsDoneIsNoTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []supervisor.Event
		for i := range 100 {
			events = append(events, supervisor.Event{Path: fmt.Sprint("pool/job", i%20), Kind: supervisor.EventExited})
		}
		requireHas(t, get(logged(t, 0, time.Second, events...), "/").Body.String(), "Nothing broke.")

		events = append(events, supervisor.Event{Path: "pool/cache", Kind: supervisor.EventImpaired, Err: errors.New("slow")})
		page := get(logged(t, 0, time.Second, events...), "/").Body.String()
		if lanes, _ := timeline(t, page); len(lanes) != 1 || !strings.Contains(lanes[0], ">cache<") {
			t.Errorf("%d lanes: %v", len(lanes), lanes)
		}
		requireHasNot(t, page, "to which less happened")
	})
}

// A worker that must not end, and ends without an error all the same, is in
// trouble.
func TestAnEndThatIsNoneIsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent, db := health.NewLog(0), suptest.NewWorker()
		tree := suptest.Start(t, shop(db, suptest.NewWorker(), suptest.NewWorker()), supervisor.Options{Observer: recent.Observe})
		db.Return()
		tree.Sleep(time.Minute)
		lanes, _ := timeline(t, get(health.Admin(tree.Supervisor, health.AdminOptions{Log: recent}), "/").Body.String())
		if len(lanes) == 0 || !strings.Contains(lanes[0], ">storage/db<") {
			t.Errorf("%v", lanes)
		}
	})
}

// What is searched for is found with what is above it, whatever the case, and
// a search does not fold.
func TestFindingNodes(t *testing.T) {
	sup := running(t, pool(101, idle), supervisor.Options{})
	h := health.Admin(sup, health.AdminOptions{})
	rows := func(query string) []string {
		_, tree, _ := strings.Cut(get(h, "/?"+query).Body.String(), `id="tree-title"`)
		var names []string
		for _, m := range regexp.MustCompile(`class="name">([^<]*)<`).FindAllStringSubmatch(tree, -1) {
			names = append(names, m[1])
		}
		return names
	}
	for query, want := range map[string]string{
		"find=W77": "[pool w77]", "find=l/w99&only=": "[pool w99]", "find=nope": "[]", "only=problems": "[]", "find=+": "[pool]", "": "[pool]",
	} {
		if got := fmt.Sprint(rows(query)); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if n := len(rows("find=w")); n != 101 {
		t.Errorf("%d of 101", n)
	}
	if err := sup.Stop(t.Context(), "pool/w5"); err != nil {
		t.Fatal(err)
	}
	requireHas(t, get(h, "/?find=x&find=%22%3E%3Cq%3E").Body.String(), "No node is like that.", `value="x"`)
	requireHasNot(t, get(h, "/?find=%22%3E%3Cq%3E").Body.String(), "<q>")
	for _, query := range []string{"", "only=problems"} {
		if got := fmt.Sprint(rows(query)); got != "[pool w5]" {
			t.Errorf("with one that is stopped, %q: %s", query, got)
		}
	}
}
