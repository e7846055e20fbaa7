package tests

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	openapi "github.com/google/gnostic-models/openapiv2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kube-openapi/pkg/util/proto"
	protovalidation "k8s.io/kube-openapi/pkg/util/proto/validation"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	podsecurityapi "k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// What kustomize builds, by folder.
const (
	base     = "../kubernetes/base"
	database = "../kubernetes/overlays/database"
)

// manifest is an object as it would be sent to the API server.
type manifest struct {
	kind string
	yaml []byte
}

// build is kustomize build.
func build(t *testing.T, folder string) (built []manifest) {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resources.Resources() {
		built = append(built, manifest{r.GetKind(), []byte(r.MustYaml())})
	}
	return built
}

// decode decodes an object as the API server does with fieldValidation=Strict:
// a field that is unknown, or there twice, is an error. Defaults are filled in.
func decode(t *testing.T, m manifest) runtime.Object {
	t.Helper()
	scheme := legacyscheme.Scheme
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	obj, _, err := strict.Decode(m.yaml, nil, nil)
	if err != nil {
		t.Fatalf("%s: %v\n%s", m.kind, err, m.yaml)
	}
	scheme.Default(obj)
	return obj
}

func find[T runtime.Object](t *testing.T, folder string) (found T) {
	t.Helper()
	for _, m := range build(t, folder) {
		if obj, is := decode(t, m).(T); is {
			return obj
		}
	}
	t.Fatalf("%s has no %T", folder, found)
	return found
}

func TestManifestsAreWhatTheAPIServerTakes(t *testing.T) {
	for _, folder := range []string{base, database} {
		var kinds []string
		for _, m := range build(t, folder) {
			kinds = append(kinds, m.kind)
			for _, fault := range validate(t, decode(t, m)) {
				t.Errorf("%s: %s: %v", folder, m.kind, fault)
			}
		}
		slices.Sort(kinds)
		if got := strings.Join(kinds, " "); got != "Deployment NetworkPolicy PodDisruptionBudget Service" {
			t.Errorf("%s builds %s", folder, got)
		}
	}
}

// validate is the API server's validation of a new object, with its warnings.
func validate(t *testing.T, obj runtime.Object) (faults field.ErrorList) {
	t.Helper()
	if o, is := obj.(metav1.Object); is {
		o.SetNamespace("shop") // as kubectl -n does
	}
	internal, err := legacyscheme.Scheme.ConvertToVersion(obj, schema.GroupVersion{Group: obj.GetObjectKind().GroupVersionKind().Group, Version: runtime.APIVersionInternal})
	if err != nil {
		t.Fatal(err)
	}
	switch o := internal.(type) {
	case *apps.Deployment:
		path := field.NewPath("spec", "template")
		for _, warning := range podutil.GetWarningsForPodTemplate(context.Background(), path, &o.Spec.Template, nil) {
			faults = append(faults, field.Invalid(path, nil, warning))
		}
		return append(faults, appsvalidation.ValidateDeployment(o, podutil.GetValidationOptionsFromPodTemplate(&o.Spec.Template, nil))...)
	case *core.Service:
		return corevalidation.ValidateServiceCreate(o)
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{})
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{})
	}
	t.Fatalf("there is no validation for a %T here", internal)
	return nil
}

// TestMistakesInManifestsAreFound shows that the tests above can fail.
func TestMistakesInManifestsAreFound(t *testing.T) {
	const port = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 80, targetPort: http}]}\n"
	svc := decode(t, manifest{"Service", []byte(port)}).(*corev1.Service)
	if faults := validate(t, svc); len(faults) > 0 {
		t.Errorf("a good Service: %v", faults)
	}
	svc.Spec.Ports[0].Port = 80000
	if faults := validate(t, svc); len(faults) == 0 {
		t.Error("port 80000 was taken")
	}
	scheme := legacyscheme.Scheme
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	if _, _, err := strict.Decode([]byte(port+"sepc: {}\n"), nil, nil); err == nil || !strings.Contains(err.Error(), "sepc") {
		t.Errorf("an unknown field: %v", err)
	}
	models := published(t)
	if faults := againstSchema(t, models, manifest{"Service", []byte(strings.Replace(port, "port: 80", "prot: 80", 1))}); len(faults) == 0 {
		t.Error("the schema knows a field prot")
	}
}

func TestManifestsFollowThePublishedSchema(t *testing.T) {
	models := published(t)
	for _, folder := range []string{base, database} {
		for _, m := range build(t, folder) {
			for _, fault := range againstSchema(t, models, m) {
				t.Errorf("%s: %s: %v", folder, m.kind, fault)
			}
		}
	}
}

// published is the OpenAPI schema that Kubernetes publishes.
func published(t *testing.T) proto.Models {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleDir(t, "k8s.io/kubernetes"), "api/openapi-spec/swagger.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi.ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	models, err := proto.NewOpenAPIData(doc)
	if err != nil {
		t.Fatal(err)
	}
	return models
}

