package tests

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/client-go/tools/record"
	"k8s.io/kubectl/pkg/describe"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
	"k8s.io/kubernetes/pkg/kubelet/prober"
	"k8s.io/kubernetes/pkg/kubelet/prober/results"
	podstatus "k8s.io/kubernetes/pkg/kubelet/status"
	utilexec "k8s.io/utils/exec"
)

// kubelet is one pod as its kubelet sees it: kubelet's own probe manager and
// result managers, driven as kubelet's syncLoopIteration drives them. What
// kubelet would kill is only noted.
type kubelet struct {
	t       *testing.T
	pod     *corev1.Pod
	probes  prober.Manager
	results map[string]results.Manager // startup, liveness, readiness

	mu     sync.Mutex // guards the rest
	status corev1.PodStatus
	said   []corev1.Event
	kills  []string // which probe would have had the container killed
}

// attach has a kubelet probe what listens at addr, by the probes of a pod.
func attach(t *testing.T, pod *corev1.Pod, addr string) *kubelet {
	t.Helper()
	k := &kubelet{t: t, pod: listeningAt(t, pod, addr), status: running(pod), results: map[string]results.Manager{
		"startup": results.NewManager(), "liveness": results.NewManager(), "readiness": results.NewManager(),
	}}
	events := record.NewBroadcaster()
	events.StartEventWatcher(k.hear)
	recorder := events.NewRecorder(legacyscheme.Scheme, corev1.EventSource{Component: "kubelet"})
	k.probes = prober.NewManager(statuses{k: k}, k.results["liveness"], k.results["readiness"], k.results["startup"], runner{k}, recorder)
	ctx, cancel := context.WithCancel(context.Background())
	loop := make(chan struct{})
	go func() {
		defer close(loop)
		k.loop(ctx)
	}()
	k.probes.AddPod(ctx, k.pod)
	t.Cleanup(func() {
		k.probes.RemovePod(k.pod)
		cancel()
		<-loop
		events.Shutdown()
		if t.Failed() {
			t.Logf("what kubelet said:\n%s", k.described(k.list()...))
		}
	})
	return k
}

// listeningAt is the pod, with the probes' port where the process has it.
func listeningAt(t *testing.T, pod *corev1.Pod, addr string) *corev1.Pod {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	pod = pod.DeepCopy()
	pod.Name, pod.Namespace, pod.UID = "coppice-demo-0", "shop", types.UID(t.Name())
	for i := range pod.Spec.Containers[0].Ports {
		if p := &pod.Spec.Containers[0].Ports[i]; p.Name == "probes" {
			p.ContainerPort = int32(number)
		}
	}
	return pod
}

func running(pod *corev1.Pod) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", ContainerStatuses: []corev1.ContainerStatus{{
		Name: pod.Spec.Containers[0].Name, ContainerID: "test://1",
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
	}}}
}

// loop does what kubelet's does when a probe's result has changed.
func (k *kubelet) loop(ctx context.Context) {
	for {
		select {
		case u := <-k.results["liveness"].Updates():
			k.note("liveness", u.Result)
		case u := <-k.results["startup"].Updates():
			k.note("startup", u.Result)
		case <-k.results["readiness"].Updates():
		case <-ctx.Done():
			return
		}
		k.mu.Lock()
		next := *k.status.DeepCopy()
		k.mu.Unlock()
		k.probes.UpdatePodStatus(ctx, k.pod, &next)
		k.mu.Lock()
		k.status = next
		k.mu.Unlock()
	}
}

func (k *kubelet) note(probe string, r results.Result) {
	if r == results.Failure {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.kills = append(k.kills, probe)
	}
}

func (k *kubelet) hear(e *corev1.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.said = append(k.said, *e)
}

// statuses is what the probe manager wants of kubelet's status manager.
type statuses struct {
	podstatus.Manager
	k *kubelet
}

func (s statuses) GetPodStatus(types.UID) (corev1.PodStatus, bool) {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	return *s.k.status.DeepCopy(), true
}

