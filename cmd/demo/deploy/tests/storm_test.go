package tests

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/kubernetes/pkg/probe"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

// These trees are the test's own: the demo cannot be made to behave so badly.

// serve runs a tree, with its probes, until the test ends.
func serve(t *testing.T, spec supervisor.Spec) (sup *supervisor.Supervisor, addr string) {
	t.Helper()
	sup, err := supervisor.New(spec, supervisor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	probes, err := health.Serve("127.0.0.1:0", sup)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sup.Run(ctx) // some give up
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = probes.Shutdown(context.Background())
	})
	return sup, probes.Addr()
}

func idle(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return nil
}

// TestLivenessFailsAtItsThreshold: the root has given up, and a worker that is
// deaf keeps the process from ending. That is what liveness is for.
func TestLivenessFailsAtItsThreshold(t *testing.T) {
	t.Parallel()
	release, crash := make(chan struct{}), make(chan struct{})
	_, addr := serve(t, supervisor.Spec{Name: "root", Intensity: supervisor.Intensity{Restarts: 1, Within: time.Hour}, Children: []supervisor.Spec{
		{Name: "deaf", StopTimeout: time.Hour, Run: func(_ context.Context, ready func()) error {
			ready()
			<-release
			return nil
		}},
		{Name: "weak", Backoff: supervisor.NoBackoff, Run: func(ctx context.Context, ready func()) error {
			ready()
			select {
			case <-crash:
				return errors.New("a bug")
			case <-ctx.Done():
				return nil
			}
		}},
	}})
	t.Cleanup(func() { close(release) }) // the tree can end
	k := attach(t, hurried(t), addr)
	until(t, "the pod is ready", time.Minute, k.ready)
	crash <- struct{}{}
	crash <- struct{}{}
	until(t, "kubelet would kill it", time.Minute, func() bool { return len(k.killed()) > 0 })
	want := int(k.pod.Spec.Containers[0].LivenessProbe.FailureThreshold)
	until(t, "kubelet has told why", 10*time.Second, func() bool { return k.failures("Liveness") >= want })
	if n := k.failures("Liveness"); n != want || k.killed()[0] != "liveness" {
		t.Errorf("killed by %v after %d failures of liveness, want %d", k.killed(), n, want)
	}
}

// TestAStormDelaysNoAnswer: 100 workers crash 10,000 times a second, all
// together, and no probe waits for any of that.
func TestAStormDelaysNoAnswer(t *testing.T) {
	const workers, crashes, perMillisecond = 100, 30_000, 10
	var restarts atomic.Int64
	token := make(chan struct{}, 10*perMillisecond)
	weak := func(ctx context.Context, ready func()) error {
		restarts.Add(1)
		ready()
		select {
		case <-token:
			return errors.New("a bug")
		case <-ctx.Done():
			return nil
		}
	}
	var pool []supervisor.Spec
	for i := range workers {
		pool = append(pool, supervisor.Spec{Name: string(rune('a'+i/26)) + string(rune('a'+i%26)), Backoff: supervisor.NoBackoff, Run: weak})
	}
	sup, addr := serve(t, supervisor.Spec{Name: "root", Children: []supervisor.Spec{
		{Name: "pool", Optional: true, Intensity: supervisor.Unlimited, Children: pool}, {Name: "steady", Run: idle},
	}})
	if err := sup.WaitReady(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	bare := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer bare.Close()
	began := time.Now()
	go pace(t.Context(), token, crashes, perMillisecond)
	var ours, others answers
	for restarts.Load() < crashes {
		ours = append(ours, ask(t, "http://"+addr+"/livez"), ask(t, "http://"+addr+"/readyz"))
		others = append(others, ask(t, bare.URL), ask(t, bare.URL))
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("%d crashes in %v, %.0f a second", crashes, time.Since(began).Round(time.Millisecond), crashes/time.Since(began).Seconds())
	t.Logf("%d answers of the probes took %v; %d of a bare server beside them %v", len(ours), ours, len(others), others)
	const bound = 50 * time.Millisecond // more than a bare server, which waits for the CPU, too
	if late := ours.at(95) - others.at(95); late > bound {
		t.Errorf("5 answers of 100 took over %v more than a bare server's, want at most %v", late, bound)
	}
}

// answers are how long some took.
type answers []time.Duration

// at is what so many of a hundred took at most.
func (a answers) at(percent int) time.Duration {
	return slices.Sorted(slices.Values(a))[(len(a)-1)*percent/100].Round(10 * time.Microsecond)
}

// String tells the median, 99 of 100, and the longest.
func (a answers) String() string {
	return fmt.Sprintf("%v in the median, %v at 99 %%, %v at worst", a.at(50), a.at(99), a.at(100))
}

// pace hands out tokens, so many each millisecond on average.
func pace(ctx context.Context, token chan<- struct{}, n, perMillisecond int) {
	began := time.Now()
	for i := range n {
		if i%perMillisecond == 0 {
			time.Sleep(time.Until(began.Add(time.Duration(i/perMillisecond) * time.Millisecond)))
		}
		select {
		case token <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// ask asks as kubelet does, by its own code, and returns how long it took.
func ask(t *testing.T, url string) time.Duration {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	result, text, err := kubeletsProber.Probe(req, time.Second)
	if result != probe.Success || err != nil {
		t.Errorf("%s: %v %s %v", url, result, text, err)
	}
	return time.Since(began)
}

var kubeletsProber = httpprobe.New(false)

// TestACheckThatHangsIsNoStaleGreen: a check that never returns holds one
// goroutine, however often its worker is restarted, and is red for kubelet.
func TestACheckThatHangsIsNoStaleGreen(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	var hangs atomic.Bool
	var inside atomic.Int64
	sup, addr := serve(t, supervisor.Spec{Name: "root", Intensity: supervisor.Unlimited, Children: []supervisor.Spec{{
		Name: "db", Run: func(ctx context.Context, ready func()) error {
			if !hangs.Load() { // or else it cannot connect either
				ready()
			}
			<-ctx.Done()
			return nil
		},
		Probe: &supervisor.Probe{Interval: 50 * time.Millisecond, Timeout: 20 * time.Millisecond, Failures: 3, Check: func(context.Context) error {
			if hangs.Load() {
				inside.Add(1)
				<-release
			}
			return nil
		}},
	}}})
	k := attach(t, hurried(t), addr)
	until(t, "the pod is ready", time.Minute, k.ready)
	before := runtime.NumGoroutine()
	hangs.Store(true)
	until(t, "the pod is unready", 30*time.Second, func() bool { return !k.ready() })
	for range 5 {
		if k.ready() {
			t.Error("the pod is ready again, and the check hangs still")
		}
		time.Sleep(time.Second)
	}
	if n := inside.Load(); n != 1 {
		t.Errorf("%d checks hang at once, want 1", n)
	}
	if n := runtime.NumGoroutine() - before; n > 10 {
		t.Errorf("%d goroutines more than before", n)
	}
	if len(k.killed()) > 0 || sup.Alive() != nil {
		t.Errorf("killed by %v, alive: %v", k.killed(), sup.Alive())
	}
}
