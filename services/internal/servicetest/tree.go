package servicetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coppice-go/coppice/supervisor"
)

// Tree runs one service as the only child of a root, and records what it does.
// Its methods are for the test's goroutine.
type Tree struct {
	Sup  *supervisor.Supervisor
	Path string // of the service

	t       *testing.T
	secrets []string
	cancel  context.CancelFunc
	done    chan error    // what Sup.Run returned
	others  goleak.Option // the goroutines that were there before
	probed  bool          // whether the service has a probe
	next    int           // where in events Await goes on

	mu           sync.Mutex    // guards the rest
	changed      chan struct{} // closed, and made anew, when one of them changes
	incarnations []incarnation
	events       []supervisor.Event
}

// incarnation is one call of the service's RunFunc, or of one of its workers'
// where the service is a supervisor.
type incarnation struct {
	readies int
	ended   bool
	err     error
}

// Start runs spec in a tree of its own, with a short Backoff. The goroutines
// that live by now, such as those of the service's environment, are none of
// its leaks. The secrets must not appear anywhere.
func Start(t *testing.T, spec supervisor.Spec, secrets ...string) *Tree {
	t.Helper()
	tr := &Tree{
		Path: "test/" + spec.Name, t: t, secrets: secrets,
		done: make(chan error, 1), others: goleak.IgnoreCurrent(), probed: spec.Probe != nil, changed: make(chan struct{}),
	}
	spec.Backoff = supervisor.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}
	var err error
	if tr.Sup, err = supervisor.New(root(tr.recorded(spec)), supervisor.Options{Observer: tr.observe}); err != nil {
		t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	tr.cancel = cancel
	t.Cleanup(cancel)
	go func() { tr.done <- tr.Sup.Run(ctx) }()
	return tr
}

func root(child supervisor.Spec) supervisor.Spec {
	return supervisor.Spec{Name: "test", Children: []supervisor.Spec{child}}
}

// recorded returns spec with every worker's Run recorded.
func (tr *Tree) recorded(spec supervisor.Spec) supervisor.Spec {
	if spec.Run != nil {
		spec.Run = tr.record(spec.Run)
	}
	spec.Children = slices.Clone(spec.Children)
	for i := range spec.Children {
		spec.Children[i] = tr.recorded(spec.Children[i])
	}
	return spec
}

// record wraps run so that the tree knows of its calls.
func (tr *Tree) record(run supervisor.RunFunc) supervisor.RunFunc {
	return func(ctx context.Context, ready func()) error {
		var n int
		tr.update(func() {
			n = len(tr.incarnations)
			tr.incarnations = append(tr.incarnations, incarnation{})
		})
		err := run(ctx, func() {
			tr.update(func() { tr.incarnations[n].readies++ })
			ready()
		})
		tr.update(func() { tr.incarnations[n].ended, tr.incarnations[n].err = true, err })
		return err
	}
}

func (tr *Tree) observe(e supervisor.Event) {
	tr.update(func() { tr.events = append(tr.events, e) })
}

func (tr *Tree) update(f func()) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	f()
	close(tr.changed)
	tr.changed = make(chan struct{})
}

// Await waits for the service's next event of that kind, after the one that
// the last call returned.
func (tr *Tree) Await(kind supervisor.EventKind) (found supervisor.Event) {
	tr.t.Helper()
	tr.waitFor("the event "+string(kind), func() bool {
		for tr.next < len(tr.events) {
			found = tr.events[tr.next]
			tr.next++
			if found.Path == tr.Path && found.Kind == kind {
				return true
			}
		}
		return false
	})
	return found
}

// AwaitProbe waits until the live incarnation has been probed: from then on all
// its goroutines run.
func (tr *Tree) AwaitProbe() {
	tr.t.Helper()
	tr.awaitNode("probed", func(node supervisor.Snapshot) bool { return node.Probe != nil })
}

// awaitWell waits until the service is up and, if it has a probe, until the
// live incarnation has passed it: ready is what it says itself.
func (tr *Tree) awaitWell() {
	tr.t.Helper()
	tr.awaitNode("well", func(node supervisor.Snapshot) bool {
		passed := node.Probe != nil && node.Probe.Err == nil
		return node.Status == supervisor.Up && (passed || !tr.probed)
	})
}

