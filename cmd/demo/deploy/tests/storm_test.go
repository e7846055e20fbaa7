package tests

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
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
	sup, addr, stop, err := run(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return sup, addr
}

func run(spec supervisor.Spec) (sup *supervisor.Supervisor, addr string, stop func(), err error) {
	if sup, err = supervisor.New(spec, supervisor.Options{}); err != nil {
		return nil, "", nil, err
	}
	probes, err := health.Serve("127.0.0.1:0", sup)
	if err != nil {
		return nil, "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sup.Run(ctx) // some give up
	}()
	return sup, probes.Addr(), func() {
		cancel()
		<-ended
		_ = probes.Shutdown(context.Background())
	}, nil
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
// together, and nobody who asks from another process, as kubelet does, waits
// for any of that.
//
// A machine that others use, too, gives no CPU for a while, now and then, and
// that is left out of the longest: the kernel counts it. It may count something
// that no answer waited for. So half of the bound is all that is allowed then.
func TestAStormDelaysNoAnswer(t *testing.T) {
	const bound, want = 50 * time.Millisecond, 10_000
	addr, pid, begin, end := anotherProcess(t)
	bare := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer bare.Close()
	var ours, others, late answers
	begin()
	for len(end) == 0 {
		for _, path := range []string{"/livez", "/readyz"} {
			before := waits(t, pid, os.Getpid())
			took := ask(t, "http://"+addr+path)
			ours = append(ours, took)
			late = append(late, took-waits(t, pid, os.Getpid()).longestSince(before))
			others = append(others, ask(t, bare.URL))
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("%d answers of the probes took %v; %d of a bare server beside them %v", len(ours), ours, len(others), others)
	t.Logf("but for waiting for a CPU: %v", late)
	if worst := late.at(100); worst > bound/2 {
		t.Errorf("an answer took %v but for waiting for a CPU, want at most %v", worst, bound/2)
	}
	if more := ours.at(95) - others.at(95); more > bound {
		t.Errorf("5 answers of 100 took %v more than a bare server's, want at most %v", more, bound)
	}
	if rate := <-end; rate < want {
		t.Errorf("there were %.0f restarts a second, want %d", rate, want)
	} else {
		t.Logf("%.0f restarts a second", rate)
	}
}

// cpuWaits is how long each thread of some processes could have run, and had no
// CPU.
type cpuWaits []map[string]time.Duration

// waits is empty where the kernel does not count that.
func waits(t *testing.T, pids ...int) (w cpuWaits) {
	t.Helper()
	for _, pid := range pids {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			t.Fatal(err)
		}
		process := map[string]time.Duration{}
		for _, file := range threads {
			var ran, waited time.Duration
			if text, err := os.ReadFile(file); err == nil { // or the thread has ended
				_, _ = fmt.Sscan(string(text), &ran, &waited)
			}
			process[file] = waited
		}
		w = append(w, process)
	}
	return w
}

// longestSince is the wait of one thread of each process: whoever asks may have
// waited, and then whoever answers.
func (w cpuWaits) longestSince(before cpuWaits) (sum time.Duration) {
	for i, process := range w {
		var longest time.Duration
		for thread, waited := range process {
			longest = max(longest, waited-before[i][thread])
		}
		sum += longest
	}
	return sum
}

// stormy is in the environment of a test binary that is not to test, but to be
// the storm.
const stormy = "COPPICE_TEST_STORM"

// anotherProcess starts a process that is a storm from begin on. At its end it
// says how many restarts a second there were.
func anotherProcess(t *testing.T) (addr string, pid int, begin func(), end <-chan float64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), stormy+"=1"), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // at which it ends
		_ = cmd.Wait()
	})
	if _, err := fmt.Fscanln(out, &addr); err != nil {
		t.Fatal(err)
	}
	rate := make(chan float64, 1)
	return addr, cmd.Process.Pid, func() {
		fmt.Fprintln(in)
		go func() {
			var reached float64
			_, _ = fmt.Fscanln(out, &reached) // or it is 0, and too few
			rate <- reached
		}()
	}, rate
}

// storm is the other process. It says where its probes are, waits for a line to
// begin, says how many restarts a second there were, and answers until its input
// ends.
func storm() error {
	const workers, restarts, perMillisecond = 100, 36_000, 12 // more than are wanted: no machine is always on time
	var starts atomic.Int64
	token, over := make(chan struct{}, 10*perMillisecond), make(chan struct{})
	weak := func(ctx context.Context, ready func()) error {
		if starts.Add(1) == workers+restarts {
			close(over)
		}
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
		pool = append(pool, supervisor.Spec{Name: strconv.Itoa(i), Backoff: supervisor.NoBackoff, Run: weak})
	}
	sup, addr, stop, err := run(supervisor.Spec{Name: "root", Children: []supervisor.Spec{
		{Name: "pool", Optional: true, Intensity: supervisor.Unlimited, Children: pool}, {Name: "steady", Run: idle},
	}})
	if err != nil {
		return err
	}
	defer stop()
	if err := sup.WaitReady(context.Background(), ""); err != nil {
		return err
	}
	fmt.Println(addr)
	_, _ = fmt.Scanln()
	began := time.Now()
	go pace(token, restarts, perMillisecond)
	<-over
	fmt.Println(restarts / time.Since(began).Seconds())
	_, _ = fmt.Scanln()
	return nil
}

// answers are how long some took.
type answers []time.Duration

// at is what so many of a hundred took at most.
func (a answers) at(percent int) time.Duration {
	return slices.Sorted(slices.Values(a))[(len(a)-1)*percent/100].Round(10 * time.Microsecond)
}

// String tells the median, 99 of 100, and the longest.
func (a answers) String() string {
	return fmt.Sprintf("%v in the median, %v at 95 %%, %v at 99 %%, %v at worst", a.at(50), a.at(95), a.at(99), a.at(100))
}

// pace hands out tokens, so many each millisecond on average.
func pace(token chan<- struct{}, n, perMillisecond int) {
	began := time.Now()
	for i := range n {
		if i%perMillisecond == 0 {
			time.Sleep(time.Until(began.Add(time.Duration(i/perMillisecond) * time.Millisecond)))
		}
		token <- struct{}{}
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
