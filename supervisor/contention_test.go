package supervisor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestNoLockIsHeldAcrossUserCode: whatever of the user's the tree calls may ask
// the tree anything, even the methods of errors. A lock held by the caller
// would hang this test.
func TestNoLockIsHeldAcrossUserCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asker{}
		var mended atomic.Bool
		worker := a.ref.Run(func(ctx context.Context, ready func(int)) error {
			a.ask("run")
			defer a.ask("defer")
			ready(1)
			a.ask("after ready")
			Impaired(ctx, &askingError{a})
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
			}
			return &askingError{a}
		})
		check := func(context.Context) error {
			a.ask("check")
			if mended.Load() {
				return nil
			}
			return &askingError{a}
		}
		mend := func(context.Context) error {
			a.ask("remedy")
			mended.Store(true)
			return &askingError{a}
		}
		spec := Spec{Name: "app", Children: []Spec{{Name: "w", Run: worker,
			Probe: &Probe{Check: check, Interval: time.Second, Failures: 2, Remedies: []Remedy{{Name: "mend", Do: mend}}}}}}
		stop := a.run(t, spec, Options{Observer: func(e Event) { a.ask("observer"); _ = e.String() }})
		time.Sleep(90 * time.Second)
		for snap := range a.tree.All("") {
			a.ask("yield")
			_ = snap.Why()
		}
		_ = a.ref.Do(t.Context(), func(context.Context, int) error { a.ask("do"); return nil })
		stop()
		for _, where := range []string{"run", "defer", "after ready", "check", "remedy", "observer", "yield", "do", "Error", "Is"} {
			if a.asked(where) == 0 {
				t.Errorf("nothing was asked in %s", where)
			}
		}
	})
}

// An asker asks its tree all that can be asked without waiting.
type asker struct {
	tree *Supervisor
	ref  Ref[int]

	mu    sync.Mutex // guards times
	times map[string]int
}

func (a *asker) run(t *testing.T, spec Spec, opts Options) (stop func()) {
	t.Helper()
	var err error
	if a.tree, err = New(spec, opts); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.tree.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func (a *asker) ask(where string) {
	_ = a.tree.Snapshot()
	_, _ = a.tree.Find("app/w")
	_, _ = a.tree.StatusOf("app/w")
	_, _ = a.tree.Status(), a.tree.Alive()
	_, _ = a.tree.Diff(Spec{Name: "app", Children: []Spec{}})
	_ = a.tree.Incidents()
	_, _ = a.ref.Peek()
	_ = a.ref.RetryAfter()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.times == nil {
		a.times = make(map[string]int)
	}
	a.times[where]++
}

func (a *asker) asked(where string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.times[where]
}

type askingError struct{ *asker }

func (e *askingError) Error() string   { e.ask("Error"); return "asked" }
func (e *askingError) Is(error) bool   { e.ask("Is"); return false }
func (e *askingError) Unwrap() []error { e.ask("Unwrap"); return nil }

// TestALockHoldsUpItsOwnSupervisorOnly: while somebody who reads one supervisor
// holds its lock for ever, its neighbour heals, and the tree, its neighbour and
// what that holds can be asked.
func TestALockHoldsUpItsOwnSupervisorOnly(t *testing.T) {
	a := &asker{}
	crash, ran := make(chan struct{}), make(chan struct{}, 2)
	worker := a.ref.Run(func(ctx context.Context, ready func(int)) error {
		ready(1)
		ran <- struct{}{}
		select {
		case <-crash:
			return errors.New("crash")
		case <-ctx.Done():
			return nil
		}
	})
	stop := a.run(t, Spec{Name: "app", Children: []Spec{
		{Name: "held", Children: []Spec{{Name: "w", Run: Func(func(ctx context.Context) error { <-ctx.Done(); return nil })}}},
		{Name: "free", Children: []Spec{{Name: "w", Run: worker, Backoff: NoBackoff}}},
	}}, Options{})
	<-ran
	if err := a.tree.WaitReady(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	held, err := a.tree.runnerAt("app/held")
	if err != nil {
		t.Fatal(err)
	}
	held.access.read()
	crash <- struct{}{}
	<-ran
	if err := a.tree.WaitReady(t.Context(), "app/free"); err != nil {
		t.Error(err)
	}
	if _, err := a.ref.Get(t.Context()); err != nil {
		t.Error(err)
	}
	if snap, err := a.tree.Find("app/free/w"); err != nil || snap.Incarnation != 2 {
		t.Errorf("app/free/w is %v, %v; want its second incarnation", snap, err)
	}
	if err := a.tree.Restart(t.Context(), "app/free/w"); err != nil {
		t.Error(err)
	}
	if err := a.tree.Alive(); err != nil {
		t.Error(err)
	}
	held.access.done()
	stop()
}

// TestATreeWithAStuckLoopIsNotAlive: a step that does not end, here because it
// waits for a random number, can heal nothing; once it has ended all is well.
func TestATreeWithAStuckLoopIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asker{}
		crash, release := make(chan struct{}), make(chan struct{})
		worker := Func(func(ctx context.Context) error {
			select {
			case <-crash:
				return errors.New("crash")
			case <-ctx.Done():
				return nil
			}
		})
		stop := a.run(t, Spec{Name: "app", Children: []Spec{{Name: "sub", Children: []Spec{{Name: "w", Run: worker}}}}}, Options{})
		after := func(d time.Duration, want error) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if err := a.tree.Alive(); !errors.Is(err, want) {
				t.Errorf("Alive says %v, want %v", err, want)
			}
		}
		after(time.Minute, nil)
		sub, err := a.tree.runnerAt("app/sub")
		if err != nil {
			t.Fatal(err)
		}
		sub.access.read()
		sub.core.random = func() float64 { <-release; return 0.5 }
		sub.access.done()
		crash <- struct{}{}
		after(stuckAfter-time.Nanosecond, nil)
		after(time.Nanosecond, ErrStuck)
		after(time.Minute, ErrStuck)
		close(release)
		after(time.Second, nil)
		stop()
	})
}

// TestReadingTheRootsStatusTakesNoLock: what a probe asks is answered while a
// storm, or somebody who reads the root, holds its lock for ever.
func TestReadingTheRootsStatusTakesNoLock(t *testing.T) { // S37
	a := &asker{}
	stop := a.run(t, Spec{Name: "app", Children: []Spec{}}, Options{})
	if err := a.tree.WaitReady(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	root := a.tree.root.unit.below.Load()
	root.access.read()
	answered := make(chan Status)
	go func() {
		_, _, _ = a.tree.Started(), a.tree.Draining(), a.tree.Alive()
		answered <- a.tree.Status()
	}()
	select {
	case status := <-answered:
		if status != Up {
			t.Errorf("the status is %v", status)
		}
		root.access.done()
	case <-time.After(10 * time.Second):
		t.Error("reading the status waits for a lock")
		root.access.done()
		<-answered
	}
	stop()
}
