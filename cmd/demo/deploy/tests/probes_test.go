package tests

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/flowcontrol"
	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
	"k8s.io/kubernetes/pkg/util/tail"
	clock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"
)

const nobody = "postgres://app:s3cret-hunter2@127.0.0.1:1/shop?sslmode=disable"

// TestABootWithoutADatabaseWaits: startup says no, again and again, nobody asks
// the other probes, and nothing is killed before the manifest's threshold.
func TestABootWithoutADatabaseWaits(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "-dsn", nobody)
	k := attach(t, hurried(t), p.probes)
	until(t, "startup was asked 15 times", time.Minute, func() bool { return k.failures("Startup") >= 15 })
	if k.started() || k.ready() || len(k.killed()) > 0 || !p.running() {
		t.Errorf("started %v, ready %v, killed by %v, running %v; want a process that waits", k.started(), k.ready(), k.killed(), p.running())
	}
	if n := k.failures("Liveness") + k.failures("Readiness"); n > 0 {
		t.Errorf("%d failures of probes that nobody may ask before startup", n)
	}
	if code := status("http://" + p.probes + "/livez"); code != 200 {
		t.Errorf("/livez is %d while it waits for its database", code)
	}
}

// TestTheStartupThresholdIsKept: with a threshold that is reached, the kill
// comes at it and not before. So the kubelet of these tests does see kills.
func TestTheStartupThresholdIsKept(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "-dsn", nobody)
	pod := hurried(t)
	pod.Spec.Containers[0].StartupProbe.FailureThreshold = 4
	k := attach(t, pod, p.probes)
	until(t, "kubelet kills it", time.Minute, func() bool { return len(k.killed()) > 0 })
	until(t, "kubelet has told why", 10*time.Second, func() bool { return k.failures("Startup") >= 4 })
	if n := k.failures("Startup"); n != 4 || k.killed()[0] != "startup" {
		t.Errorf("killed by %v after %d failures of startup, want 4", k.killed(), n)
	}
}

// TestARestartAtTheStartupThresholdIsNotDelayed: by kubelet's own back-off, a
// container that was given as long as our manifest says starts again at once,
// however often; one that was given half of it waits longer and longer.
func TestARestartAtTheStartupThresholdIsNotDelayed(t *testing.T) {
	probe := find[*appsv1.Deployment](t, base).Spec.Template.Spec.Containers[0].StartupProbe
	bears := time.Duration(probe.PeriodSeconds*probe.FailureThreshold) * time.Second
	delay := func(runs time.Duration) time.Duration {
		now := clock.NewFakeClock(time.Now())
		backoff := flowcontrol.NewFakeBackOff(10*time.Second, 300*time.Second, now) // kubelet's figures
		for range 10 {
			backoff.Next("shop", now.Now()) // as it starts the container
			now.Step(runs)
		}
		backoff.Next("shop", now.Now())
		return backoff.Get("shop")
	}
	if got := delay(bears); got > 10*time.Second {
		t.Errorf("a container that runs for %v is restarted with a delay of %v", bears, got)
	}
	if got := delay(bears / 2); got < 5*time.Minute {
		t.Errorf("a container that runs for %v is restarted with a delay of %v, want kubelet's longest", bears/2, got)
	}
}

// TestAnOutageOfFiveMinutesRestartsNothing: as many liveness probes as five
// minutes have pass while the database is away: not ready, never restarted,
// and ready again when it is back.
func TestAnOutageOfFiveMinutesRestartsNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.db")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, "-dsn", "file:"+file+"?mode=rw&_busy_timeout=1000")
	k := attach(t, hurried(t), p.probes)
	until(t, "the pod is ready", time.Minute, k.ready)
	began := k.failures("Startup")

	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	until(t, "the pod is unready", time.Minute, func() bool { return !k.ready() })
	const outage = 5 * time.Minute / hurry
	asked := k.failures("Readiness")
	for end := time.Now().Add(outage); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if k.ready() || len(k.killed()) > 0 {
			t.Fatalf("in the outage: ready %v, killed by %v", k.ready(), k.killed())
		}
	}
	if n, want := k.failures("Readiness")-asked, int(outage/time.Second)-3; n < want {
		t.Errorf("readiness said no %d times in the outage, want at least %d", n, want)
	}
	if n := k.failures("Liveness") + k.failures("Startup") - began; n > 0 || !p.running() {
		t.Errorf("%d failures of liveness and startup in the outage; running: %v", n, p.running())
	}
	for _, path := range spenders(t, p) {
		t.Errorf("%s has counted restarts in the outage: a longer one would end it", path)
	}
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	until(t, "the pod is ready again", time.Minute, k.ready)
	if len(k.killed()) > 0 {
		t.Errorf("killed by %v", k.killed())
	}
}

// spenders returns which of the supervisors above the database have counted
// restarts, of which they bear only so many.
func spenders(t *testing.T, p *process) (spent []string) {
	t.Helper()
	type node struct {
		Path     string
		Restarts int
		Left     *int `json:"restarts_left"`
		Children []node
	}
	var tree struct{ Root node }
	if err := yaml.Unmarshal(p.tree(), &tree); err != nil {
		t.Fatal(err)
	}
	storage := tree.Root.Children[0]
	for _, n := range []node{tree.Root, storage} {
		if n.Left == nil {
			t.Fatalf("%+v is no supervisor", n)
		}
		if n.Restarts > 0 {
			spent = append(spent, n.Path)
		}
	}
	return spent
}