// runner runs the command of an exec probe, as in the container.
type runner struct{ k *kubelet }

func (r runner) RunInContainer(ctx context.Context, _ kubecontainer.ContainerID, command []string, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if command[0] == "/demo" {
		command = append([]string{buildDemo(r.k.t)}, command[1:]...)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	for _, p := range r.k.pod.Spec.Containers[0].Ports {
		if p.Name == "probes" {
			cmd.Env = []string{fmt.Sprintf("COPPICE_PROBES=:%d", p.ContainerPort)}
		}
	}
	out, err := cmd.CombinedOutput()
	if exit, is := err.(*exec.ExitError); is {
		err = utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return out, err
}

// ready and started are what the pod's status says.
func (k *kubelet) ready() bool { return k.container().Ready }

func (k *kubelet) started() bool {
	started := k.container().Started
	return started != nil && *started
}

func (k *kubelet) container() corev1.ContainerStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status.ContainerStatuses[0]
}

// killed returns which probes would have had the container killed.
func (k *kubelet) killed() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.kills)
}

func (k *kubelet) list() []corev1.Event {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.said)
}

// described is what kubectl describe pod prints, by its own code, when so much
// has been said.
func (k *kubelet) described(said ...corev1.Event) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	pod := k.pod.DeepCopy()
	pod.Status = k.status
	text, err := describe.DefaultObjectDescriber.DescribeObject(pod, &corev1.EventList{Items: said})
	if err != nil {
		k.t.Error(err)
	}
	return text
}

// failures counts the failed probes of a kind: "Startup", "Liveness",
// "Readiness".
func (k *kubelet) failures(probe string) (n int) {
	for _, e := range k.list() {
		if strings.HasPrefix(e.Message, probe+" probe failed") {
			n++
		}
	}
	return n
}

// terminate is what kubelet does first when a pod is deleted: nobody asks for
// liveness any more, but readiness is asked to the end.
func (k *kubelet) terminate() { k.probes.StopLivenessAndStartup(k.pod) }

// hurry is how many times faster than in a cluster a hurried pod is probed, and
// how many times less an outage lasts. Kubelet cannot probe oftener than each
// second: startup and readiness, whose periods are short, are asked fewer times
// in an outage than they would be.
//
// Nothing else is scaled. Thresholds count probes. Timeouts hold what an answer
// takes, which is no faster here. The tree's own backoff goes on in its own
// time: kubelet knows nothing of it, and scaled it would be another tree.
const hurry = 10

// hurried is the pod of our manifest, but for the periods of its probes.
func hurried(t *testing.T) *corev1.Pod {
	t.Helper()
	template := find[*appsv1.Deployment](t, base).Spec.Template
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	for _, probe := range threeProbes(pod.Spec.Containers[0]) {
		probe.PeriodSeconds = max(1, probe.PeriodSeconds/hurry)
	}
	return pod
}

func threeProbes(c corev1.Container) []*corev1.Probe {
	return []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe}
}

// TestAHurriedPodIsOtherwiseOurs: it has the thresholds and timeouts of our
// manifest, and liveness, the only probe that kills what was up, is asked as
// many times in an outage as in a cluster.
func TestAHurriedPodIsOtherwiseOurs(t *testing.T) {
	ours := find[*appsv1.Deployment](t, base).Spec.Template.Spec
	pod := hurried(t).Spec
	if is, fast := ours.Containers[0].LivenessProbe.PeriodSeconds, pod.Containers[0].LivenessProbe.PeriodSeconds; is != hurry*fast {
		t.Errorf("liveness is asked each %d s for the %d s of our manifest, want %d times as often", fast, is, hurry)
	}
	for i, probe := range threeProbes(pod.Containers[0]) {
		probe.PeriodSeconds = threeProbes(ours.Containers[0])[i].PeriodSeconds
	}
	if !equality.Semantic.DeepEqual(pod, ours) {
		t.Errorf("besides the periods this differs: %s", diff.Diff(ours, pod))
	}
}
