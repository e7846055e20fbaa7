package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestSupervisorsLeaveTheirEngineTogether: who gives its slots back must not
// find that another has ended the engine meanwhile.
func TestSupervisorsLeaveTheirEngineTogether(t *testing.T) { // S8
	for range 20 {
		e := newEngine(t.Context(), "app", rackSize/2, rackSize/2)
		if !e.join(rackSize / 2) {
			t.Fatal("no room")
		}
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				for range rackSize / 2 {
					e.release(false)
				}
				e.leave()
			})
		}
		both.Wait()
	}
}

// TestSlotsAreAccountedFor: supervisors share engines while their workers end in
// every way, and callers add, remove, restart and stop. Whenever all is quiet,
// each engine has the slots that its children hold, and its spare ones. At the
// end, the bubble sees to it that no goroutine is left.
func TestSlotsAreAccountedFor(t *testing.T) { // S8, S28
	seeds, rounds := uint64(6), 5
	if testing.Short() {
		seeds, rounds = 1, 2
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			h := newHustle(t, seed)
			for range rounds {
				h.during(20 * time.Second)
				h.account()
			}
			h.cancel()
			<-h.ended
			time.Sleep(2 * time.Minute) // the abandoned end
		})
	}
}

// A hustle is a tree of small supervisors with workers that do not last.
type hustle struct {
	t      *testing.T
	rand   *rand.Rand
	sup    *Supervisor
	cancel context.CancelFunc
	ended  chan error
	calm   bool
	mu     sync.Mutex // guards rand and calm
}

const hustleGroups, hustleSize = 12, 10

func newHustle(t *testing.T, seed uint64) *hustle {
	h := &hustle{t: t, rand: rand.New(rand.NewPCG(seed, 0)), ended: make(chan error, 1)}
	h.run(hustleGroups, hustleSize)
	return h
}

// run runs groups of workers until cancel is called.
func (h *hustle) run(groups, size int) {
	spec := Spec{Name: "app", Intensity: Unlimited}
	for g := range groups {
		group := Spec{Name: fmt.Sprint("g", g), Strategy: Strategy(g % 3), Intensity: Unlimited}
		for c := range size {
			group.Children = append(group.Children, h.worker(fmt.Sprint("c", c)))
		}
		spec.Children = append(spec.Children, group)
	}
	sup, err := New(spec, Options{MaxAbandoned: -1})
	if err != nil {
		h.t.Fatal(err)
	}
	var ctx context.Context
	ctx, h.cancel = context.WithCancel(h.t.Context())
	h.sup = sup
	go func() { h.ended <- sup.Run(ctx) }()
	synctest.Wait()
}

// worker ends within some seconds, in one of many ways, unless all is to be calm.
func (h *hustle) worker(name string) Spec {
	return Spec{Name: name, StopTimeout: time.Second, Backoff: Backoff{Min: time.Millisecond, Max: time.Second}, Run: func(ctx context.Context, ready func()) error {
		ready()
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(h.draw(20000)) * time.Millisecond):
		}
		if h.isCalm() {
			<-ctx.Done()
			return nil
		}
		switch h.draw(8) {
		case 0:
			panic("hustle")
		case 1:
			runtime.Goexit()
		case 2:
			time.Sleep(time.Duration(h.draw(100)) * time.Second / 10) // deaf: perhaps it is abandoned
		case 3:
			return errors.New("hustle")
		}
		return nil
	}}
}

func (h *hustle) draw(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rand.IntN(n)
}

func (h *hustle) isCalm() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calm
}

func (h *hustle) quiet(calm bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calm = calm
}

// during has some callers ask for this and that, and then lets all come to rest.
func (h *hustle) during(d time.Duration) {
	h.quiet(false)
	var callers sync.WaitGroup
	until := time.Now().Add(d)
	for range 5 {
		callers.Go(func() {
			for time.Now().Before(until) {
				h.call()
				time.Sleep(time.Duration(h.draw(300)) * time.Millisecond)
			}
		})
	}
	callers.Wait()
	h.quiet(true)
	time.Sleep(time.Minute)
	synctest.Wait()
}

