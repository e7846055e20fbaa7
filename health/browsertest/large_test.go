package browsertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

// tenThousand is a tree of ten pools of 999 workers.
func tenThousand(run supervisor.RunFunc) supervisor.Spec {
	spec := supervisor.Spec{Name: "large", Concurrent: true, Intensity: supervisor.Unlimited}
	for i := range 10 {
		pool := supervisor.Spec{Name: fmt.Sprint("pool", i), Concurrent: true, Intensity: supervisor.Unlimited}
		for j := range 999 {
			pool.Children = append(pool.Children, supervisor.Spec{Name: fmt.Sprint("w", j), Run: run})
		}
		spec.Children = append(spec.Children, pool)
	}
	return spec
}

// update is how long an update takes, from the question to the page that is
// changed, in milliseconds: the median of some.
func (b *browser) update() float64 {
	b.t.Helper()
	return eval[float64](b, `(async () => {
		const times = [];
		for (let n = 0; n < 9; n++) {
			const began = performance.now();
			document.querySelector("form.ask").dispatchEvent(new Event("submit", { cancelable: true }));
			await new Promise(done => new MutationObserver((_, o) => (o.disconnect(), done())).observe(document.querySelector("header"), { attributes: true }));
			times.push(performance.now() - began);
		}
		return times.sort((a, b) => a - b)[4];
	})()`)
}

// requireBelow fails the test if something took, or weighs, ten times as much as it
// did when docs/page.md was written: less may be the machine's.
func requireBelow(t *testing.T, what string, got, most float64) {
	t.Helper()
	if got > most {
		t.Errorf("%s: %.0f, more than %.0f", what, got, most)
	}
}

const sizeOf = `fetch("fragment").then(r => r.text()).then(t => t.length)`

// TestTenThousandNodesDown: a page about a tree that is down as a whole, and that
// tries to get up all the time, stays one that can be used.
func TestTenThousandNodesDown(t *testing.T) {
	b, s, down := browse(t), &shop{broken: map[string]error{}}, make(chan struct{})
	s.run(t, tenThousand(func(ctx context.Context, ready func()) error {
		select {
		case <-down:
			return errAway
		default:
		}
		ready()
		select {
		case <-down:
			return errAway
		case <-ctx.Done():
			return nil
		}
	}), health.AdminOptions{})
	b.open(s.url, "light", 1280)
	b.await(`document.querySelector("[role=tree]")`)
	close(down)
	began := time.Now()
	b.await(`document.querySelectorAll(".card.bad").length === 10 && document.body.textContent.includes("and 998 more of large/pool9, with the same error")`)
	seen, update, size := float64(time.Since(began).Milliseconds()), b.update(), eval[float64](b, sizeOf)
	t.Logf("10,000 nodes fail: seen after %.0f ms, an update is %.0f KB and takes %.0f ms", seen, size/1000, update)
	requireBelow(t, "ms until it is seen", seen, 6000)
	requireBelow(t, "ms for an update", update, 3000)
	requireBelow(t, "bytes of an update", size, 2_000_000)
	if n := eval[int](b, `document.querySelectorAll("[role=treeitem]").length`); n > 511 {
		t.Errorf("%d rows", n)
	}
	b.await(`document.getElementById("link").textContent.startsWith("Live")`)
	b.shoot("large-down")
	b.requireQuiet()
}

// TestTenThousandNodes: what is well folds, what is not is seen, what is asked
// for unfolds, and neither the first paint nor an update takes long.
func TestTenThousandNodes(t *testing.T) {
	b, s := browse(t), &shop{broken: map[string]error{}}
	spec := tenThousand(s.idle)
	spec.Children[7].Children[500] = s.worker("w500")
	s.run(t, spec, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	b.await(`document.querySelector("[role=tree]") && performance.getEntriesByName("first-contentful-paint").length > 0`)
	paint := eval[float64](b, `performance.getEntriesByName("first-contentful-paint")[0].startTime`)
	items := `document.querySelectorAll("[role=treeitem]").length`
	if n := eval[int](b, items); n != 21 {
		t.Errorf("%d rows while all is well", n)
	}
	size := eval[float64](b, sizeOf)
	s.breaks("w500", errAway)
	b.await(`document.querySelector(".card.bad .name")?.textContent === "large/pool7/w500" && document.querySelector(".tree .row .bad")`)
	if n := eval[int](b, items); n != 22 {
		t.Errorf("%d rows with one that is down", n)
	}
	eval[any](b, `document.querySelector("[role=treeitem] [href$='pool3']").click()`)
	b.await(items + ` === 222`)
	update := b.update()
	t.Logf("10,000 nodes: first paint after %.0f ms, a calm update is %.0f KB, one with a pool of 999 unfolded takes %.0f ms", paint, size/1000, update)
	requireBelow(t, "ms until the first paint", paint, 2000)
	requireBelow(t, "ms for an update", update, 500)
	requireBelow(t, "bytes of a calm update", size, 100_000)
	b.shoot("large")
	b.requireQuiet()
}
