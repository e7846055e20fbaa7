package probed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/supervisor"
)

const hunter2 = "s3cret-hunter2"

var errPoisoned = errors.New("poisoned")

// wire is a service whose connections answer as told. An incarnation's number
// is its connection.
type wire struct {
	Service[int]
	live supervisor.Ref[int]

	mu                sync.Mutex // guards the rest
	number            int
	silent, poisoned  error
	asked, askedAgain []int // which incarnations' connections were asked, and then looked behind
}

func newWire() *wire {
	w := &wire{}
	w.Live, w.Behind, w.Secret = &w.live, w.behind, hunter2
	return w
}

func (w *wire) spec(remedies ...supervisor.Remedy) supervisor.Spec {
	return supervisor.Spec{Name: "wire", Run: w.Run(w.run), Probe: w.Probe(5*time.Second, time.Second, 2, remedies)}
}

func (w *wire) run(ctx context.Context, ready func(int, Check)) error {
	w.mu.Lock()
	w.number++
	n := w.number
	w.mu.Unlock()
	ready(n, w.Checked(n, func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked = append(w.asked, n)
		return w.silent
	}))
	<-ctx.Done()
	return nil
}

func (w *wire) behind(_ context.Context, n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.askedAgain = append(w.askedAgain, n)
	return w.poisoned
}

func (w *wire) set(silent, poisoned error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent, w.poisoned = silent, poisoned
	w.asked, w.askedAgain = nil, nil
}

// S33: the probe asks the connection of the live incarnation, and no other.
func TestTheLiveIncarnationIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		tree := servicetest.Start(t, w.spec(), hunter2)
		for n := 1; n <= 3; n++ {
			tree.Await(supervisor.EventReady)
			if v, ok := w.live.Peek(); v != n || !ok {
				t.Errorf("incarnation %d published %d", n, v)
			}
			w.set(nil, nil)
			time.Sleep(6 * time.Second)
			synctest.Wait()
			if got, want := fmt.Sprint(w.asked, w.askedAgain), fmt.Sprintf("[%d] [%[1]d]", n); got != want {
				t.Errorf("in incarnation %d the probe asked %s, want %s", n, got, want)
			}
			w.set(errors.New("no "+hunter2), nil)
			if e := tree.Await(supervisor.EventImpaired); !errors.Is(e.Err, supervisor.ErrUnavailable) {
				t.Errorf("impaired because %v", e.Err)
			}
			if e := tree.Await(supervisor.EventExited); !errors.Is(e.Err, supervisor.ErrUnavailable) {
				t.Errorf("exited with %v", e.Err)
			}
			if len(w.askedAgain) != 0 {
				t.Error("it looked behind a connection that does not answer")
			}
			w.set(nil, nil)
		}
		tree.Stop()
	})
}

// S19: what is behind a connection that answers is no outage, unless it says
// so.
func TestOnlySilenceIsAnOutageByItself(t *testing.T) {
	for _, outage := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			tree := servicetest.Start(t, w.spec(), hunter2)
			tree.Await(supervisor.EventReady)
			poisoned := fmt.Errorf("%w, says %s", errPoisoned, hunter2)
			if outage {
				poisoned = fmt.Errorf("%w: %w", supervisor.ErrUnavailable, poisoned)
			}
			w.set(nil, poisoned)
			e := tree.Await(supervisor.EventExited)
			if errors.Is(e.Err, supervisor.ErrUnavailable) != outage || !strings.Contains(e.Err.Error(), "poisoned") {
				t.Errorf("exited with %v; an outage: %v", e.Err, outage)
			}
			w.set(nil, nil)
			tree.Await(supervisor.EventReady)
			tree.Stop()
		})
	}
}

