package health_test

import (
	"errors"
	"fmt"
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
