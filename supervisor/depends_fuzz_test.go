package supervisor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// FuzzDependents is FuzzCore for a DependentsForOne supervisor with parked and
// roused children.
func FuzzDependents(f *testing.F) { // S12, S16, S17, S23, S29
	random := rand.NewChaCha8([32]byte{2})
	for range seeds() {
		data := make([]byte, 200)
		_, _ = random.Read(data) // never fails
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { newDependsWorld(t, data).run() })
}

// TestDependentsUnderRandomHistories is FuzzDependents on long histories.
func TestDependentsUnderRandomHistories(t *testing.T) { // S12, S16, S17, S23, S29
	n := 5_000
	if testing.Short() {
		n = 50
	}
	random := rand.NewChaCha8([32]byte{3})
	for range n {
		data := make([]byte, 50+random.Uint64()%1000)
		_, _ = random.Read(data) // never fails
		newDependsWorld(t, data).run()
	}
}

func newDependsWorld(t *testing.T, data []byte) *fuzzWorld {
	w := newFuzzWorld(t, &fuzzBytes{data: data})
	w.fixed = true
	spec := w.dependsSpec()
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	w.core = newCore(w.now, &spec, "root", surroundings{haunts: w.ghostsOf, newIncident: w.newIncident})
	w.core.random = func() float64 { return float64(w.bytes.next()) / 256 }
	w.log.Reset()
	fmt.Fprintf(&w.log, "%v quorum=%d auto=%v\n", spec.Intensity, spec.Quorum, spec.AutoShutdown)
	for i := range spec.Children {
		c := &spec.Children[i]
		fmt.Fprintf(&w.log, "  %s needs %v %v optional=%v exclusive=%v attempts=%d sup=%v\n", c.Name, c.DependsOn, c.Restart, c.Optional, c.Exclusive, c.Backoff.Attempts, c.isSupervisor())
	}
	return w
}

// dependsSpec describes a DAG whose edges lead all backwards in start order,
// or all forwards.
func (w *fuzzWorld) dependsSpec() Spec {
	b := w.bytes
	s := Spec{Name: "root", Children: []Spec{}, Strategy: DependentsForOne, Intensity: Unlimited}
	if b.chance(3) {
		s.Intensity = Intensity{Restarts: b.below(20), Within: time.Minute}
	}
	s.AutoShutdown = AutoShutdown(b.below(3))
	var names []string // that may be depended on
	for i := range b.below(7) {
		c := w.childSpec(fmt.Sprint("c", i), s.AutoShutdown)
		c.DependsOn = w.some(names)
		w.mayTire(&c)
		s.Children = append(s.Children, c)
		if c.Restart != Temporary {
			names = append(names, c.Name)
		}
	}
	if b.chance(2) {
		slices.Reverse(s.Children)
	}
	return s
}

func (w *fuzzWorld) mayTire(c *Spec) {
	if w.bytes.chance(2) {
		c.Backoff.Attempts, c.Backoff.Park = 1+w.bytes.below(3), 10*time.Second
		c.Optional = !w.bytes.chance(8)
	}
}

func (w *fuzzWorld) some(names []string) (some []string) {
	for _, name := range names {
		if w.bytes.chance(3) {
			some = append(some, name)
		}
	}
	return some
}

// checkNeeds: nobody starts before what it needs is ready or at rest.
func (w *fuzzWorld) checkNeeds(ch *child) {
	for _, on := range ch.needs {
		if on.state == Stopped || on.goal != up {
			w.checkNeeds(on) // who needs it needs what it needs
		} else if !w.letsPass(on) {
			w.fail("%s is needed by what starts, and is %v", on.path, on.state)
		}
	}
}

// checkGone: nobody starts with its group before those that went down with it have
// gone. An Apply may have it that somebody who is going needs it only now.
func (w *fuzzWorld) checkGone(ch *child) {
	for by, run := range w.live {
		if !w.shaken && ch.wave == groupMove && w.leansOn(by, ch) && run.told && errors.Is(by.cause, ErrSibling) {
			w.fail("%s starts before %s, which needs it, has gone", ch.path, by.path)
		}
	}
}

// leansOn reports whether by needs ch, by way of none or of those that do not
// run: one that runs did not go down with ch, and stands for those that need it.
func (w *fuzzWorld) leansOn(by, ch *child) bool {
	return slices.ContainsFunc(by.needs, func(on *child) bool { return on == ch || w.live[on] == nil && w.leansOn(on, ch) })
}

// letsPass reports whether those that need on may start.
func (w *fuzzWorld) letsPass(on *child) bool {
	tried := w.starts[on] > 0 || w.loner[on] || byCall(on) || on.state == Fenced
	return on.state == Ready || on.state == Failed || on.state == Parked || on.spec.Optional && tried
}

// needs reports whether by needs ch, or something that does.
func needs(by, ch *child) bool {
	return slices.ContainsFunc(by.needs, func(on *child) bool { return on == ch || needs(on, ch) })
}

// checkNeeded: nobody stops in order before what needs it.
func (w *fuzzWorld) checkNeeded(ch *child) {
	for by := range w.live {
		if needs(by, ch) {
			w.fail("%s is told to stop before %s, which needs it, has", ch.path, by.path)
		}
	}
}

// checkQueues: who waits first is the one whose turn it is.
func (w *fuzzWorld) checkQueues() {
	for _, q := range []*queue{&w.core.stops, &w.core.starts} {
		for _, waits := range q.heap {
			if q.key(waits.child) < q.key(q.peek()) {
				w.fail("%s waits behind %s", waits.child.path, q.peek().path)
			}
		}
	}
}

// A pause is a child's wait for its next start.
type pause struct {
	incarnation uint64
	due         instant
}

// waitsNoLonger: nobody's wait becomes longer.
func (w *fuzzWorld) waitsNoLonger(ch *child) {
	if ch.state != BackingOff && ch.state != Parked {
		delete(w.pauses, ch)
		return
	}
	if ch.queue != &w.core.due && ch.queue != &w.core.again {
		w.fail("%s is %v and waits for nothing", ch.path, ch.state)
	}
	before, waited := w.pauses[ch]
	if waited && before.incarnation == ch.incarnation && ch.due > before.due {
		w.fail("%s was to start at %v, now at %v", ch.path, before.due, ch.due)
	}
	w.pauses[ch] = pause{ch.incarnation, ch.due}
}
