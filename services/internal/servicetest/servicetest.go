// Package servicetest is the conformance test that every service passes.
//
//	func TestConformance(t *testing.T) {
//		servicetest.Run(t, servicetest.Subject{
//			New: func(t *testing.T) (supervisor.Spec, servicetest.Harm) {
//				m := miniredis.RunT(t)
//				proxy := faultproxy.Listen(t, m.Addr())
//				return New(Config{Addr: proxy.Addr}).Spec("cache"), servicetest.Harm{Do: proxy.Refuse, Undo: proxy.Pass}
//			},
//		})
//	}
//
// Each promise is a subtest with a service of its own, run as the only child
// of a real tree. Start runs such a tree for what is special to a service. Do
// not mark the tests around them parallel: goroutines of others would look
// like leaks.
package servicetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// Patience of the tests. A service under test should be configured so that it
// notices within a few seconds that its dependency is gone.
const prompt = 2 * time.Second // a stop, from the end of the context to the return of Run
var patient = time.Minute      // everything that is only waited for

// Subject is a service to be tested.
type Subject struct {
	// New returns the Spec of a fresh service in a working environment, and
	// what makes its dependency go away (the zero Harm if it has none). It is
	// called once for each promise; what it starts it ends by t.Cleanup. The
	// Spec's Backoff is the test's, its other fields are kept. Where it has
	// children, the promises are those of each worker among them.
	New func(t *testing.T) (supervisor.Spec, Harm)

	// Secrets must not appear in any error, event or snapshot, whether the
	// service works, breaks or cannot start. Make them recognisable.
	Secrets []string

	// BadStarts returns Specs that must fail: by their Fault, or by an error
	// before they are ready. Nil if there is nothing that can fail.
	BadStarts func(t *testing.T) []supervisor.Spec
}

// Harm makes a service's dependency go away, by Do, and come back, by Undo: both
// or none. Each Do is undone before its test ends. Goroutines that Undo starts
// look like leaks: those of a faultproxy do not.
type Harm struct{ Do, Undo func() }

// inflict does the harm to a service that can suffer it.
func (h Harm) inflict(t *testing.T) (undo func()) {
	undo = sync.OnceFunc(h.Undo)
	t.Cleanup(undo) // also for tests that fail halfway
	h.Do()
	return undo
}

// Run tests that s keeps the promises of a service.
func Run(t *testing.T, s Subject) {
	t.Run("BecomesReadyOnce", s.becomesReadyOnce)
	t.Run("StopsPromptly", s.stopsPromptly)
	t.Run("StopsPromptlyWhileStarting", s.stopsPromptlyWhileStarting)
	t.Run("RunsAgain", s.runsAgain)
	t.Run("IsReadyAgainAfterARestart", s.isReadyAfterRestart)
	t.Run("FailsUnavailableWithoutItsDependencyAndHealsWithIt", s.failsUnavailableAndHeals)
	t.Run("StopsPromptlyWithoutItsDependency", s.stopsPromptlyBroken)
	t.Run("BadStartsFail", s.badStartsFail)
}

func (s Subject) becomesReadyOnce(t *testing.T) {
	spec, _ := s.New(t)
	tree := Start(t, spec, s.Secrets...)
	tree.Await(supervisor.EventReady)
	tree.Stop()
	for i, inc := range tree.incarnations {
		if inc.readies != 1 {
			t.Errorf("incarnation %d called ready %d times, want once", i+1, inc.readies)
		}
	}
}

// stopsPromptly also wants nil: an incarnation that did as it was told has not
// failed.
func (s Subject) stopsPromptly(t *testing.T) {
	spec, _ := s.New(t)
	tree := Start(t, spec, s.Secrets...)
	tree.Await(supervisor.EventReady)
	tree.Stop()
	for i, inc := range tree.incarnations {
		if inc.err != nil {
			t.Errorf("incarnation %d ended its stop with %v, want nil", i+1, inc.err)
		}
	}
}

func (s Subject) stopsPromptlyWhileStarting(t *testing.T) {
	spec, _ := s.New(t)
	tree := Start(t, spec, s.Secrets...)
	tree.awaitStart()
	tree.Stop()
}

// runsAgain runs the same Spec in one tree after another: what the first
// incarnation held (a port, a file, a closed pool) must not be in the way.
func (s Subject) runsAgain(t *testing.T) {
	spec, _ := s.New(t)
	for range 3 {
		tree := Start(t, spec, s.Secrets...)
		tree.Await(supervisor.EventReady)
		tree.Stop()
		if t.Failed() {
			return
		}
	}
}

// isReadyAfterRestart wants a fresh incarnation in the place of the last one,
// while the tree lives on.
func (s Subject) isReadyAfterRestart(t *testing.T) {
	spec, _ := s.New(t)
	tree := Start(t, spec, s.Secrets...)
	tree.Await(supervisor.EventReady)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		defer cancel()
		if err := tree.Sup.Restart(ctx, tree.Path); err != nil {
			t.Fatalf("Restart returned %v", err)
		}
		tree.Await(supervisor.EventReady)
		tree.awaitWell()
	}
	tree.Stop()
}

// failsUnavailableAndHeals wants the failure of the incarnation that lost its
// dependency, by itself or by its probe, and of the next one, which never had
// it; and none of those after them keeps the service down once it is back.
func (s Subject) failsUnavailableAndHeals(t *testing.T) {
	spec, harm := s.New(t)
	if harm.Do == nil {
		t.Skip("it has no dependency")
	}
	tree := Start(t, spec, s.Secrets...)
	tree.Await(supervisor.EventReady)
	undo := harm.inflict(t)
	if e := tree.Await(supervisor.EventExited); !errors.Is(e.Err, supervisor.ErrUnavailable) {
		t.Errorf("incarnation 1 failed with %v, want an error that wraps ErrUnavailable", e.Err)
	}
	switch inc := tree.awaitEnd(2); {
	case !errors.Is(inc.err, supervisor.ErrUnavailable):
		t.Errorf("incarnation 2 ended with %v, want an error that wraps ErrUnavailable", inc.err)
	case inc.readies != 0:
		t.Error("incarnation 2 was ready without its dependency")
	}
	undo()
	tree.Await(supervisor.EventReady)
	tree.awaitWell()
	tree.Stop()
}

func (s Subject) stopsPromptlyBroken(t *testing.T) {
	spec, harm := s.New(t)
	if harm.Do == nil {
		t.Skip("it has no dependency")
	}
	tree := Start(t, spec, s.Secrets...)
	tree.Await(supervisor.EventReady)
	harm.inflict(t)
	tree.Stop()
}

func (s Subject) badStartsFail(t *testing.T) {
	if s.BadStarts == nil {
		t.Skip("none")
	}
	for i, spec := range s.BadStarts(t) {
		if spec.Fault != nil {
			s.mustNotValidate(t, i, spec)
			continue
		}
		tree := Start(t, spec, s.Secrets...)
		if inc := tree.awaitEnd(1); inc.err == nil || inc.readies != 0 {
			t.Errorf("bad start %d: ended with %v after ready was called %d times, want an error before ready", i, inc.err, inc.readies)
		}
		tree.Stop()
	}
}

func (s Subject) mustNotValidate(t *testing.T, i int, spec supervisor.Spec) {
	_, err := supervisor.New(root(spec), supervisor.Options{})
	if !errors.Is(err, spec.Fault) {
		t.Errorf("bad start %d: New returned %v, want the fault %v", i, err, spec.Fault)
	}
	wantNoSecret(t, s.Secrets, "the fault", err)
}
