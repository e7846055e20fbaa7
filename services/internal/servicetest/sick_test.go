package servicetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// sickness names, in the environment, what a toy has that is to be seen.
const sickness = "COPPICE_SICKNESS"

// toy is a service whose dependency is a switch.
type toy struct {
	sick string
	gone atomic.Bool
	held atomic.Bool // what a sick incarnation left behind
}

func (s *toy) spec() supervisor.Spec {
	return supervisor.Spec{Name: "toy", Run: s.run, Probe: &supervisor.Probe{Check: s.check, Interval: time.Millisecond, Failures: 1}}
}

func (s *toy) check(context.Context) error {
	if s.gone.Load() {
		return supervisor.ErrUnavailable
	}
	if s.held.Load() {
		return errors.New("closed")
	}
	return nil
}

func (s *toy) run(ctx context.Context, ready func()) error {
	if s.gone.Load() || s.held.Load() && s.sick != stale {
		s.held.Store(s.held.Load() || s.sick == spent)
		return fmt.Errorf("gone: %w", supervisor.ErrUnavailable)
	}
	ready()
	<-ctx.Done()
	outage := errors.Is(context.Cause(ctx), supervisor.ErrUnhealthy)
	stop := errors.Is(context.Cause(ctx), supervisor.ErrShutdown)
	s.held.Store(outage && s.sick == stale || !outage && !stop && s.sick == bound)
	return nil
}

const (
	bound = "a restart leaves its port open"
	spent = "it does not start after a failed start"
	stale = "after an outage its probe asks what was closed"
)

// breaks says which promise each sickness breaks.
var breaks = map[string]string{
	bound: "IsReadyAgainAfterARestart",
	spent: "FailsUnavailableWithoutItsDependencyAndHealsWithIt",
	stale: "FailsUnavailableWithoutItsDependencyAndHealsWithIt",
}

// TestToy runs by itself with a healthy one.
func TestToy(t *testing.T) {
	if os.Getenv(sickness) != "" {
		patient = 3 * time.Second // in vain
	}
	Run(t, Subject{New: func(*testing.T) (supervisor.Spec, Harm) {
		s := &toy{sick: os.Getenv(sickness)}
		return s.spec(), Harm{Do: func() { s.gone.Store(true) }, Undo: func() { s.gone.Store(false) }}
	}})
}

// A test that fails can only be looked at from another process.
func TestAServiceThatDoesNotHealIsSeen(t *testing.T) {
	for name, promise := range breaks {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestToy$")
			cmd.Env = append(os.Environ(), sickness+"="+name)
			out, _ := cmd.CombinedOutput() // whether it failed is in it
			if n := strings.Count(string(out), "--- FAIL: TestToy/"); n != 1 || !strings.Contains(string(out), "--- FAIL: TestToy/"+promise) {
				t.Errorf("%d promises were found to be broken, want %s\n%s", n, promise, out)
			}
		})
	}
}
