package main

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"time"
)

// errDash says that the contestant does not do the work.
var errDash = errors.New("does not do this")

// A work is something that all contestants are measured at.
type work struct {
	name    string
	unit    unit
	want    func(size) int // how many things are done, each of which is counted
	measure func(*host, size) (sample, error)
}

// A sample is one measurement: the cost of one thing, and how many were done.
type sample struct {
	Cost float64
	Did  int
}

// A size says how much of everything there is.
type size struct {
	Children int // of the large trees
	Restarts int // of one child, in a row
	Crashers int // that fail all the while, next to each other
	Each     int // how often each of those fails
	Pairs    int // of add and remove
	Answers  int // of /readyz
}

func newSize(children int, quick bool) size {
	s := size{Children: children, Restarts: 100_000, Crashers: 1_000, Each: 200, Pairs: 20_000, Answers: 1_000_000}
	if quick {
		s.Restarts, s.Pairs, s.Answers = 20_000, 5_000, 100_000
	}
	if children < s.Crashers { // a trial of the harness
		s.Crashers, s.Restarts, s.Each, s.Pairs, s.Answers = 10, 100, 5, 80, 100
	}
	return s
}

// few is how many siblings idle beside what is called a small tree.
func (s size) few() int { return min(1_000, s.Children) }

// fewer is how many restarts are enough for a mean.
func (s size) fewer() int { return min(5_000, s.Restarts) }

// levels are those of the nest: ten below each, 100,000 children below 11,111
// supervisors.
func (s size) levels() []int {
	return slices.Repeat([]int{10}, max(2, int(math.Round(math.Log10(float64(s.Children))))))
}

// leaves is how many children a nest of such widths has.
func leaves(widths []int) int {
	n := 1
	for _, width := range widths {
		n *= width
	}
	return n
}

func per(took time.Duration, n int) float64 { return float64(took) / float64(n) }

func start(h *host, s size) (sample, error) {
	children, up, _ := idlers(s.Children)
	began := time.Now()
	t := h.start(children)
	up.wait()
	t.settle()
	took := time.Since(began)
	t.stop()
	return sample{per(took, s.Children), up.count()}, nil
}

func stop(h *host, s size) (sample, error) {
	children, up, gone := idlers(s.Children)
	t := h.start(children)
	up.wait()
	t.settle()
	runtime.GC()
	began := time.Now()
	t.stop()
	return sample{per(time.Since(began), s.Children), gone.count()}, nil
}

func add(h *host, s size) (sample, error) {
	children, up, _ := idlers(s.Children)
	t := h.start(nil)
	defer t.stop()
	t.settle()
	began := time.Now()
	for _, ch := range children {
		t.add(ch)
	}
	up.wait()
	return sample{per(time.Since(began), s.Children), up.count()}, nil
}

// restart is the median from a child's failure to its next start.
func restart(h *host, s size) (sample, error) {
	took := restartsBeside(h, s.few(), s.Restarts)
	slices.Sort(took)
	return sample{float64(took[len(took)/2]), len(took)}, nil
}

// siblings is the mean time of a restart in a large tree by that in a small
// one. It is the mean because that has the garbage collector's share in it.
func siblings(h *host, s size) (sample, error) {
	small := restartsBeside(h, 10, s.fewer())
	large := restartsBeside(h, s.Children, s.fewer())
	return sample{sum(large) / sum(small), len(large)}, nil
}

// restartsBeside has one child fail again and again, beside so many that idle.
func restartsBeside(h *host, siblings, times int) []time.Duration {
	children, up, _ := idlers(siblings)
	one := newCrew(1, times, failByError)
	t := h.start(append(children, one.children...))
	defer t.stop()
	up.wait()
	one.up.wait()
	t.settle()
	runtime.GC()
	one.fail(t)
	return one.restarts()
}

func sum(took []time.Duration) (total float64) {
	for _, d := range took {
		total += float64(d)
	}
	return total
}

func throughput(h *host, s size) (sample, error) { return failing(h, s.Crashers, s.Each, failByError) }
func panics(h *host, s size) (sample, error)     { return failing(h, s.Crashers, s.Each, failByPanic) }
func storm(h *host, s size) (sample, error)      { return failing(h, s.Children, 1, failByError) }

// failing has all children of a tree fail side by side.
func failing(h *host, children, times int, fail func() error) (sample, error) {
	c := newCrew(children, times, fail)
	t := h.start(c.children)
	defer t.stop()
	c.up.wait()
	t.settle()
	runtime.GC()
	took := c.fail(t)
	return sample{per(took, children*times), len(c.restarts())}, nil
}

func nestStart(h *host, s size) (sample, error) { return nested(h, s, true) }
func nestStop(h *host, s size) (sample, error)  { return nested(h, s, false) }

// nested starts and stops a deep tree, and returns what one of both took.
func nested(h *host, s size, wantStart bool) (sample, error) {
	if h.nest == nil {
		return sample{}, errDash
	}
	n := leaves(s.levels())
	up, gone := newGate(n), newGate(n)
	leaf := &child{up: up, gone: gone}
	began := time.Now()
	t := h.nest(s.levels(), func() *child { return leaf })
	up.wait()
	t.settle()
	took := time.Since(began)
	if wantStart {
		t.stop()
		return sample{per(took, n), up.count()}, nil
	}
	runtime.GC()
	began = time.Now()
	t.stop()
	return sample{per(time.Since(began), n), gone.count()}, nil
}

func pairsBy(callers int) func(*host, size) (sample, error) {
	return func(h *host, s size) (sample, error) {
		t := h.start(nil)
		defer t.stop()
		t.settle()
		gone := newGate(s.Pairs)
		var all sync.WaitGroup
		began := time.Now()
		for range callers {
			all.Go(func() { addAndRemove(t, s.Pairs/callers, gone) })
		}
		all.Wait()
		return sample{per(time.Since(began), s.Pairs), gone.count()}, nil
	}
}

// addAndRemove waits until each child runs before it removes it: not all
// contestants promise that of their add.
func addAndRemove(t tree, times int, gone *gate) {
	for range times {
		up := newGate(1)
		remove := t.add(&child{up: up, gone: gone})
		up.wait()
		remove()
	}
}

// memory is the heap and the stacks that a child takes while it idles.
func memory(h *host, s size) (sample, error) {
	children, up, _ := idlers(s.Children)
	heap, stack := inUse()
	t := h.start(children)
	up.wait()
	t.settle()
	heap2, stack2 := inUse()
	cost := (heap2 - heap + stack2 - stack) / float64(s.Children)
	t.stop()
	runtime.KeepAlive(children)
	return sample{cost, up.count()}, nil
}

// inUse returns the bytes in use after a collection, and one more to sweep.
func inUse() (heap, stack float64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(m.StackInuse)
}

func readyz(nodes int) func(*host, size) (sample, error) {
	return func(h *host, s size) (sample, error) {
		if h.readyz == nil {
			return sample{}, errDash
		}
		t, handler := h.readyz(min(nodes, s.Children))
		defer t.stop()
		runtime.GC()
		good, r := 0, httptest.NewRequest(http.MethodGet, "/readyz", nil)
		began := time.Now()
		for range s.Answers {
			w := httptest.NewRecorder() // a server has a fresh header for each answer, too
			handler.ServeHTTP(w, r)
			if w.Code == http.StatusOK && w.Body.Len() > 0 {
				good++
			}
		}
		return sample{per(time.Since(began), s.Answers), good}, nil
	}
}