func (tr *Tree) awaitNode(what string, condition func(supervisor.Snapshot) bool) {
	tr.t.Helper()
	deadline := time.After(patient)
	for {
		if node, _ := tr.Sup.Snapshot().Find(tr.Path); condition(node) {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			tr.t.Fatalf("not %s after %v\n%s", what, patient, tr.story())
		}
	}
}

// Seen reports whether the service had an event of that kind.
func (tr *Tree) Seen(kind supervisor.EventKind) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, e := range tr.events {
		if e.Path == tr.Path && e.Kind == kind {
			return true
		}
	}
	return false
}

// awaitStart waits until the first incarnation runs.
func (tr *Tree) awaitStart() {
	tr.t.Helper()
	tr.waitFor("a start", func() bool { return len(tr.incarnations) > 0 })
}

// awaitEnd waits until the nth incarnation, counted from 1, has ended.
func (tr *Tree) awaitEnd(n int) (inc incarnation) {
	tr.t.Helper()
	tr.waitFor(fmt.Sprintf("the end of incarnation %d", n), func() bool {
		if n > len(tr.incarnations) {
			return false
		}
		inc = tr.incarnations[n-1]
		return inc.ended
	})
	return inc
}

// waitFor waits until condition, which is called with the lock held, is true.
func (tr *Tree) waitFor(what string, condition func() bool) {
	tr.t.Helper()
	deadline := time.After(patient)
	for {
		tr.mu.Lock()
		ok, changed := condition(), tr.changed
		tr.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			tr.t.Fatalf("no sign of %s after %v\n%s", what, patient, tr.story())
		}
	}
}

// Stop ends the tree and checks what must hold of every run: it stopped
// promptly, nothing leaked, and no secret was told.
func (tr *Tree) Stop() {
	tr.t.Helper()
	tr.wantNoSecret("the snapshot", tr.Sup.Snapshot())
	begin := time.Now()
	tr.cancel()
	select {
	case err := <-tr.done:
		if took := time.Since(begin); took > prompt {
			tr.t.Errorf("stopping took %v, want at most %v\n%s", took, prompt, tr.story())
		}
		if err != nil {
			tr.t.Errorf("the tree ended with %v", err)
		}
	case <-time.After(patient):
		tr.t.Fatalf("not stopped after %v\n%s", patient, tr.story())
	}
	tr.wantNoLeak()
	tr.wantNoSecrets()
}

// network are a fault proxy's goroutines, which are no leaks of a service.
var network = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/coppice-go/coppice/supervisor/suptest/faultproxy.(*link).serve"),
	goleak.IgnoreAnyFunction("github.com/coppice-go/coppice/supervisor/suptest/faultproxy.(*link).pump"),
}

func (tr *Tree) wantNoLeak() {
	tr.t.Helper()
	var err error
	for begin := time.Now(); time.Since(begin) < prompt; {
		if err = goleak.Find(append(slices.Clone(network), tr.others)...); err == nil {
			return
		}
	}
	tr.t.Errorf("goroutines leaked: %v", err)
}

func (tr *Tree) wantNoSecrets() {
	tr.t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i, inc := range tr.incarnations {
		tr.wantNoSecret(fmt.Sprintf("the error of incarnation %d", i+1), inc.err)
	}
	for _, e := range tr.events {
		tr.wantNoSecret("an event", e)
	}
}

func (tr *Tree) wantNoSecret(what string, v any) {
	tr.t.Helper()
	wantNoSecret(tr.t, tr.secrets, what, v)
}

// wantNoSecret looks at v in the ways in which loggers print it.
func wantNoSecret(t *testing.T, secrets []string, what string, v any) {
	t.Helper()
	for _, secret := range secrets {
		for _, format := range []string{"%v", "%+v", "%#v"} {
			if strings.Contains(fmt.Sprintf(format, v), secret) {
				t.Errorf("%s, printed with %s, tells the secret %q", what, format, secret)
			}
		}
	}
}

// story is what happened, for failure messages.
func (tr *Tree) story() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var b strings.Builder
	for _, e := range tr.events {
		fmt.Fprintln(&b, e)
	}
	return b.String()
}
