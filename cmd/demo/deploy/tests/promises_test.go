package tests

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// deployed is what a folder's manifests make of the shop.
type deployed struct {
	deployment *appsv1.Deployment
	pod        *corev1.PodSpec
	shop       *corev1.Container
	budget     *policyv1.PodDisruptionBudgetSpec
	network    *networkingv1.NetworkPolicySpec
}

func deploy(t *testing.T, folder string) deployed {
	t.Helper()
	d := find[*appsv1.Deployment](t, folder)
	return of(d, &find[*policyv1.PodDisruptionBudget](t, folder).Spec, &find[*networkingv1.NetworkPolicy](t, folder).Spec)
}

func of(d *appsv1.Deployment, budget *policyv1.PodDisruptionBudgetSpec, network *networkingv1.NetworkPolicySpec) deployed {
	pod := &d.Spec.Template.Spec
	return deployed{deployment: d, pod: pod, shop: &pod.Containers[0], budget: budget, network: network}
}

func (d deployed) copy() deployed {
	return of(d.deployment.DeepCopy(), d.budget.DeepCopy(), d.network.DeepCopy())
}

// promises are what the manifests hold that no API server asks for, each with a
// mistake that breaks it.
var promises = []struct {
	name    string
	kept    func(deployed) bool
	mistake func(deployed)
}{
	{"startup is probed", func(d deployed) bool { return probes(d.shop, d.shop.StartupProbe, "/startupz") }, func(d deployed) { d.shop.StartupProbe = nil }},
	{"liveness is probed", func(d deployed) bool { return probes(d.shop, d.shop.LivenessProbe, "/livez") }, func(d deployed) { d.shop.LivenessProbe.HTTPGet.Path = "/healthz" }},
	{"readiness is probed", func(d deployed) bool { return probes(d.shop, d.shop.ReadinessProbe, "/readyz") }, func(d deployed) { d.shop.ReadinessProbe.HTTPGet.Port = intstr.FromInt32(8081) }},
	{"the port of the probes has a name", func(d deployed) bool { return probes(d.shop, d.shop.LivenessProbe, "/livez") }, func(d deployed) { d.shop.Ports = d.shop.Ports[:1] }},
	{"preStop sleeps", preStopSleeps, func(d deployed) { d.shop.Lifecycle = nil }},
	{"pods spread over zones", spreadsOver("topology.kubernetes.io/zone"), func(d deployed) { d.pod.TopologySpreadConstraints = d.pod.TopologySpreadConstraints[1:] }},
	{"pods spread over nodes", spreadsOver("kubernetes.io/hostname"), func(d deployed) { d.pod.TopologySpreadConstraints = d.pod.TopologySpreadConstraints[:1] }},
	{"there are two pods at least", func(d deployed) bool { return *d.deployment.Spec.Replicas >= 2 }, func(d deployed) { *d.deployment.Spec.Replicas = 1 }},
	{"a release takes nothing away", releaseTakesNothing, func(d deployed) { *d.deployment.Spec.Strategy.RollingUpdate.MaxUnavailable = intstr.FromInt32(1) }},
	{"it is not root", isNotRoot, func(d deployed) { *d.pod.SecurityContext.RunAsUser = 0 }},
	{"its root file system is read-only", rootIsReadOnly, func(d deployed) { d.shop.SecurityContext.ReadOnlyRootFilesystem = nil }},
	{"it has a /tmp", hasTmp, func(d deployed) { d.shop.VolumeMounts = nil }},
	{"it has no token of the API server", func(d deployed) bool { return is(d.pod.AutomountServiceAccountToken, false) }, func(d deployed) { d.pod.AutomountServiceAccountToken = nil }},
	{"its memory has a limit", func(d deployed) bool { return !d.shop.Resources.Limits.Memory().IsZero() }, func(d deployed) { d.shop.Resources.Limits = nil }},
	{"its CPU has none", func(d deployed) bool { return d.shop.Resources.Limits.Cpu().IsZero() }, func(d deployed) { d.shop.Resources.Limits = d.shop.Resources.Requests }},
	{"what it could not say itself, its log says", logSpeaks, func(d deployed) { d.shop.TerminationMessagePolicy = corev1.TerminationMessageReadFile }},
	{"one pod is evicted at a time", func(d deployed) bool { return is(d.budget.MaxUnavailable, intstr.FromInt32(1)) }, func(d deployed) { d.budget.MaxUnavailable = nil }},
	{"pods that are not ready keep no node", func(d deployed) bool { return is(d.budget.UnhealthyPodEvictionPolicy, policyv1.AlwaysAllow) }, func(d deployed) { d.budget.UnhealthyPodEvictionPolicy = nil }},
	{"nobody is let in but customers", letsInCustomers, func(d deployed) { d.network.Ingress[0].Ports = nil }},
	{"what goes out is limited", limitsEgress, func(d deployed) { d.network.PolicyTypes = d.network.PolicyTypes[:1] }},
	{"nothing goes just anywhere", limitsEgress, func(d deployed) { d.network.Egress[0].To = nil }},
	{"nothing goes to just any pod", limitsEgress, func(d deployed) { d.network.Egress[0].To[0].PodSelector.MatchLabels = nil }},
	{"names can be resolved", resolvesNames, func(d deployed) { d.network.Egress[0].Ports = d.network.Egress[0].Ports[1:] }},
}