// call asks for something at random. Whether it can be had does not matter.
func (h *hustle) call() {
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
	defer cancel()
	group := fmt.Sprint("app/g", h.draw(hustleGroups))
	child := fmt.Sprint(group, "/c", h.draw(2*hustleSize))
	switch h.draw(8) {
	case 0, 1:
		_, _ = h.sup.Add(ctx, group, h.worker(fmt.Sprint("c", h.draw(2*hustleSize))))
	case 2, 3:
		_ = h.sup.Remove(ctx, child)
	case 4:
		_ = h.sup.Restart(ctx, child)
	case 5:
		_ = h.sup.Restart(ctx, group)
	case 6:
		_ = h.sup.Stop(ctx, group)
		_ = h.sup.Start(ctx, group)
	case 7:
		_ = h.sup.Stop(ctx, child)
	}
}

// account compares what the engines say they have with what children hold.
func (h *hustle) account() {
	h.t.Helper()
	users, held := map[*engine]int{}, map[*engine]int{}
	h.count(h.sup.root.unit.below.Load(), users, held)
	slots := 0
	for e, n := range held {
		slots += e.slots
		if has := e.slots - e.spare; has != n {
			h.t.Errorf("%s: %d of %d slots are not spare, and children hold %d", e.path, has, e.slots, n)
		}
		if e.users != users[e] || e.lost != 0 || len(e.work) > 0 {
			h.t.Errorf("%s: %d users, want %d; %d lost; %d starts wait", e.path, e.users, users[e], e.lost, len(e.work))
		}
	}
	if n := goroutinesIn("(*slot).Serve("); n != slots {
		h.t.Errorf("%d goroutines of slots run, of %d slots in %d engines", n, slots, len(held))
	}
}

// goroutinesIn returns how many goroutines are in function, as it is in stacks.
func goroutinesIn(function string) int {
	all := make([]byte, 16<<20)
	return strings.Count(string(all[:runtime.Stack(all, true)]), function)
}

func (h *hustle) count(r *runner, users, held map[*engine]int) {
	if r == nil || r.over {
		return
	}
	users[r.engine]++
	for ch := r.core.first; ch != nil; ch = ch.next {
		if ch.unit.slotted {
			held[r.engine]++
		}
		h.count(ch.unit.below.Load(), users, held)
	}
}

