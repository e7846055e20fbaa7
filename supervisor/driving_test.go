package supervisor

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// TestBugIsNotTakenForTheWorkersPanic: a bug of ours that shows while a worker
// says ready, and so in its goroutine, ends the process, though the worker's
// own panics are caught: a broken tree must not look alive.
func TestBugIsNotTakenForTheWorkersPanic(t *testing.T) {
	if os.Getenv("COPPICE_TEST_BUG") != "" {
		sayReadyToABrokenCore(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.timeout=10s", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "COPPICE_TEST_BUG=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("panic: ")) || !bytes.Contains(out, []byte("(*runner).step")) {
		t.Errorf("the process ended with %v:\n%s", err, out)
	}
}

// sayReadyToABrokenCore returns if that ends nothing.
func sayReadyToABrokenCore(t *testing.T) {
	second, broken := make(chan struct{}), make(chan struct{})
	r := newTestRunnerOf(t, Spec{Name: "w", Backoff: NoBackoff, Run: func(ctx context.Context, ready func()) error {
		if IncarnationFrom(ctx) == 1 {
			return errors.New("crash") // whose goroutine has seen to inputs then
		}
		close(second)
		<-broken
		defer func() { _ = recover() }() // of a worker that is careful
		ready()
		return nil
	}})
	for r.drive(nil, nil, 2) {
	}
	<-second
	for !r.inbox.claim() {
		time.Sleep(time.Millisecond)
	}
	r.core = nil
	r.drive(nil, nil, 1) // and drives no more
	close(broken)
	time.Sleep(time.Second)
	os.Exit(0)
}

// TestDeadlineThatNeverComesCutsNothingShort: one that is further away than an
// instant can be is the last instant, not the first.
func TestDeadlineThatNeverComesCutsNothingShort(t *testing.T) { // S26
	now := time.Now()
	spec := Spec{Name: "app", Children: []Spec{{Name: "w", StopTimeout: time.Second, Run: Func(func(context.Context) error { return nil })}}}
	c := newCore(now, &spec, "app", surroundings{haunts: func(*child) int { return 0 }, newIncident: func() *trouble { return &trouble{} }})
	now = now.Add(time.Second)
	c.step(now, input{kind: began})
	ch := c.first
	c.step(now, input{kind: becameUp, child: ch, number: 1})
	c.step(now, input{kind: asked, call: newCall(opStop, "w")})
	if ch.state != Stopping {
		t.Fatalf("it is %v", ch.state)
	}
	c.deadline = now.Add(math.MaxInt64)
	c.step(now, input{kind: toldStop, err: ErrShutdown})
	if wake := c.wake(); wake.Sub(now) != time.Second {
		t.Errorf("the worker is given up in %v, want 1s", wake.Sub(now))
	}
}

// TestReadyOfASupervisorDrivesNobodyAbove: who makes the steps of a supervisor
// has those to make; the one above, which may be held up by who reads it, sees
// to its readiness itself.
func TestReadyOfASupervisorDrivesNobodyAbove(t *testing.T) {
	fail := make(chan error)
	worker := Func(func(ctx context.Context) error {
		select {
		case err := <-fail:
			return err
		case <-ctx.Done():
			return nil
		}
	})
	gate := make(chan struct{}, 1)
	sup, err := New(Spec{Name: "app", Children: []Spec{{Name: "below", Backoff: NoBackoff, Children: []Spec{
		{Name: "w", Run: worker}, {Name: "last", Run: func(ctx context.Context, ready func()) error {
			select {
			case <-gate:
			case <-ctx.Done():
				return nil
			}
			ready()
			<-ctx.Done()
			return nil
		}},
	}}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sup.Run(ctx) }()
	gate <- struct{}{}
	if err := sup.WaitReady(t.Context(), "app/below/last"); err != nil {
		t.Fatal(err)
	}
	fail <- ErrEscalate
	for {
		if snap, _ := sup.Find("app/below"); snap.Incarnation == 2 && snap.State == Starting {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := sup.WaitReady(t.Context(), "app/below/w"); err != nil {
		t.Fatal(err)
	}
	above, below := sup.root.unit.below.Load(), sup.root.unit.below.Load().core.named("below").unit.below.Load()
	above.access.read() // somebody reads it, and is slow
	gate <- struct{}{}
	c := newCall(opChildren, "")
	for below.post(&input{kind: asked, call: c}) {
		limit, stop := context.WithTimeout(t.Context(), 3*time.Second)
		select {
		case <-c.answer:
		case <-limit.Done():
			t.Error("a supervisor that is ready waits for the one above")
		}
		stop()
		if t.Failed() || c.children[1].State == Ready {
			break
		}
		c = newCall(opChildren, "")
	}
	above.access.done()
	cancel()
	<-ended
}

// TestProbeHasNoOtherWorkersLabels: whoever makes the step that begins a probe,
// the probe's goroutine is not counted as that worker's.
func TestProbeHasNoOtherWorkersLabels(t *testing.T) { // S41
	labels := make(chan string, 10)
	probed := Spec{Name: "probed", Probe: &Probe{Interval: time.Millisecond, Check: func(ctx context.Context) error {
		var b bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
		for _, block := range strings.Split(b.String(), "\n\n") {
			if strings.Contains(block, "TestProbeHasNoOtherWorkersLabels.func1") {
				select {
				case labels <- block:
				default:
				}
			}
		}
		return nil
	}}}
	probed.Run = func(ctx context.Context, ready func()) error {
		if IncarnationFrom(ctx) == 1 {
			return errors.New("crash")
		}
		pprof.Do(ctx, pprof.Labels("path", "somebody"), func(context.Context) { ready() })
		<-ctx.Done()
		return nil
	}
	probed.Backoff = NoBackoff
	sup, err := New(Spec{Name: "app", Children: []Spec{probed}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sup.Run(ctx) }()
	if block := <-labels; strings.Contains(block, "somebody") {
		t.Errorf("the check runs as\n%s", block)
	}
	cancel()
	<-ended
}