// TestManifestsKeepTheirPromises, and a mistake is found.
func TestManifestsKeepTheirPromises(t *testing.T) {
	for _, folder := range []string{base, database} {
		ours := deploy(t, folder)
		for _, p := range promises {
			d := ours.copy()
			if !p.kept(d) {
				t.Errorf("%s: it is not so that %s", folder, p.name)
				continue
			}
			if p.mistake(d); p.kept(d) {
				t.Errorf("%s: with a mistake it is still so that %s", folder, p.name)
			}
		}
	}
}

func is[T comparable](field *T, want T) bool { return field != nil && *field == want }

// probes reports whether a probe asks for a path at the named port.
func probes(c *corev1.Container, p *corev1.Probe, path string) bool {
	named := slices.ContainsFunc(c.Ports, func(port corev1.ContainerPort) bool { return port.Name == "probes" })
	return named && p != nil && p.HTTPGet != nil && p.HTTPGet.Path == path && p.HTTPGet.Port == intstr.FromString("probes")
}

func preStopSleeps(d deployed) bool {
	hooks := d.shop.Lifecycle
	return hooks != nil && hooks.PreStop != nil && hooks.PreStop.Sleep != nil && hooks.PreStop.Sleep.Seconds > 0
}

func spreadsOver(key string) func(deployed) bool {
	return func(d deployed) bool {
		return slices.ContainsFunc(d.pod.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool {
			return c.TopologyKey == key && c.MaxSkew == 1
		})
	}
}

func releaseTakesNothing(d deployed) bool {
	return is(d.deployment.Spec.Strategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(0))
}

func logSpeaks(d deployed) bool {
	return d.shop.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError
}

func isNotRoot(d deployed) bool {
	of := d.pod.SecurityContext
	return is(of.RunAsNonRoot, true) && of.RunAsUser != nil && *of.RunAsUser > 0
}

func rootIsReadOnly(d deployed) bool { return is(d.shop.SecurityContext.ReadOnlyRootFilesystem, true) }

// hasTmp: without it nothing can be written, since the root is read-only.
func hasTmp(d deployed) bool {
	return slices.ContainsFunc(d.shop.VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.MountPath == "/tmp" && !m.ReadOnly && slices.ContainsFunc(d.pod.Volumes, func(v corev1.Volume) bool {
			return v.Name == m.Name && v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil
		})
	})
}

// letsInCustomers: a rule without ports would be one for all of them.
func letsInCustomers(d deployed) bool {
	rules := d.network.Ingress
	return slices.Contains(d.network.PolicyTypes, networkingv1.PolicyTypeIngress) && len(rules) == 1 &&
		len(rules[0].Ports) == 1 && *rules[0].Ports[0].Port == intstr.FromString("http")
}

func limitsEgress(d deployed) bool {
	return slices.Contains(d.network.PolicyTypes, networkingv1.PolicyTypeEgress) &&
		!slices.ContainsFunc(d.network.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
			return len(r.To) == 0 || len(r.Ports) == 0 || slices.ContainsFunc(r.To, isAnybody)
		})
}

func isAnybody(to networkingv1.NetworkPolicyPeer) bool {
	return to.PodSelector == nil || len(to.PodSelector.MatchLabels) == 0
}

// resolvesNames: by the cluster's DNS, which is in another namespace.
func resolvesNames(d deployed) bool {
	var by []corev1.Protocol
	for _, rule := range d.network.Egress {
		for _, p := range rule.Ports {
			if is(p.Port, intstr.FromInt32(53)) && slices.ContainsFunc(rule.To, isInKubeSystem) {
				by = append(by, *p.Protocol)
			}
		}
	}
	return slices.Contains(by, corev1.ProtocolUDP) && slices.Contains(by, corev1.ProtocolTCP)
}

func isInKubeSystem(to networkingv1.NetworkPolicyPeer) bool {
	return to.NamespaceSelector != nil && to.NamespaceSelector.MatchLabels[corev1.LabelMetadataName] == "kube-system"
}
