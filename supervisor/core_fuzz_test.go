package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzCore drives the core of one supervisor with everything that can happen
// to it, in any order, and checks after every step what must always hold. At
// the end it lets everything heal, and then stops it: nothing may be stuck.
func FuzzCore(f *testing.F) { // S1, S31, S35, S37
	for seed := range seeds() {
		data := make([]byte, 200)
		x := uint32(seed*2654435761 + 1)
		for i := range data {
			x = x*1664525 + 1013904223
			data[i] = byte(x >> 24)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w := newFuzzWorld(t, &fuzzBytes{data: data})
		w.run()
	})
}

// seeds is how many histories the fuzzers begin with: few with -short, which is
// run many times.
func seeds() int {
	if testing.Short() {
		return 16
	}
	return 64
}

type fuzzBytes struct{ data []byte }

func (b *fuzzBytes) next() int {
	if len(b.data) == 0 {
		return 0
	}
	x := b.data[0]
	b.data = b.data[1:]
	return int(x)
}

func (b *fuzzBytes) below(n int) int { return b.next() % n }
func (b *fuzzBytes) chance(n int) bool {
	return b.next()%n == 0
}

// A fuzzWorld is what a runner would be to a core, with incarnations that do
// what the fuzzer says.
type fuzzWorld struct {
	t     *testing.T
	bytes *fuzzBytes
	core  *core
	now   time.Time

	live     map[*child]*fuzzRun // the incarnation of each child
	ghosts   []*fuzzRun
	starts   map[*child]int // since it was adopted
	everUp   map[*child]bool
	excused  map[*child]bool // temporary, and may start again: it was asked for, or decided while it was not
	shaken   bool            // an Apply changed the order of what was under way
	over     map[*child]bool // ended by itself, for good, without failing
	loner    map[*child]bool // started by a call, or parked, and not ready since: it waits for nobody, nor anybody for it
	calls    []*call
	answered map[*call]int
	said     map[string]bool // events so far
	ready    bool
	closing  bool
	finished bool
	added    int
	involved map[*trouble]int
	untold   map[*trouble]bool // incidents that have not been noted anything of
	last     incidents
	limit    int // the most restarts that were ever allowed
	pauses   map[*child]pause
	fixed    bool // nobody applies a new Spec
	log      strings.Builder
}

// A fuzzRun is one incarnation.
type fuzzRun struct {
	child *child
	told  bool
	up    bool
	loner bool
	ready bool   // it was up before its turn to stop came
	slow  bool   // it said so of itself
	says  Status // a supervisor's, by itself
}

func newFuzzWorld(t *testing.T, b *fuzzBytes) *fuzzWorld {
	w := &fuzzWorld{t: t, bytes: b, now: time.Unix(1e9, 0), pauses: map[*child]pause{},
		live: map[*child]*fuzzRun{}, starts: map[*child]int{}, everUp: map[*child]bool{}, excused: map[*child]bool{}, loner: map[*child]bool{}, over: map[*child]bool{}, answered: map[*call]int{}, involved: map[*trouble]int{}, untold: map[*trouble]bool{}, said: map[string]bool{}}
	spec := w.spec()
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	w.core = newCore(w.now, &spec, "root", surroundings{haunts: w.ghostsOf, newIncident: w.newIncident})
	w.core.random = func() float64 { return 0.5 }
	fmt.Fprintf(&w.log, "%v concurrent=%v strict=%v %v quorum=%d auto=%v\n", spec.Strategy, spec.Concurrent, spec.Strict, spec.Intensity, spec.Quorum, spec.AutoShutdown)
	for i := range spec.Children {
		c := &spec.Children[i]
		fmt.Fprintf(&w.log, "  %s %v optional=%v exclusive=%v significant=%v sup=%v\n", c.Name, c.Restart, c.Optional, c.Exclusive, c.Significant, c.isSupervisor())
	}
	return w
}

