package supervisor

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// ghosts are the abandoned incarnations of a tree that still run, by path.
// They outlive their child and its supervisor's incarnation, so that a fence
// holds whoever starts or adds the path again.
type ghosts struct {
	total atomic.Int64

	mu     sync.Mutex // guards byPath
	byPath map[string]*ghost
}

// A ghost is one path's share.
type ghost struct {
	count int
	child *child // who has the path now
	owner *runner
}

// add counts one more, of a child of owner.
func (g *ghosts) add(ch *child, owner *runner) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byPath == nil {
		g.byPath = make(map[string]*ghost)
	}
	at := g.byPath[ch.path]
	if at == nil {
		at = &ghost{}
		g.byPath[ch.path] = at
	}
	at.count++
	at.child, at.owner = ch, owner
	g.total.Add(1)
}

// claim returns how many still run at the path of a new child, whose owner is
// told of each that ends from now on. It takes no lock while there are none.
func (g *ghosts) claim(ch *child, owner *runner) int {
	if g.total.Load() == 0 {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.byPath[ch.path]
	if at == nil {
		return 0
	}
	at.child, at.owner = ch, owner
	return at.count
}

// ended is called by an abandoned incarnation when it ends after all.
func (g *ghosts) ended(path string, number uint64) {
	g.mu.Lock()
	at := g.byPath[path]
	at.count--
	if at.count == 0 {
		delete(g.byPath, path)
	}
	g.total.Add(-1)
	ch, owner := at.child, at.owner
	g.mu.Unlock()
	owner.post(&input{kind: returned, child: ch, number: number})
}

// forgotten lists those below r that no child of r has below it any more: what
// was removed, or is temporary, is listed until it has really ended.
func (g *ghosts) forgotten(r *runner) (snaps []Snapshot) {
	if g.total.Load() == 0 {
		return nil
	}
	for _, path := range g.paths() {
		below, ok := strings.CutPrefix(path, r.core.path+"/")
		name, _, _ := strings.Cut(below, "/")
		if ok && r.child(name) == nil {
			if snap, ok := g.snapshot(path); ok {
				snaps = append(snaps, snap)
			}
		}
	}
	return snaps
}

// snapshot stands for a node that is only there because of its abandoned
// incarnations. It takes nobody's status down.
func (g *ghosts) snapshot(path string) (Snapshot, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.byPath[path]
	if at == nil {
		return Snapshot{}, false
	}
	return Snapshot{Path: path, State: Stopped, Status: Up, Abandoned: at.count}, true
}

// paths lists where they are, sorted.
func (g *ghosts) paths() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	paths := make([]string, 0, len(g.byPath))
	for path := range g.byPath {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}
