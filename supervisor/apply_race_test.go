package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// TestApplyAmongOtherCalls: many goroutines apply different Specs, add, remove,
// stop, start and restart, while workers crash. Every call is answered; one more
// Apply makes exactly what its Spec says, and what was added.
func TestApplyAmongOtherCalls(t *testing.T) { // S31, S30
	for seed := range uint64(scale(8, 1)) {
		sup, stop := run(t, crashingTree(t, rand.New(rand.NewPCG(seed, 0)), 20), supervisor.Options{MaxAbandoned: -1})
		var callers sync.WaitGroup
		for caller := range uint64(30) {
			callers.Go(func() { applyAtRandom(t, sup, rand.New(rand.NewPCG(seed, 1+caller))) })
		}
		callers.Wait()
		final := crashingTree(t, rand.New(rand.NewPCG(seed, 1000)), 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		startStopped(ctx, t, sup)
		// A crash of what still runs by an earlier Spec can take down the
		// supervisor of what was to start; then that comes up with it.
		if err := sup.Apply(ctx, final); err != nil && !errors.Is(err, errCrash) && !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("seed %d: the last Apply: %v\n%v", seed, err, sup.Snapshot())
		}
		startStopped(ctx, t, sup) // by a group restart below Strict, some may be
		if err := sup.WaitReady(ctx, ""); err != nil {
			t.Errorf("seed %d: then it is not ready: %v\n%v", seed, err, sup.Snapshot())
		}
		cancel()
		if diff, err := sup.Diff(final); len(diff) > 0 || err != nil {
			t.Errorf("seed %d: then Diff is %v, %v", seed, diff, err)
		}
		if got, want := staticPaths(sup.Snapshot()), paths(final, ""); !slices.Equal(got, want) {
			t.Errorf("seed %d: the static children are %v, want %v", seed, got, want)
		}
		if err := stop(); err != nil {
			t.Errorf("seed %d: Run returned %v", seed, err)
		}
	}
}

// crashingTree has crashing workers below supervisors, two deep.
func crashingTree(t *testing.T, random *rand.Rand, crashes int64) supervisor.Spec {
	supervise := func(name string, children ...supervisor.Spec) supervisor.Spec {
		s := supervisor.Spec{Name: name, Strategy: supervisor.Strategy(random.IntN(4)), Intensity: supervisor.Unlimited, Backoff: supervisor.NoBackoff, Children: append([]supervisor.Spec{}, children...)}
		random.Shuffle(len(s.Children), func(i, j int) { s.Children[i], s.Children[j] = s.Children[j], s.Children[i] })
		s.Children = s.Children[:len(children)-random.IntN(2)]
		return s
	}
	worker := func(name string) supervisor.Spec {
		s := crashing(t, name, crashes)
		s.Revision = fmt.Sprint(random.IntN(2))
		s.Optional = random.IntN(4) == 0
		return s
	}
	var groups []supervisor.Spec
	for i := range 3 {
		name := fmt.Sprint("s", i)
		if random.IntN(5) == 0 {
			groups = append(groups, worker(name))
		} else {
			groups = append(groups, supervise(name, worker("a"), worker("b"), supervise("c", worker("a"), worker("b"))))
		}
	}
	root := supervise("app", groups...)
	root.Strategy = supervisor.OneForOne
	return root
}

func applyAtRandom(t *testing.T, sup *supervisor.Supervisor, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range scale(15, 5) {
		path := fmt.Sprintf("app/s%d", random.IntN(3))
		if random.IntN(3) > 0 {
			path += "/" + string("abc"[random.IntN(3)])
		}
		var err error
		switch random.IntN(7) {
		case 0, 1:
			err = sup.Apply(ctx, crashingTree(t, random, 20))
		case 2:
			err = sup.Stop(ctx, path)
		case 3:
			err = sup.Start(ctx, path)
		case 4:
			err = sup.Restart(ctx, path)
		case 5:
			err = sup.Remove(ctx, path)
		case 6:
			_, err = sup.Add(ctx, path, crashing(t, fmt.Sprint("d", random.Uint64()), 0))
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call %d was not answered: %v\n%v", i, err, sup.Snapshot())
			return
		}
	}
}

// startStopped starts what calls have stopped.
func startStopped(ctx context.Context, t *testing.T, sup *supervisor.Supervisor) {
	for snap := range sup.Snapshot().All() {
		if snap.State == supervisor.Stopped {
			if err := sup.Start(ctx, snap.Path); errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Start(%s): %v", snap.Path, err)
			}
		}
	}
}

// paths lists what a Spec plans.
func paths(s supervisor.Spec, above string) []string {
	at := strings.TrimPrefix(above+"/"+s.Name, "/")
	list := []string{at}
	for _, child := range s.Children {
		list = append(list, paths(child, at)...)
	}
	return list
}

// staticPaths lists what is there, but for what calls have added.
func staticPaths(snap supervisor.Snapshot) (list []string) {
	for node := range snap.All() {
		if !strings.HasPrefix(node.Name(), "d") {
			list = append(list, node.Path)
		}
	}
	return list
}

// TestSupervisorThatRestartsFindsItsNewSpec: it is just being made when an Apply
// passes by.
func TestSupervisorThatRestartsFindsItsNewSpec(t *testing.T) { // S31
	var crash atomic.Int64
	sub := func(revision int) supervisor.Spec {
		return supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited, Children: []supervisor.Spec{
			{Name: "sub", Backoff: supervisor.NoBackoff, Children: []supervisor.Spec{
				{Name: fmt.Sprint("w", revision), Run: supervisor.Func(func(ctx context.Context) error {
					for crash.Load() == 0 || crash.Add(-1) < 0 {
						select {
						case <-ctx.Done():
							return nil
						case <-time.After(time.Microsecond):
						}
					}
					return supervisor.ErrEscalate
				})},
			}},
		}}
	}
	sup, stop := run(t, sub(0), supervisor.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range scale(1000, 30) {
		crash.Store(1)
		var appliers sync.WaitGroup
		for range 3 {
			appliers.Go(func() { _ = sup.Apply(ctx, sub(-1)) })
		}
		appliers.Wait()
		_ = sup.Apply(ctx, sub(i)) // may find sub restarting
		crash.Store(0)
		if err := sup.WaitReady(ctx, fmt.Sprint("app/sub/w", i)); err != nil && !errors.Is(err, supervisor.ErrNotFound) {
			t.Fatal(err)
		}
		for diff := []supervisor.Change{{}}; len(diff) > 0 && ctx.Err() == nil; {
			diff, _ = sup.Diff(sub(i))
		}
		if ctx.Err() != nil {
			t.Fatalf("round %d: it never gets its Spec:\n%v", i, sup.Snapshot())
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