// S32: what a restart would make worse impairs, until it is over, and is never
// restarted for. What is behind is looked at all the same.
func TestWhatIsMildImpairsAndIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		tree := servicetest.Start(t, w.spec(), hunter2)
		tree.Await(supervisor.EventReady)
		w.set(Mild(errors.New("read only, says "+hunter2)), nil)
		if e := tree.Await(supervisor.EventImpaired); !strings.Contains(e.Err.Error(), "read only, says") {
			t.Errorf("impaired because %v", e.Err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if tree.Seen(supervisor.EventExited) || tree.Seen(supervisor.EventRecovered) {
			t.Error("it was restarted, or recovered, for something mild")
		}
		if len(w.askedAgain) == 0 {
			t.Error("what is behind was not looked at")
		}
		w.set(nil, nil)
		tree.Await(supervisor.EventRecovered)
		w.set(Mild(errors.New("read only")), nil)
		tree.Await(supervisor.EventImpaired)
		w.set(errors.New("gone"), nil)
		tree.Await(supervisor.EventExited)
		w.set(nil, nil)
		tree.Await(supervisor.EventReady)
		tree.Stop()
	})
}

// Making a connection costs more than asking one; when it has failed, it is the
// first thing to know whether it still does.
func TestNewcomersAreTriedFromTimeToTimeAndWhileTheyFail(t *testing.T) {
	var asks, connects int
	var silent, full error
	check := Newcomers(
		func(context.Context) error { asks++; return silent },
		func(context.Context) error { connects++; return full },
	)
	for range 3 * every {
		if err := check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if asks != 3*every || connects != 3 {
		t.Errorf("%d checks asked %d times and connected %d times, want 3", 3*every, asks, connects)
	}
	full = errors.New("full")
	for range every - 1 {
		_ = check(t.Context())
	}
	for range 3 {
		if err := check(t.Context()); !IsMild(err) || !errors.Is(err, full) || !strings.Contains(err.Error(), "new connections fail") {
			t.Errorf("the check says %v", err)
		}
	}
	silent = errors.New("silent")
	if err := check(t.Context()); err != silent || IsMild(err) || connects != 6 {
		t.Errorf("the check says %v, after %d connects", err, connects)
	}
	silent, full = nil, nil
	if err := check(t.Context()); err != nil || connects != 7 {
		t.Errorf("the check says %v, after %d connects", err, connects)
	}
	if err := check(t.Context()); err != nil || connects != 7 {
		t.Errorf("the check says %v, after %d connects", err, connects)
	}
}

// S33: a remedy comes before the restart, and its error tells no secret.
func TestARemedyComesBeforeTheRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		purge := supervisor.Remedy{Name: "purge", Do: func(context.Context) error {
			w.set(nil, nil)
			return nil
		}}
		grumble := supervisor.Remedy{Name: "grumble", Do: func(context.Context) error { return errors.New("no " + hunter2) }}
		given := []supervisor.Remedy{grumble, purge}
		tree := servicetest.Start(t, w.spec(given...), hunter2)
		tree.Await(supervisor.EventReady)
		w.set(nil, errPoisoned)
		for _, want := range []struct {
			name string
			help bool
		}{{"grumble", false}, {"purge", true}} {
			if e := tree.Await(supervisor.EventRemedy); e.Remedy != want.name || (e.Err == nil) != want.help {
				t.Errorf("the event %q, want of %s", e, want.name)
			}
		}
		tree.Await(supervisor.EventRecovered)
		tree.Stop()
		if tree.Seen(supervisor.EventExited) {
			t.Error("it was restarted")
		}
		if err := given[0].Do(t.Context()); err.Error() != "no "+hunter2 {
			t.Errorf("the caller's own remedies were changed: %v", err)
		}
	})
}

func TestWithoutALiveIncarnationTheCheckSaysSo(t *testing.T) {
	err := newWire().Probe(0, 0, 0, nil).Check(t.Context())
	if !errors.Is(err, supervisor.ErrUnavailable) || !strings.Contains(err.Error(), "not connected") {
		t.Errorf("the check says %v", err)
	}
}

// S5: a Remedy without Do is a fault and not a panic.
func TestARemedyThatDoesNothingIsAFault(t *testing.T) {
	_, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{newWire().spec(supervisor.Remedy{Name: "nil"})}}, supervisor.Options{})
	if !errors.Is(err, supervisor.ErrInvalid) {
		t.Errorf("New returned %v", err)
	}
}
