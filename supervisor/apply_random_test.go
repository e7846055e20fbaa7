package supervisor_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// TestApplyMakesTheTreeThatNewWould: over random trees, after random calls.
// What Diff says beforehand is what happens, and all that happens; the same
// Spec again changes nothing.
func TestApplyMakesTheTreeThatNewWould(t *testing.T) { // S31
	for seed := range uint64(scale(500, 10)) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 31))
			x := randomTree(random, "app", 3)
			y := changed(random, x)
			tree := suptest.Start(t, x, supervisor.Options{})
			tree.Settle()
			c := &comparison{t: t, seed: seed, x: x, y: y, asked: callsBefore(t, tree, random)}
			before := nodes(tree.Snapshot())
			diff, err := tree.Diff(y)
			if err != nil {
				t.Fatalf("seed %d: Diff: %v", seed, err)
			}
			if now := nodes(tree.Snapshot()); !reflect.DeepEqual(now, before) {
				t.Errorf("seed %d: Diff has changed the tree", seed)
			}
			tree.Forget()
			mustApply(t, tree, y)
			c.happened(before, nodes(tree.Snapshot()), diff, tree.Events())
			c.isLike(tree.Snapshot(), suptest.Start(t, y, supervisor.Options{}).Snapshot())
			c.again(tree)
			if t.Failed() {
				t.Fatalf("seed %d:\n%v", seed, diff)
			}
		})
	}
}

// randomTree is a supervisor of that depth at most.
func randomTree(random *rand.Rand, name string, depth int) supervisor.Spec {
	s := supervisor.Spec{Name: name, Children: []supervisor.Spec{}}
	for _, i := range random.Perm(7)[:random.IntN(6)] {
		s.Children = append(s.Children, randomNode(random, string(rune('a'+i)), depth-1))
	}
	randomPolicy(random, &s)
	return s
}

func randomNode(random *rand.Rand, name string, depth int) supervisor.Spec {
	if depth > 0 && random.IntN(3) == 0 {
		return randomTree(random, name, depth)
	}
	s := supervisor.Spec{Name: name, Run: supervisor.Func(idle)}
	randomPolicy(random, &s)
	return s
}

// randomPolicy changes everything about a node but what it is.
func randomPolicy(random *rand.Rand, s *supervisor.Spec) {
	s.Optional, s.StopTimeout = random.IntN(4) == 0, time.Duration(random.IntN(3))*time.Hour
	s.Restart = supervisor.Restart(random.IntN(3))
	s.Backoff.Min = time.Duration(random.IntN(2)) * time.Second
	if s.Children == nil {
		return
	}
	s.Strategy, s.Strict, s.Concurrent = supervisor.Strategy(random.IntN(4)), random.IntN(5) == 0, random.IntN(3) == 0
	s.Strict = s.Strict && s.Strategy != supervisor.DependentsForOne
	s.Concurrent = s.Concurrent && s.Strategy == supervisor.OneForOne
	s.Intensity = supervisor.Intensity{Restarts: random.IntN(9), Within: time.Hour}
	s.Quorum = random.IntN(len(s.Children) + 1)
	for i := range s.Children {
		s.Children[i].DependsOn = nil
		for _, on := range s.Children {
			if on.Name < s.Children[i].Name && s.Strategy == supervisor.DependentsForOne && on.Restart != supervisor.Temporary && random.IntN(3) == 0 {
				s.Children[i].DependsOn = append(s.Children[i].DependsOn, on.Name)
			}
		}
	}
}

// changed is s with changes at any depth: children go, come, change places,
// policies, revisions and kinds.
func changed(random *rand.Rand, s supervisor.Spec) supervisor.Spec {
	var children []supervisor.Spec
	for _, child := range s.Children {
		switch random.IntN(8) {
		case 0:
			continue
		case 1:
			child = randomNode(random, child.Name, 2)
		case 2:
			child.Revision += "'"
		case 3:
			if child.Children == nil {
				randomPolicy(random, &child)
			}
		}
		if child.Children != nil {
			child = changed(random, child)
		}
		children = append(children, child)
	}
	for _, i := range random.Perm(9)[:random.IntN(3)] {
		name := string(rune('a' + i))
		if !slices.ContainsFunc(children, func(c supervisor.Spec) bool { return c.Name == name }) {
			children = slices.Insert(children, random.IntN(len(children)+1), randomNode(random, name, 2))
		}
	}
	if random.IntN(3) == 0 {
		random.Shuffle(len(children), func(i, j int) { children[i], children[j] = children[j], children[i] })
	}
	s.Children = append([]supervisor.Spec{}, children...)
	randomPolicy(random, &s)
	return s
}

// callsBefore stops, removes and adds some; it returns what was asked for.
func callsBefore(t *testing.T, tree *suptest.Tree, random *rand.Rand) map[string]string {
	asked := map[string]string{}
	for _, snap := range slices.Collect(tree.Snapshot().All())[1:] {
		if _, err := tree.Find(snap.Path); err != nil || below(snap.Path, asked) {
			continue
		}
		switch random.IntN(12) {
		case 0:
			asked[snap.Path] = "stopped"
			_ = tree.Stop(t.Context(), snap.Path)
		case 1:
			if tree.Remove(t.Context(), snap.Path) == nil {
				asked[snap.Path] = "removed"
			}
		case 2, 3:
			if snap.Supervisor {
				name := string(rune('a' + random.IntN(12)))
				if path, err := tree.Add(t.Context(), snap.Path, supervisor.Spec{Name: name, Run: supervisor.Func(idle)}); err == nil {
					asked[path] = "added"
				}
			}
		}
	}
	tree.Settle()
	return asked
}