// TestATreeThatGaveUpEndsTheProcess: with a code and a message that say so,
// sooner than liveness would have it killed.
func TestATreeThatGaveUpEndsTheProcess(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	k := attach(t, hurried(t), p.probes)
	until(t, "the pod is ready", time.Minute, k.ready)
	giveUp(t, p)
	if code := p.exit(30 * time.Second); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if by := k.killed(); len(by) > 0 {
		t.Errorf("it was killed by %v first", by)
	}
	message := terminationMessage(t, p.terminationLog)
	for _, want := range []string{"the shop gave up", "more than 5 restarts", "shop/http", "decided:"} {
		if !strings.Contains(message, want) {
			t.Errorf("the termination message does not tell %q:\n%s", want, message)
		}
	}
	text, err := os.ReadFile(p.terminationLog)
	if err != nil || string(text) != message {
		t.Errorf("kubelet shows %d of %d bytes (%v)", len(message), len(text), err)
	}
}

// terminationMessage is what kubelet reads of the file, by its own code.
func terminationMessage(t *testing.T, file string) string {
	t.Helper()
	message, _, err := tail.ReadAtMost(file, kubecontainer.MaxContainerTerminationMessageLength)
	if err != nil {
		t.Fatal(err)
	}
	return string(message)
}

// giveUp crashes the shop's HTTP server oftener than its supervisor bears.
func giveUp(t *testing.T, p *process) {
	t.Helper()
	for crash := range 6 {
		p.chaos("http")
		until(t, "it has crashed", 30*time.Second, func() bool { return strings.Count(p.out.String(), `"message":"exited"`) > crash })
		if crash < 5 {
			until(t, "it serves again", 30*time.Second, func() bool { return status("http://"+p.probes+"/readyz") == 200 })
		}
	}
}

// TestDrain: after SIGTERM readiness says no at once, and the shop serves;
// liveness says yes until all has stopped; the process ends well, in time.
func TestDrain(t *testing.T) {
	t.Parallel()
	pod := hurried(t)
	p := start(t, environment(pod.Spec.Containers[0]))
	k := attach(t, pod, p.probes)
	until(t, "the pod is ready", time.Minute, k.ready)
	k.terminate()
	told := time.Now()
	p.signal(syscall.SIGTERM)
	until(t, "/readyz says no", time.Second, func() bool { return status("http://"+p.probes+"/readyz") == 503 })
	t.Logf("/readyz said no %v after SIGTERM", time.Since(told).Round(time.Millisecond))
	if code := status("http://" + p.http + "/prices"); code != 200 {
		t.Errorf("GET /prices while it drains: %d", code)
	}
	// The first probe after SIGTERM is within a period, and takes its time.
	first := time.Duration(pod.Spec.Containers[0].ReadinessProbe.PeriodSeconds) * time.Second
	until(t, "kubelet has it unready", time.Until(told.Add(first+time.Second)), func() bool { return !k.ready() })
	t.Logf("kubelet had it unready %v after SIGTERM", time.Since(told).Round(time.Millisecond))
	last := lastYes(p)
	p.exit(time.Second)
	t.Logf("the end came %v after SIGTERM, and %v after the last 200 of /livez", p.endsAt.Sub(told).Round(time.Millisecond), p.endsAt.Sub(last).Round(time.Millisecond))
	closing := time.Duration(askManifest(t, nil).Closing) * time.Second
	if red := p.endsAt.Sub(last); red > closing {
		t.Errorf("/livez said no for %v before the end, want at most the %v of closing", red, closing)
	}
	if code := p.exit(time.Second); code != 0 || len(k.killed()) > 0 {
		t.Errorf("exit code %d, killed by %v", code, k.killed())
	}
}

// lastYes asks /livez until the process ends, and returns when it said yes for
// the last time, before the first other answer.
func lastYes(p *process) (last time.Time) {
	for p.running() {
		at := time.Now()
		if status("http://"+p.probes+"/livez") != 200 {
			<-p.ended
			return last
		}
		last = at
		time.Sleep(5 * time.Millisecond)
	}
	return last
}

const eventsByHTTP = `
  Type     Reason     Age   From     Message
  ----     ------     ----  ----     -------
  Warning  Unhealthy  7s    kubelet  spec.containers{shop}: Readiness probe failed: HTTP probe failed with statuscode: 503
`

// TestWhatDescribeShows: kubelet drops the body of an HTTP answer, so that its
// events never say why; an exec probe of demo healthcheck does.
func TestWhatDescribeShows(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "-dsn", nobody)
	pod := hurried(t)
	pod.Spec.Containers[0].StartupProbe = nil // so that readiness is asked
	byHTTP := attach(t, pod, p.probes)
	pod.Spec.Containers[0].ReadinessProbe.ProbeHandler = corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/demo", "healthcheck"}}}
	byExec := attach(t, pod, p.probes)
	events := func(k *kubelet) string {
		until(t, "readiness fails", time.Minute, func() bool { return k.failures("Readiness") > 0 })
		first := k.list()[0]
		first.FirstTimestamp.Time = time.Now().Add(-7500 * time.Millisecond) // for an Age that is always the same
		_, shown, _ := strings.Cut(k.described(first), "\nEvents:")
		return shown
	}
	if got := events(byHTTP); got != eventsByHTTP {
		t.Errorf("by HTTP:%s\nwant%s", got, eventsByHTTP)
	}
	if got := events(byExec); !strings.Contains(got, "shop/storage/db") || strings.Contains(got, "127.0.0.1") {
		t.Errorf("by exec:%s\nwant the path of what is down, and no address", got)
	}
}