// againstSchema is what kubectl does before it sends an object.
func againstSchema(t *testing.T, models proto.Models, m manifest) []error {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal(m.yaml, &object); err != nil {
		t.Fatal(err)
	}
	name := map[string]string{
		"Deployment": "apps.v1.Deployment", "Service": "core.v1.Service",
		"NetworkPolicy": "networking.v1.NetworkPolicy", "PodDisruptionBudget": "policy.v1.PodDisruptionBudget",
	}[m.kind]
	model := models.LookupModel("io.k8s.api." + name)
	if model == nil {
		t.Fatalf("the schema has no %q", name)
	}
	return protovalidation.ValidateModel(object, model, m.kind)
}

// TestPodsAreRestricted: a namespace that enforces the strictest of the Pod
// Security Standards takes them.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	strictest := podsecurityapi.LevelVersion{Level: podsecurityapi.LevelRestricted, Version: podsecurityapi.LatestVersion()}
	for _, folder := range []string{base, database} {
		template := find[*appsv1.Deployment](t, folder).Spec.Template
		judge := func() podsecurity.AggregateCheckResult {
			return podsecurity.AggregateCheckResults(evaluator.EvaluatePod(strictest, &template.ObjectMeta, &template.Spec))
		}
		if r := judge(); !r.Allowed {
			t.Errorf("%s: %s", folder, r.ForbiddenDetail())
		}
		template.Spec.Containers[0].SecurityContext.Capabilities = nil
		if r := judge(); r.Allowed {
			t.Error("with all capabilities it was let in, too")
		}
	}
}

// TestManifestsAgreeWithEachOther: no selector selects nothing, and no port is
// one that nobody listens at.
func TestManifestsAgreeWithEachOther(t *testing.T) {
	for _, folder := range []string{base, database} {
		template := find[*appsv1.Deployment](t, folder).Spec.Template
		selects := func(what string, s labels.Selector) {
			if s.Empty() || !s.Matches(labels.Set(template.Labels)) {
				t.Errorf("%s: the selector of the %s (%v) does not select the pods %v", folder, what, s, template.Labels)
			}
		}
		svc := find[*corev1.Service](t, folder)
		selects("Service", labels.SelectorFromSet(svc.Spec.Selector))
		selects("PodDisruptionBudget", selector(t, find[*policyv1.PodDisruptionBudget](t, folder).Spec.Selector))
		network := find[*networkingv1.NetworkPolicy](t, folder)
		selects("NetworkPolicy", selector(t, &network.Spec.PodSelector))
		for _, c := range template.Spec.TopologySpreadConstraints {
			selects("spread over "+c.TopologyKey, selector(t, c.LabelSelector))
		}
		shop := template.Spec.Containers[0]
		for what, port := range map[string]intstr.IntOrString{
			"http service": svc.Spec.Ports[0].TargetPort, "http NetworkPolicy": *network.Spec.Ingress[0].Ports[0].Port,
			"probes startupProbe": shop.StartupProbe.HTTPGet.Port, "probes livenessProbe": shop.LivenessProbe.HTTPGet.Port,
			"probes readinessProbe": shop.ReadinessProbe.HTTPGet.Port,
		} {
			name, of, _ := strings.Cut(what, " ")
			if port.StrVal != name || !slices.ContainsFunc(shop.Ports, func(p corev1.ContainerPort) bool { return p.Name == name }) {
				t.Errorf("%s: the port of the %s is %v, want %s, which the container has", folder, of, port.String(), name)
			}
		}
	}
}

func selector(t *testing.T, s *metav1.LabelSelector) labels.Selector {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector
}

func TestTheOverlayTellsTheDatabase(t *testing.T) {
	d := find[*appsv1.Deployment](t, database)
	shop := d.Spec.Template.Spec.Containers[0]
	for _, name := range []string{"COPPICE_DSN", "COPPICE_REDIS"} {
		i := slices.IndexFunc(shop.Env, func(e corev1.EnvVar) bool { return e.Name == name })
		if i < 0 || shop.Env[i].ValueFrom == nil || shop.Env[i].ValueFrom.SecretKeyRef == nil {
			t.Errorf("%s does not come from a Secret", name)
		}
	}
	if *d.Spec.Replicas != 3 || shop.Image != "registry.example/coppice-demo:1.0" {
		t.Errorf("%d replicas of %s", *d.Spec.Replicas, shop.Image)
	}
	ports := map[int32]bool{}
	for _, rule := range find[*networkingv1.NetworkPolicy](t, database).Spec.Egress {
		for _, p := range rule.Ports {
			ports[p.Port.IntVal] = true
		}
	}
	for _, port := range []int32{53, 5432, 6379} {
		if !ports[port] {
			t.Errorf("the shop may not reach port %d", port)
		}
	}
}