// below reports whether path is below one of those.
func below[V any](path string, of map[string]V) bool {
	for i, r := range path {
		if _, ok := of[path[:i]]; ok && r == '/' {
			return true
		}
	}
	return false
}

func nodes(snap supervisor.Snapshot) map[string]supervisor.Snapshot {
	all := map[string]supervisor.Snapshot{}
	for node := range snap.All() {
		all[node.Path] = node
	}
	return all
}

func mustApply(t *testing.T, tree *suptest.Tree, spec supervisor.Spec) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if err := tree.Apply(ctx, spec); err != nil {
		t.Fatalf("Apply: %v\n%v", err, tree.Snapshot())
	}
	tree.Settle()
}

// A comparison is of what Apply has done with what it should.
type comparison struct {
	t     *testing.T
	seed  uint64
	x, y  supervisor.Spec
	asked map[string]string
}

func (c *comparison) errorf(format string, args ...any) {
	c.t.Helper()
	c.t.Errorf("seed %d: "+format, append([]any{c.seed}, args...)...)
}

// happened: who is there no more was to stop, who is new to start, who is in
// another incarnation to restart; nobody else has noticed anything.
func (c *comparison) happened(before, after map[string]supervisor.Snapshot, diff []supervisor.Change, events []supervisor.Event) {
	said := map[string]supervisor.ChangeKind{}
	for _, change := range diff {
		if _, twice := said[change.Path]; twice {
			c.errorf("Diff names %s twice", change.Path)
		}
		if change.Kind != supervisor.ChangeUpdate {
			said[change.Path] = change.Kind
		}
	}
	did := map[string]supervisor.ChangeKind{}
	for path, was := range before {
		if now, ok := after[path]; !ok {
			did[path] = supervisor.ChangeStop
		} else if now.Incarnation != was.Incarnation {
			did[path] = supervisor.ChangeRestart
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			did[path] = supervisor.ChangeStart
		}
	}
	for path, kind := range did {
		if !below(path, did) && !below(path, c.asked) && said[path] != kind {
			c.errorf("%s of %s, Diff says %q", kind, path, said[path])
		}
	}
	for path, kind := range said {
		if did[path] != kind {
			c.errorf("Diff says %s of %s, there was %q", kind, path, did[path])
		}
	}
	for _, e := range events {
		if _, ok := said[e.Path]; !ok && !below(e.Path, said) && e.Kind != supervisor.EventWarning {
			c.errorf("%v, of which Diff says nothing", e)
		}
	}
	c.untouched(c.x, c.y, "app", did)
}

// untouched: whoever has its Revision and its kind, below OneForOne all the way
// up, runs on.
func (c *comparison) untouched(x, y supervisor.Spec, path string, did map[string]supervisor.ChangeKind) {
	if y.Strategy != supervisor.OneForOne || c.asked[path] != "" {
		return
	}
	for _, now := range y.Children {
		i := slices.IndexFunc(x.Children, func(s supervisor.Spec) bool { return s.Name == now.Name })
		if i < 0 || x.Children[i].Revision != now.Revision || (x.Children[i].Children == nil) != (now.Children == nil) {
			continue
		}
		at := path + "/" + now.Name
		if c.asked[at] == "" && did[at] != "" {
			c.errorf("%s was to run on, but: %s", at, did[at])
		}
		if now.Children != nil {
			c.untouched(x.Children[i], now, at, did)
		}
	}
}

// isLike compares what is planned, node by node, in order.
func (c *comparison) isLike(got, want supervisor.Snapshot) {
	g, w := c.lines(got), c.lines(want)
	if !slices.Equal(g, w) {
		c.errorf("after Apply:\n%s\nwant:\n%s", strings.Join(g, "\n"), strings.Join(w, "\n"))
	}
}

// lines leaves out what calls have made different.
func (c *comparison) lines(snap supervisor.Snapshot) (lines []string) {
	if c.asked[snap.Path] != "" {
		return nil
	}
	lines = append(lines, fmt.Sprint(snap.Path, snap.Supervisor, snap.Optional, snap.State, snap.DependsOn, snap.BudgetLeft, snap.Strategy, snap.Quorum))
	for _, child := range snap.Children {
		lines = append(lines, c.lines(child)...)
	}
	return lines
}

// again applies the same Spec: nobody notices.
func (c *comparison) again(tree *suptest.Tree) {
	if diff, err := tree.Diff(c.y); len(diff) > 0 || err != nil {
		c.errorf("Diff of what is there: %v, %v", diff, err)
	}
	tree.Forget()
	mustApply(c.t, tree, c.y)
	for _, e := range tree.Events() {
		if e.Kind != supervisor.EventWarning {
			c.errorf("the same Spec again: %v", e)
		}
	}
}