func (w *fuzzWorld) spec() Spec {
	b := w.bytes
	s := Spec{Name: "root", Children: []Spec{}, Strategy: Strategy(b.below(4)), Strict: b.chance(3)}
	s.Strict = s.Strict && s.Strategy != DependentsForOne
	s.Intensity = Intensity{Restarts: b.below(6) - 1, Within: time.Duration(1+b.below(60)) * time.Second}
	s.Concurrent = s.Strategy == OneForOne && b.chance(3)
	s.AutoShutdown = AutoShutdown(b.below(3))
	if b.chance(2) {
		s.Intensity = Unlimited
	}
	for i := range b.below(6) {
		s.Children = append(s.Children, w.childSpec(fmt.Sprint("c", i), s.AutoShutdown))
		w.dependOn(&s, i)
	}
	if len(s.Children) > 0 && b.chance(4) {
		s.Quorum = 1 + b.below(len(s.Children))
	}
	return s
}

// dependOn makes the i-th child depend on some of those before it.
func (w *fuzzWorld) dependOn(s *Spec, i int) {
	s.Children[i].DependsOn = nil
	if s.Strategy != DependentsForOne {
		return
	}
	for _, on := range s.Children[:i] {
		if on.Restart != Temporary && w.bytes.chance(3) {
			s.Children[i].DependsOn = append(s.Children[i].DependsOn, on.Name)
		}
	}
}

func (w *fuzzWorld) childSpec(name string, auto AutoShutdown) Spec {
	b := w.bytes
	c := Spec{Name: name, Restart: Restart(b.below(3)), Optional: b.chance(4), Exclusive: b.chance(3)}
	c.Significant = auto != Never && c.Restart != Permanent && b.chance(2)
	if b.chance(3) {
		c.Backoff = NoBackoff
	}
	if b.chance(4) {
		c.Backoff.Attempts, c.Backoff.Park = 1+b.below(3), time.Duration(1+b.below(30))*time.Second
	}
	if b.chance(5) {
		c.Children, c.Exclusive = []Spec{}, false
	} else {
		c.Run = func(context.Context, func()) error { return nil }
	}
	return c
}

func (w *fuzzWorld) run() {
	if w.bytes.chance(20) {
		w.stoppedBeforeItBegan()
		return
	}
	w.step(input{kind: began})
	for len(w.bytes.data) > 0 && !w.finished {
		w.act()
	}
	w.heal()
	w.step(input{kind: toldStop, err: ErrShutdown})
	w.obey()
	if !w.finished {
		w.fail("not finished though every incarnation ended")
	}
	w.incidentsAreOver()
	for _, c := range w.calls {
		if w.answered[c] != 1 {
			w.fail("call %d of %s was answered %d times", c.op, c.name, w.answered[c])
		}
	}
}

func (w *fuzzWorld) stoppedBeforeItBegan() {
	w.step(input{kind: toldStop, err: ErrShutdown})
	if acts := w.core.step(w.now, input{kind: began}); !w.finished || len(acts) > 0 {
		w.fail("told to stop before it began: finished %v, then %v", w.finished, acts)
	}
}

// act lets one thing happen that may happen now.
func (w *fuzzWorld) act() {
	run := w.pick()
	switch op := w.bytes.below(16); {
	case op < 4 && run != nil:
		w.becomeUp(run)
	case op < 7 && run != nil:
		w.end(run, w.exitError(run))
	case op == 7 && run != nil && w.bytes.chance(4):
		w.condemn(run)
	case op == 7 && run != nil:
		w.report(run)
	case op == 8 && len(w.ghosts) > 0:
		w.ghostEnds()
	case op < 11:
		w.sleep()
	case op == 14 && !w.fixed && w.bytes.chance(2):
		w.apply()
	case op < 15:
		w.call()
	case op == 15 && w.bytes.chance(8):
		w.core.deadline = w.now.Add(time.Second)
		w.step(input{kind: toldStop, err: ErrShutdown})
	case op == 15 && w.core.closing:
		w.core.deadline = w.now.Add(time.Duration(w.bytes.next()) * time.Millisecond)
		w.step(input{kind: hurried})
	case op == 15 && w.bytes.chance(8):
		w.step(input{kind: mustFail, err: ErrTooManyAbandoned})
	}
}

