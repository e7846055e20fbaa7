// Package suptest runs a tree in virtual time. Its tests stand in a
// testing/synctest bubble, so that backoffs and timeouts pass at once and in
// order. A tree and all who call it must be in the same bubble:
//
//	synctest.Test(t, func(t *testing.T) {
//		db := suptest.NewWorker()
//		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{db.Spec("db")}}, supervisor.Options{})
//		db.Fail(errors.New("connection refused"))
//		tree.Settle()
//		tree.RequireState("shop/db", supervisor.Ready)
//	})
package suptest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// A Tree is a running Supervisor whose events are all kept. It is stopped at
// the end of the test, if not before. Its methods are for the test's goroutine.
type Tree struct {
	*supervisor.Supervisor
	t      *testing.T
	start  time.Time
	cancel context.CancelFunc
	result chan error
	err    error
	ended  bool

	mu     sync.Mutex // guards events
	events []supervisor.Event
}

// Start runs spec and returns once all is quiet: every goroutine of the bubble
// waits for something. Options.Observer is called too, if set.
func Start(t *testing.T, spec supervisor.Spec, opts supervisor.Options) *Tree {
	t.Helper()
	return StartContext(t.Context(), t, spec, opts)
}

// StartContext is Start with the context for Run.
func StartContext(ctx context.Context, t *testing.T, spec supervisor.Spec, opts supervisor.Options) *Tree {
	t.Helper()
	tree := &Tree{t: t, start: time.Now(), result: make(chan error, 1)}
	also := opts.Observer
	opts.Observer = func(e supervisor.Event) {
		tree.keep(e)
		if also != nil {
			also(e)
		}
	}
	opts.EventBuffer = max(opts.EventBuffer, 1<<16)
	sup, err := supervisor.New(spec, opts)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	tree.Supervisor = sup
	ctx, tree.cancel = context.WithCancel(ctx)
	t.Cleanup(tree.cleanup)
	go func() { tree.result <- sup.Run(ctx) }()
	synctest.Wait()
	return tree
}

// cleanup leaves time for what was abandoned to end, too.
func (tree *Tree) cleanup() {
	_ = tree.Shutdown() // the test has looked at it, or does not care
	tree.Sleep(time.Hour)
}

func (tree *Tree) keep(e supervisor.Event) {
	tree.mu.Lock()
	defer tree.mu.Unlock()
	tree.events = append(tree.events, e)
}

// Settle lets time pass until nothing has happened for a minute, longer than
// any default backoff or timeout, and no event is still to be kept.
func (tree *Tree) Settle() {
	for before := -1; before != len(tree.Events()); {
		before = len(tree.Events())
		tree.Sleep(time.Minute)
	}
}

// Sleep lets d pass and waits until all is quiet.
func (tree *Tree) Sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Cancel ends Run's context and returns once all is quiet; Run may still wait
// for time to pass.
func (tree *Tree) Cancel() {
	tree.cancel()
	synctest.Wait()
}

// Shutdown ends Run's context and returns what Run returned.
func (tree *Tree) Shutdown() error {
	tree.cancel()
	return tree.Wait()
}

// Wait waits for Run to return, and returns its error.
func (tree *Tree) Wait() error {
	if !tree.ended {
		tree.err, tree.ended = <-tree.result, true
		synctest.Wait()
		if n := tree.Dropped(); n > 0 {
			tree.t.Errorf("suptest: %d events were dropped", n)
		}
	}
	return tree.err
}

// Ended reports whether Run has returned.
func (tree *Tree) Ended() bool {
	synctest.Wait()
	if !tree.ended && len(tree.result) > 0 {
		_ = tree.Wait()
	}
	return tree.ended
}

// Events returns what has happened so far.
func (tree *Tree) Events() []supervisor.Event {
	synctest.Wait()
	tree.mu.Lock()
	defer tree.mu.Unlock()
	return slices.Clone(tree.events)
}

// Forget drops the events so far, so that a trace begins here.
func (tree *Tree) Forget() {
	synctest.Wait()
	tree.mu.Lock()
	defer tree.mu.Unlock()
	tree.events = nil
}

// Trace returns the events as text, a line each, in the order of their
// numbers: the time since Start, and the event's own wording. What different
// supervisors do independently of each other at one instant has no order; a
// test that compares traces should not let that happen.
func (tree *Tree) Trace() string {
	events := tree.Events()
	slices.SortFunc(events, func(a, b supervisor.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%-8v %v\n", e.Time.Sub(tree.start), e)
	}
	return b.String()
}

// RequireState fails the test unless the node at path is in state want.
func (tree *Tree) RequireState(path string, want supervisor.State) {
	tree.t.Helper()
	synctest.Wait()
	snap, err := tree.Find(path)
	if err != nil {
		tree.t.Fatal(err)
	}
	if snap.State != want {
		tree.t.Fatalf("%s is %v, want %v\n%v", path, snap.State, want, tree.Snapshot())
	}
}

// RequireStatus fails the test unless the node at path has status want.
func (tree *Tree) RequireStatus(path string, want supervisor.Status) {
	tree.t.Helper()
	synctest.Wait()
	snap, err := tree.Find(path)
	if err != nil {
		tree.t.Fatal(err)
	}
	if snap.Status != want {
		tree.t.Fatalf("%s is %v, want %v\n%v", path, snap.Status, want, tree.Snapshot())
	}
}
