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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
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
	events  *record.FakeRecorder

	mu     sync.Mutex // guards the rest
	status corev1.PodStatus
	said   []string // events, as kubectl describe lists them
	kills  []string // which probe would have had the container killed
}

// attach has a kubelet probe what listens at addr, by the probes of a pod.
func attach(t *testing.T, pod *corev1.Pod, addr string) *kubelet {
	t.Helper()
	k := &kubelet{t: t, pod: listeningAt(t, pod, addr), events: record.NewFakeRecorder(1000), status: running(pod), results: map[string]results.Manager{
		"startup": results.NewManager(), "liveness": results.NewManager(), "readiness": results.NewManager(),
	}}
	k.probes = prober.NewManager(statuses{k: k}, k.results["liveness"], k.results["readiness"], k.results["startup"], runner{k}, k.events)
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
		if t.Failed() {
			t.Logf("what kubelet said: %q", k.list())
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
		case e := <-k.events.Events:
			k.mu.Lock()
			k.said = append(k.said, e)
			k.mu.Unlock()
			continue
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

func (k *kubelet) list() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.said)
}

// failures counts the failed probes of a kind: "Startup", "Liveness",
// "Readiness".
func (k *kubelet) failures(probe string) (n int) {
	for _, e := range k.list() {
		if strings.Contains(e, probe+" probe failed") {
			n++
		}
	}
	return n
}

// terminate is what kubelet does first when a pod is deleted: nobody asks for
// liveness any more, but readiness is asked to the end.
func (k *kubelet) terminate() { k.probes.StopLivenessAndStartup(k.pod) }

// A hurried pod is one of our manifests with every period as short as kubelet
// can have it, one second, so that minutes pass in seconds. Thresholds and
// timeouts are as they are.
func hurried(t *testing.T) *corev1.Pod {
	t.Helper()
	template := find[*appsv1.Deployment](t, base).Spec.Template
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	shop := &pod.Spec.Containers[0]
	for _, probe := range []*corev1.Probe{shop.StartupProbe, shop.LivenessProbe, shop.ReadinessProbe} {
		probe.PeriodSeconds = 1
	}
	return pod
}

// periods is how many probes fit into d by our manifests, as a time in which
// as many of a hurried pod are made.
func periods(t *testing.T, d time.Duration, of func(corev1.Container) *corev1.Probe) time.Duration {
	t.Helper()
	probe := of(find[*appsv1.Deployment](t, base).Spec.Template.Spec.Containers[0])
	return d / time.Duration(probe.PeriodSeconds)
}