// pick returns one of the living incarnations, in start order.
func (w *fuzzWorld) pick() *fuzzRun {
	n := w.bytes.next()
	var runs []*fuzzRun
	for ch := w.core.first; ch != nil; ch = ch.next {
		if r := w.live[ch]; r != nil {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		return nil
	}
	return runs[n%len(runs)]
}

func (w *fuzzWorld) exitError(run *fuzzRun) error {
	switch w.bytes.below(10) {
	case 0:
		return nil
	case 1:
		return Recovered("boom")
	case 2:
		return fmt.Errorf("dial: %w", ErrUnavailable)
	case 3:
		return ErrIgnore
	case 4:
		if w.bytes.chance(4) {
			return ErrEscalate
		}
	case 5:
		if run.child.spec.isSupervisor() {
			return &IntensityError{Path: run.child.path, Err: errors.New("deep")}
		}
	case 6:
		if run.child.spec.isSupervisor() {
			return ErrAutoShutdown
		}
	}
	return errors.New("failed")
}

func (w *fuzzWorld) becomeUp(run *fuzzRun) {
	run.up, run.ready = true, run.ready || !run.told && !run.child.doomed
	w.tell(input{kind: becameUp, child: run.child})
}

// tell is what reaches the core from an incarnation: as a runner, it drops
// what is told by a dead one.
func (w *fuzzWorld) tell(in input) {
	if in.child.state.running() || in.child.state == Stopping {
		w.step(in)
	}
}

func (w *fuzzWorld) end(run *fuzzRun, err error) {
	delete(w.live, run.child)
	w.over[run.child] = !run.told && !run.child.doomed && w.isNoFailure(run, err)
	end := judge(&incarnation{ctx: context.Background(), child: run.child}, err)
	w.tell(input{kind: exited, child: run.child, err: end.err, is: end.is})
}

func (w *fuzzWorld) report(run *fuzzRun) {
	if run.child.spec.isSupervisor() {
		run.says = Status(w.bytes.below(3))
		w.tell(input{kind: reported, child: run.child, status: int8(run.says)})
		return
	}
	var reason error
	if w.bytes.chance(2) {
		reason = errors.New("slow")
	}
	run.slow = run.ready && reason != nil // before that it is not heard
	w.tell(input{kind: impaired, child: run.child, err: reason})
}

// condemn is what a probe, or a missing beat, does.
func (w *fuzzWorld) condemn(run *fuzzRun) {
	if !run.child.spec.isSupervisor() {
		end := judge(&incarnation{ctx: context.Background(), child: run.child}, w.exitError(run))
		if end.err != nil {
			w.tell(input{kind: unhealthy, child: run.child, err: end.err, is: end.is})
		}
	}
}

// apply changes the supervisor's Spec a little: children go, come, change
// places, policies and kinds.
func (w *fuzzWorld) apply() {
	if slices.ContainsFunc(w.core.deferred, func(c *call) bool { return c.op == opApply }) {
		return // two in one step, and what starts between them cannot be told apart
	}
	b, spec := w.bytes, w.core.spec.clone()
	if b.chance(2) {
		policy := w.spec()
		policy.Children = spec.Children
		spec = policy
	}
	for i := len(spec.Children) - 1; i >= 0; i-- {
		if b.chance(5) {
			spec.Children = slices.Delete(spec.Children, i, i+1)
		}
	}
	for range b.below(3) {
		name := fmt.Sprint("c", b.below(8))
		if spec.child(name) == nil {
			spec.Children = slices.Insert(spec.Children, b.below(len(spec.Children)+1), w.childSpec(name, spec.AutoShutdown))
		}
	}
	for i := range spec.Children {
		w.change(&spec, i)
	}
	spec.Quorum = min(spec.Quorum, len(spec.Children))
	if err := spec.Validate(); err != nil {
		w.fail("applying %v", err)
	}
	w.shaken = w.shaken || !w.atRest()
	call := newCall(opApply, "")
	call.spec = &spec
	w.ask(call)
	w.calls = append(w.calls, call.changes...)
	w.mustBe(spec)
}

// atRest reports whether nothing is under way.
func (w *fuzzWorld) atRest() bool {
	for ch := w.core.first; ch != nil; ch = ch.next {
		if !ch.atRest() || ch.doomed {
			return false
		}
	}
	return true
}

func (w *fuzzWorld) change(spec *Spec, i int) {
	ch := &spec.Children[i]
	if w.bytes.chance(3) {
		*ch = w.childSpec(ch.Name, spec.AutoShutdown)
		ch.Revision = fmt.Sprint(w.bytes.below(2))
	}
	ch.Significant = ch.Significant && spec.AutoShutdown != Never
	w.dependOn(spec, i)
}

// mustBe: the children are those of the Spec, in its order, with those that are
// going and the dynamic ones between and behind them.
func (w *fuzzWorld) mustBe(spec Spec) {
	if w.core.closing || w.core.spec.Name != spec.Name || len(w.core.deferred) > 0 {
		return
	}
	i := 0
	spec.Children = slices.DeleteFunc(slices.Clone(spec.Children), func(s Spec) bool {
		return s.Restart == Temporary && w.core.named(s.Name) == nil // what was retried at once has taken it down
	})
	for ch := w.core.first; ch != nil; ch = ch.next {
		switch {
		case ch.dynamic, ch.goal == gone && spec.child(ch.spec.Name) == nil:
		case i == len(spec.Children) || spec.Children[i].Name != ch.spec.Name:
			w.fail("%s is not the %d-th of the Spec", ch.path, i)
		default:
			i++
		}
	}
}

func (w *fuzzWorld) ghostEnds() {
	i := w.bytes.below(len(w.ghosts))
	ch := w.ghosts[i].child
	if now := w.core.named(ch.spec.Name); now != nil {
		ch = now // who has the path now is told
	}
	w.ghosts = append(w.ghosts[:i], w.ghosts[i+1:]...)
	w.step(input{kind: returned, child: ch})
}

func (w *fuzzWorld) sleep() {
	w.now = w.now.Add(time.Duration(w.bytes.next()) * 20 * time.Millisecond)
	if wake := w.core.wake(); !wake.IsZero() && w.bytes.chance(2) {
		w.now = later(w.now, wake)
	}
	w.step(input{kind: woke})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (w *fuzzWorld) call() {
	c := newCall(operation(w.bytes.below(int(opChildren)+1)), fmt.Sprint("c", w.bytes.below(6)))
	if c.op == opAdd {
		if w.bytes.chance(2) {
			w.added++
			c.name = fmt.Sprint("d", w.added)
		}
		spec := w.childSpec(c.name, w.core.spec.AutoShutdown)
		if w.core.spec.Strategy == DependentsForOne {
			spec.DependsOn = w.some([]string{"c0", "c1", "c2", "c3", "d1", "d2"})
			w.mayTire(&spec)
		}
		c.spec = &spec
	}
	w.ask(c)
}

func (w *fuzzWorld) ask(c *call) {
	if !w.finished {
		w.calls = append(w.calls, c)
		w.step(input{kind: asked, call: c})
	}
}

// heal lets every incarnation be ready and time pass: nothing stays down that
// nobody wants down.
func (w *fuzzWorld) heal() {
	for len(w.ghosts) > 0 && !w.finished {
		w.ghostEnds()
	}
	for range 500 {
		if w.finished || w.core.closing {
			return
		}
		w.calm()
		w.now = w.now.Add(time.Second)
		w.step(input{kind: woke})
	}
	for ch := w.core.first; ch != nil; ch = ch.next {
		// A Strict supervisor leaves later siblings stopped when the retry was
		// cancelled, as OTP does.
		if ch.state != Ready && ch.state != Stopped {
			w.fail("%s stays %v", ch.path, ch.state)
		}
	}
	if !w.ready {
		w.fail("never ready")
	}
}

// calm makes the starting ones ready and the told ones end.
func (w *fuzzWorld) calm() {
	for run := w.next((*fuzzRun).restless); run != nil; run = w.next((*fuzzRun).restless) {
		if run.told {
			w.end(run, nil)
		} else {
			w.becomeUp(run)
		}
	}
}

// obey makes the told ones end.
func (w *fuzzWorld) obey() {
	for run := w.next((*fuzzRun).isTold); run != nil; run = w.next((*fuzzRun).isTold) {
		w.end(run, nil)
	}
}

func (r *fuzzRun) isTold() bool   { return r.told }
func (r *fuzzRun) restless() bool { return r.told || !r.up }

func (w *fuzzWorld) next(which func(*fuzzRun) bool) *fuzzRun {
	for ch := w.core.first; ch != nil; ch = ch.next {
		if r := w.live[ch]; r != nil && which(r) {
			return r
		}
	}
	return nil
}

// step does what the core's does, and looks after each move: by the end of a
// step the reasons for its first can be gone.
func (w *fuzzWorld) step(in input) {
	if w.finished {
		return
	}
	name := ""
	if in.child != nil {
		name = in.child.path
	}
	if in.call != nil {
		name = fmt.Sprintf("op%d %s", in.call.op, in.call.name)
	}
	fmt.Fprintf(&w.log, "%v in%d %s %v\n", w.now.Sub(time.Unix(1e9, 0)), in.kind, name, in.err)
	w.core.clock, w.core.now, w.core.out, w.core.haunted = w.now, w.core.at(w.now), emptied(w.core.out), false
	w.core.take(in)
	checked := w.checkFrom(0)
	for w.core.move() {
		checked = w.checkFrom(checked)
	}
	w.core.proceed()
	w.checkFrom(checked)
	w.recount()
}

// checkFrom checks the step's actions from the i-th on, and returns how many
// there are.
func (w *fuzzWorld) checkFrom(i int) int {
	for _, a := range w.core.out[i:] {
		w.check(a)
	}
	for ch := range w.over {
		if ch.state != Stopped {
			delete(w.over, ch) // it starts again
		}
	}
	return len(w.core.out)
}

// check does what a runner would, and checks that it may be done.
func (w *fuzzWorld) check(a action) {
	name := ""
	if a.child != nil {
		name = a.child.path
	}
	fmt.Fprintf(&w.log, "    %d %s %s %v (%d)\n", a.do, name, a.event, a.err, a.within.number())
	if w.finished && a.do != reply {
		w.fail("action after the end")
	}
	w.mustBeTold(a)
	switch a.do {
	case emit:
		if a.event == EventParked {
			w.loner[a.child] = true
		}
		w.said[fmt.Sprint(a.event, a.child != nil, name, a.number)] = true
	case respec:
		w.excused[a.child] = a.child.state != Ready || a.child.queue != nil
		a.child.unit.spec.Store(a.child.spec)
	case start:
		a.child.unit.spec.Store(a.child.spec)
		w.mustHaveSaid(EventStarted, a)
		w.checkStart(a.child)
	case stop:
		w.mustHaveSaid(EventStopping, a)
		w.checkStop(a)
	case hurry:
		if !a.child.spec.isSupervisor() || a.child.state != Stopping {
			w.fail("%s is hurried while %v", a.child.path, a.child.state)
		}
	case abandon:
		w.ghosts = append(w.ghosts, w.live[a.child])
		delete(w.live, a.child)
	case announce:
		if w.ready {
			w.fail("announced twice")
		}
		w.ready = true
	case reply:
		w.answered[a.call]++
		if ch := w.core.named(a.call.name); ch != nil && a.call.op == opStop && a.err == nil {
			delete(w.over, ch) // now it is stopped on request
		}
	case join:
		w.joined(a)
	case leave:
		w.left(a)
	case finish:
		w.finished = true
		if len(w.live) > 0 {
			w.fail("finished with %d incarnations", len(w.live))
		}
	}
}

// mustHaveSaid: an event is numbered before its effect can be seen.
func (w *fuzzWorld) mustHaveSaid(kind EventKind, a action) {
	if !w.said[fmt.Sprint(kind, true, a.child.path, a.number)] {
		w.fail("%s#%d: no %s before it", a.child.path, a.number, kind)
	}
}

func (w *fuzzWorld) checkStart(ch *child) {
	if w.live[ch] != nil {
		w.fail("%s started while it runs", ch.path)
	}
	if n := w.ghostsOf(ch); n >= maxGhosts || n > 0 && ch.spec.Exclusive {
		w.fail("%s started beside %d abandoned incarnations", ch.path, n)
	}
	if w.closing {
		w.fail("%s started while closing", ch.path)
	}
	w.starts[ch]++
	if ch.temporary() && w.starts[ch] > 1 && !byCall(ch) && !w.excused[ch] {
		w.fail("%s is temporary and started twice", ch.path)
	}
	w.loner[ch] = w.loner[ch] || byCall(ch)
	w.checkTurn(ch)
	w.live[ch] = &fuzzRun{child: ch, loner: w.loner[ch]}
}

func (w *fuzzWorld) ghostsOf(ch *child) (n int) {
	for _, g := range w.ghosts {
		if g.child.path == ch.path {
			n++
		}
	}
	return n
}

// checkTurn: in a first start, and in a group restart, none starts before the
// earlier ones are ready. Calls wait for nobody, nor does anybody for an
// Optional child that was tried.
func (w *fuzzWorld) checkTurn(ch *child) {
	if w.core.spec.Strategy == DependentsForOne {
		w.checkNeeds(ch)
		w.checkGone(ch)
		return
	}
	grouped := w.core.spec.Strategy != OneForOne
	triedAlone := ch.spec.Optional && ch.wave == alone
	if w.shaken || w.core.spec.Concurrent || w.loner[ch] || w.starts[ch] > 1 && (!grouped || triedAlone) {
		return
	}
	for e := w.core.first; e != ch; e = e.next {
		inTurn := e.state == Ready || e.state == Stopped || e.state == Failed || e.goal != up || w.loner[e] || byCall(e) || e.spec.Optional && (w.starts[e] > 0 || e.state == Fenced)
		firstDone := w.starts[ch] == 1 && !grouped && w.starts[e] > 0 && w.everUp[e]
		if !inTurn && !firstDone {
			w.fail("%s starts while %s is %v", ch.path, e.path, e.state)
		}
	}
}

// byCall reports whether somebody waits for ch to start.
func byCall(ch *child) bool {
	for c := ch.waiting; c != nil; c = c.next {
		if c.wants() == up {
			return true
		}
	}
	return false
}

// checkStop: group stops and shutdown go from the last to the first.
func (w *fuzzWorld) checkStop(a action) {
	run := w.live[a.child]
	if run == nil || run.told {
		w.fail("%s is told to stop, though %v", a.child.path, run)
		return
	}
	run.told = true
	w.excused[a.child] = w.excused[a.child] || a.err == ErrRestart
	w.closing = w.closing || errors.Is(a.err, ErrShutdown)
	if w.core.spec.Concurrent || !errors.Is(a.err, ErrShutdown) && (w.shaken || !errors.Is(a.err, ErrSibling)) {
		return
	}
	if w.core.spec.Strategy == DependentsForOne {
		w.checkNeeded(a.child)
		return
	}
	for later := a.child.next; later != nil; later = later.next {
		// What a call started meanwhile waited for nobody.
		if run := w.live[later]; run != nil && (!run.loner || !errors.Is(a.err, ErrSibling)) {
			w.fail("%s is told to stop before %s has", a.child.path, later.path)
		}
	}
}

// recount compares the counts that the core keeps with what is there.
func (w *fuzzWorld) recount() {
	c := w.core
	w.shaken = w.shaken && !w.atRest()
	var want counts
	var ills []string
	for ch := c.first; ch != nil; ch = ch.next {
		if ch.state == Ready {
			w.everUp[ch], w.loner[ch] = true, false
			w.excused[ch] = w.excused[ch] && ch.doomed
		}
		w.excused[ch] = w.excused[ch] || ch.successor != nil || ch.doomed && ch.cause == ErrRestart
		want.move(0, ch.worth())
		if ch.status() != Up {
			ills = append(ills, ch.path)
		}
		if live := ch.state.running() || ch.state == Stopping; live != (w.live[ch] != nil) {
			w.fail("%s is %v, runs: %v", ch.path, ch.state, w.live[ch] != nil)
		}
		if waits := ch.state == BackingOff || ch.state == Starting && !ch.spec.isSupervisor(); waits && ch.queue == nil {
			w.fail("%s is %v and waits for nothing", ch.path, ch.state)
		}
		if ch.state == Ready && ch.queue != nil && ch.queue != &c.stops {
			w.fail("%s is ready and still waits for a time", ch.path)
		}
	}
	w.recountNeighbours()
	w.checkQueues()
	if c.counts != want || c.counts[allDown]+c.counts[allDegraded] != len(ills) {
		w.fail("counts are %v, want %v and %d", c.counts, want, len(ills))
	}
	if n := listed(c.ill.workers) + listed(c.ill.supervisors) + listed(c.ill.pending); n != len(ills) {
		w.fail("%d ailing children are listed, want %d", n, len(ills))
	}
	w.limit = max(w.limit, c.budget.limit.Restarts)
	if len(c.budget.spent) > w.limit+1 {
		w.fail("%d restarts within the window, the limit never was over %d", len(c.budget.spent), w.limit)
	}
	if wake := c.wake(); len(c.deferred) > 0 && c.quiet() && (wake.IsZero() || wake.After(w.now)) {
		w.fail("%d calls wait, and nothing will wake the core for them", len(c.deferred))
	}
	w.secondOpinion()
}

// recountNeighbours does so with what each child bears from those around it.
func (w *fuzzWorld) recountNeighbours() {
	for ch := w.core.first; ch != nil; ch = ch.next {
		gated, leanedOn := int32(0), int32(0)
		for _, on := range ch.needs {
			if on.stance().gates {
				gated++
			}
		}
		for by := range ch.neededBy {
			if by.stance().leans {
				leanedOn++
			}
		}
		if ch.gated != gated || ch.leanedOn != leanedOn {
			w.fail("%s bears %d and %d, want %d and %d", ch.path, ch.gated, ch.leanedOn, gated, leanedOn)
		}
		w.waitsNoLonger(ch)
	}
}

// secondOpinion judges the supervisor as S37 has it, from what its children did
// and said, and not from what the core keeps of them.
func (w *fuzzWorld) secondOpinion() {
	c, children, working, broken, perfect := w.core, 0, 0, false, true
	for ch := c.first; ch != nil; ch = ch.next {
		status := w.statusOf(ch)
		if got := ch.status(); got != status {
			w.fail("%s counts as %v, want %v", ch.path, got, status)
		}
		children++
		if status != Down {
			working++
		}
		broken = broken || status == Down && !ch.spec.Optional
		perfect = perfect && status == Up
	}
	for quorum := range children + 1 {
		want := Degraded
		if perfect {
			want = Up
		}
		if quorum == 0 && broken || working < quorum {
			want = Down
		}
		if got := c.counts.status(quorum); got != want {
			w.fail("with a quorum of %d the supervisor is %v, want %v: %d of %d work", quorum, got, want, working, children)
		}
	}
}

// statusOf returns a child's: of one that is ready it is what it says, and what
// is over without having failed takes nobody down.
func (w *fuzzWorld) statusOf(ch *child) Status {
	run := w.live[ch]
	switch ready := run != nil && run.ready && !run.told; {
	case ready && ch.spec.isSupervisor():
		return run.says
	case ready && run.slow:
		return Degraded
	case ready, w.over[ch]:
		return Up
	}
	return Down
}

// isNoFailure reports whether an incarnation that was not told to end, and is
// not started again, ended without failing.
func (w *fuzzWorld) isNoFailure(run *fuzzRun, err error) bool {
	ignored := err == ErrIgnore && !run.up && !run.child.spec.isSupervisor()
	if !run.up && run.child.manual != nil {
		return ignored // what is started by hand is to be ready
	}
	_, gaveUp := err.(*IntensityError)
	return err == nil || err == ErrAutoShutdown || ignored || gaveUp && w.core.spec.Strict
}

func (w *fuzzWorld) newIncident() *trouble {
	t := w.last.begin()
	w.involved[t], w.untold[t] = 1, true
	return t
}

// mustBeTold: what an incident began with comes before all that happens in it.
func (w *fuzzWorld) mustBeTold(a action) {
	if a.do == emit && a.within.notes(a.event) {
		delete(w.untold, a.within)
	}
	if w.untold[a.within] {
		w.fail("action %d within incident %d, which nobody was told of", a.do, a.within.id)
	}
}

func (w *fuzzWorld) joined(a action) {
	if a.within == nil {
		w.fail("somebody joins no incident")
	}
	w.involved[a.within]++
}

func (w *fuzzWorld) left(a action) {
	w.involved[a.within]--
	if a.well != (a.child != nil && a.child.state == Ready && !a.child.doomed) {
		w.fail("%s leaves well: %v", a.child.path, a.well)
	}
	if w.involved[a.within] < 0 {
		w.fail("incident %d was left once too often", a.within.id)
	}
}

// incidentsAreOver: at the end nothing is involved any more, but for the
// supervisor that gave up.
func (w *fuzzWorld) incidentsAreOver() {
	for in, n := range w.involved {
		if held := w.core.held && in == w.core.incident; n != 0 && (!held || n != 1) {
			w.fail("incident %d ends with %d involved", in.id, n)
		}
	}
}

func listed(ch *child) (n int) {
	for ; ch != nil; ch = ch.nextIll {
		n++
	}
	return n
}

func (w *fuzzWorld) fail(format string, args ...any) {
	w.t.Helper()
	for ch := w.core.first; ch != nil; ch = ch.next {
		fmt.Fprintf(&w.log, "%s %v, goal %d, wave %d, doomed %v, bears %d and %d\n", ch.path, ch.state, ch.goal, ch.wave, ch.doomed, ch.gated, ch.leanedOn)
		for _, on := range ch.needs {
			fmt.Fprintf(&w.log, "  needs %s\n", on.path)
		}
	}
	w.t.Fatalf(format+"\n%s", append(args, w.log.String())...)
}

// TestCoreUnderRandomHistories is FuzzCore on long random histories, which
// come to states that a fuzzer takes long to find.
func TestCoreUnderRandomHistories(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 50
	}
	random := rand.NewChaCha8([32]byte{1})
	for range n {
		data := make([]byte, 50+random.Uint64()%1000)
		_, _ = random.Read(data) // never fails
		newFuzzWorld(t, &fuzzBytes{data: data}).run()
	}
}