// TestAGroupThatIsRestartedLeavesNoIdleGoroutines: where it finds its neighbours'
// engine full it gets another, and what it had there is not kept for nobody.
func TestAGroupThatIsRestartedLeavesNoIdleGoroutines(t *testing.T) {
	if testing.Short() {
		t.Skip("restarts 600 groups")
	}
	synctest.Test(t, func(t *testing.T) {
		const groups, size = 60, 10
		h := &hustle{t: t, calm: true, rand: rand.New(rand.NewPCG(1, 0)), ended: make(chan error, 1)}
		h.run(groups, size)
		for range 10 * groups {
			if err := h.sup.Restart(t.Context(), fmt.Sprint("app/g", h.draw(groups))); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		h.account()
		const needed = groups * (size + 1)
		if n := goroutinesIn("(*slot).Serve("); n > needed+needed/5 {
			t.Errorf("%d slots for %d children", n, needed)
		}
		h.cancel()
		<-h.ended
	})
}

// TestAbandonedBeforeItRan: it had waited for a processor for so long that its
// path is another's by now. Nothing of the user's is called.
func TestAbandonedBeforeItRan(t *testing.T) { // S27
	called := false
	run := func(context.Context, func()) error { called = true; return nil }
	for _, successor := range []Spec{{Name: "a", Run: run}, {Name: "a", Children: []Spec{}}} {
		r := newTestRunnerOf(t, Spec{Name: "a", Run: run})
		ch := r.core.named("a")
		ch.unit.renew(ch.spec)
		inc := newIncarnation(r.tree, r, ch)
		r.tree.ghosts.add(ch, r)
		inc.fate.Store(fateAbandoned)
		r.engine.replace()
		ch.unit.spec.Store(&successor)
		s := &slot{rack: &rack{engine: r.engine}}
		if run := s.begin(inc); run != nil {
			s.returned(run(inc.ctx, inc.ready))
		}
		if called || !s.lost || r.engine.lost != 0 || r.tree.ghosts.total.Load() != 0 {
			t.Errorf("called %v; the slot is lost: %v; %d lost, %d ghosts", called, s.lost, r.engine.lost, r.tree.ghosts.total.Load())
		}
	}
}

// TestOnlyOursCallWorkers: whose names only look like ours is part of a worker.
func TestOnlyOursCallWorkers(t *testing.T) { // S6
	for function, want := range map[string]bool{
		"github.com/coppice-go/coppice/supervisor.(*slot).Serve":               true,
		"github.com/coppice-go/coppice/supervisor.(*slot).guarded":             true,
		"github.com/coppice-go/coppice/supervisor.(*slot).returned":            false,
		"github.com/coppice-go/coppice/supervisor_test.(*slot).Serve":          false,
		"example.com/github.com/coppice-go/coppice/supervisor.T.(*slot).Serve": false,
		"example.com/mysupervisor.(*slot).Serve":                               false,
	} {
		if got := callsWorkers(function); got != want {
			t.Errorf("%s calls workers: %v, want %v", function, got, want)
		}
	}
}

// exits is an error whose method ends the goroutine that asks it.
type exits struct{ error }

func (exits) Is(error) bool { runtime.Goexit(); return false }

func TestAnErrorWhoseMethodEndsTheGoroutineIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, checks := 0, 0
		spec := Spec{Name: "app", Children: []Spec{{
			Name: "a",
			Run: func(ctx context.Context, ready func()) error {
				ready()
				if runs++; runs == 1 {
					return exits{}
				}
				<-ctx.Done()
				return nil
			},
			Probe: &Probe{Interval: time.Second, Check: func(context.Context) error {
				if checks++; checks == 1 {
					return exits{}
				}
				return nil
			}},
		}}}
		sup, err := New(spec, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- sup.Run(ctx) }()
		time.Sleep(1500 * time.Millisecond) // one check
		if a, err := sup.Find("app/a"); err != nil || !errors.Is(a.Impairment, errUnreadable) {
			t.Errorf("impaired by %v, %v", a.Impairment, err)
		}
		time.Sleep(time.Minute)
		a, err := sup.Find("app/a")
		if err != nil || a.State != Ready || a.Incarnation != 2 || a.LastErr != errUnreadable {
			t.Errorf("%v #%d after %v, %v", a.State, a.Incarnation, a.LastErr, err)
		}
		if checks < 10 {
			t.Errorf("%d checks", checks)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestTheLastSlotMayBeEndedByItself: a step that is made in the goroutine of the
// only slot says that this is not needed any more.
func TestTheLastSlotMayBeEndedByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		once := func(_ context.Context, ready func()) error {
			ready()
			time.Sleep(2 * time.Second)
			return nil
		}
		spec := Spec{Name: "app", Children: []Spec{{Name: "a", Restart: Transient, Run: once}}}
		sup, err := New(spec, Options{DrainDelay: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := sup.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

// TestWhoFailedTakesTheNext, whether somebody drives or not, and holds on to no
// supervisor that may end.
func TestWhoFailedTakesTheNext(t *testing.T) {
	e := newEngine(t.Context(), "app", 0, 0)
	s, next := &slot{rack: &rack{engine: e}}, &incarnation{}
	for _, soon := range []bool{true, false} {
		for _, isDriven := range []bool{true, false} {
			var b inbox
			if b.init(); !isDriven {
				b.take()
			}
			s.left = &b
			if soon {
				e.work <- next
			} else {
				time.AfterFunc(10*time.Millisecond, func() { e.work <- next })
			}
			inc, ok := s.soon()
			if !ok {
				inc = <-e.work
			}
			if inc != next || s.left != nil || ok != (soon && isDriven) {
				t.Errorf("soon %v, driven %v: %v, and it holds on to %v", soon, isDriven, ok, s.left)
			}
		}
	}
}
