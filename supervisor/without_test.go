package supervisor_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// TestStatusWithout: what is left out counts as Up, at whatever depth, whole or
// in part, with a quorum and without; what is not there changes nothing.
func TestStatusWithout(t *testing.T) { // S37
	synctest.Test(t, func(t *testing.T) {
		a, b, c := suptest.NewWorker(), suptest.NewWorker(), suptest.NewWorker()
		optional := b.Spec("b")
		optional.Optional = true
		tree := suptest.Start(t, supervisor.Spec{Name: "app", Children: []supervisor.Spec{
			{Name: "left", Children: []supervisor.Spec{a.Spec("a"), optional}},
			{Name: "right", Quorum: 1, Children: []supervisor.Spec{c.Spec("c")}},
		}}, supervisor.Options{})
		want := func(path string, status supervisor.Status, without ...string) {
			t.Helper()
			if got, err := tree.StatusOf(path, without...); got != status || err != nil {
				t.Errorf("%s without %v is %v, %v; want %v", path, without, got, err, status)
			}
		}
		want("app", supervisor.Up, "app/left", "app/right/c", "app/nope")
		for _, w := range []*suptest.Worker{a, b, c} {
			w.AlwaysStarts(suptest.Attempt{Err: errors.New("down")})
			w.Fail(errors.New("down"))
		}
		want("app", supervisor.Down)
		want("app", supervisor.Down, "app/left")
		want("app", supervisor.Down, "app/right", "app/left/b", "left/a", "app/left/a/x", "")
		want("app", supervisor.Degraded, "app/right/c", "app/left/a")
		want("app", supervisor.Up, "app/right", "app/left/a", "app/left", "app/left/b")
		want("app/left", supervisor.Degraded, "app/left/a")
		want("app/left", supervisor.Down, "app", "app/left")
		want("app/left/a", supervisor.Down, "app/left/b")
		for without, total := range map[string]int{"app/nope": 3, "app/left": 1, "app/left/a": 2, "app/right/c": 2} {
			if nodes, n := tree.Ailing(supervisor.Down, 9, without); n != total || len(nodes) != total {
				t.Errorf("without %s: %d of %d nodes ail", without, len(nodes), n)
			}
		}
	})
}

// TestStatusWithoutAllocatesAsThePathIsDeep, and looks at no sibling.
func TestStatusWithoutAllocatesAsThePathIsDeep(t *testing.T) { // S37
	allocs := func(t *testing.T, n int) float64 {
		var spec supervisor.Spec
		spec.Name = "app"
		for i := range n {
			spec.Children = append(spec.Children, supervisor.Spec{Name: fmt.Sprint(i), Run: suptest.NewWorker().Run})
		}
		tree := suptest.Start(t, spec, supervisor.Options{})
		return testing.AllocsPerRun(20, func() { _, _ = tree.StatusOf("app", "app/1") })
	}
	synctest.Test(t, func(t *testing.T) {
		if few, many := allocs(t, 3), allocs(t, 300); few != many {
			t.Errorf("%v allocations among 3, %v among 300", few, many)
		}
	})
}
