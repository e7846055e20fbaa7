package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// TestAStepLooksAtNoSibling: what happens to one child costs as much among
// thirty thousand as among ten. To look at each of them would take hundreds of
// times as long; a busy machine does not make it twenty.
func TestAStepLooksAtNoSibling(t *testing.T) { // S39
	if testing.Short() {
		t.Skip("starts thirty thousand children")
	}
	for _, strategy := range []Strategy{OneForOne, RestForOne, DependentsForOne} {
		few, many := newLife(strategy, 10).fastest(), newLife(strategy, 30_000).fastest()
		if many > 20*few {
			t.Errorf("%v: a hundred lives take %v among ten siblings, %v among thirty thousand", strategy, few, many)
		}
	}
}

// A life is all that can become of the last child of a core, whose siblings are
// ready.
type life struct {
	core *core
	now  time.Time
	last *child
}

func newLife(strategy Strategy, n int) *life {
	spec := Spec{Name: "app", Strategy: strategy, Intensity: Unlimited}
	for i := range n {
		spec.Children = append(spec.Children, Spec{Name: fmt.Sprint(i), Run: Func(func(context.Context) error { return nil })})
	}
	l := &life{now: time.Unix(1e9, 0)}
	l.core = newCore(l.now, &spec, "app", surroundings{haunts: func(*child) int { return 0 }, newIncident: func() *trouble { return &trouble{} }})
	l.step(input{kind: began})
	for ch := l.core.first; ch != nil; ch = ch.next {
		l.step(input{kind: becameUp, child: ch})
	}
	l.last = l.core.last
	return l
}

func (l *life) step(in input) {
	l.now = l.now.Add(time.Microsecond)
	l.core.step(l.now, in)
}

// fastest returns how long a hundred lives take at best.
func (l *life) fastest() time.Duration {
	best := time.Hour
	for range 10 {
		began := time.Now()
		for range 100 {
			l.live()
		}
		best = min(best, time.Since(began))
	}
	return best
}

// live has the child crash and come back, be impaired and well, be stopped and
// started.
func (l *life) live() {
	ch := l.last
	l.step(input{kind: exited, child: ch, err: errors.New("crash")})
	l.now = l.core.wake()
	l.step(input{kind: woke})
	l.step(input{kind: becameUp, child: ch})
	l.step(input{kind: impaired, child: ch, err: errors.New("slow")})
	l.step(input{kind: impaired, child: ch})
	l.step(input{kind: asked, call: newCall(opStop, ch.spec.Name)})
	l.step(input{kind: exited, child: ch})
	l.step(input{kind: asked, call: newCall(opStart, ch.spec.Name)})
	l.step(input{kind: becameUp, child: ch})
	if ch.state != Ready {
		panic(fmt.Sprintf("the child is %v", ch.state))
	}
}

// TestSiblingsAreFoundByName, however many they are, and only many have a map.
func TestSiblingsAreFoundByName(t *testing.T) {
	var s siblings
	var all []*child
	for n := range 3 * few {
		ch := &child{spec: &Spec{Name: strconv.Itoa(n)}}
		s.add(ch)
		all = append(all, ch)
		if hasMap := s.byName != nil; hasMap != (len(all) > few) {
			t.Errorf("%d siblings have a map: %v", len(all), hasMap)
		}
	}
	for len(all) > 0 {
		for n, ch := range all {
			if s.named(strconv.Itoa(n)) != ch {
				t.Fatalf("of %d, %d is not found", len(all), n)
			}
		}
		last := all[len(all)-1]
		s.remove(last)
		all = all[:len(all)-1]
		if s.size != len(all) || s.named(last.spec.Name) != nil {
			t.Fatalf("without %s they are %d, want %d", last.spec.Name, s.size, len(all))
		}
	}
}
