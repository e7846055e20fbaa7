package tests

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// asked is what demo manifest says that the shop asks of its platform, in
// seconds.
type asked struct{ Drain, Stop, Closing, Grace int64 }

func askManifest(t *testing.T, env []string) (a asked) {
	t.Helper()
	cmd := exec.Command(buildDemo(t), "manifest")
	cmd.Env = append([]string{"TMPDIR=" + t.TempDir()}, env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(out, &a); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return a
}

// environment returns the variables of a container that stand in its manifest.
func environment(c corev1.Container) (env []string) {
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			env = append(env, e.Name+"="+e.Value)
		}
	}
	return env
}

func variable(t *testing.T, c corev1.Container, name string) string {
	t.Helper()
	for _, e := range environment(c) {
		if value, is := strings.CutPrefix(e, name+"="); is {
			return value
		}
	}
	t.Fatalf("%s is not set", name)
	return ""
}

func TestTheGracePeriodHoldsWhatTheTreeNeeds(t *testing.T) {
	for _, folder := range []string{base, database} {
		pod := find[*appsv1.Deployment](t, folder).Spec.Template.Spec
		shop := pod.Containers[0]
		needs := askManifest(t, environment(shop))
		if needs.Stop < 1 || needs.Closing < 1 || needs.Grace != needs.Drain+needs.Stop+needs.Closing {
			t.Errorf("the sum of %+v is wrong", needs)
		}
		told, err := time.ParseDuration(variable(t, shop, "COPPICE_GRACE"))
		if err != nil {
			t.Fatal(err)
		}
		if told < time.Duration(needs.Grace)*time.Second {
			t.Errorf("%s: COPPICE_GRACE is %v, and the shop needs %d s: %+v", folder, told, needs.Grace, needs)
		}
		given, hook := *pod.TerminationGracePeriodSeconds, shop.Lifecycle.PreStop.Sleep.Seconds
		if want := hook + int64(told.Seconds()); given != want {
			t.Errorf("%s: terminationGracePeriodSeconds is %d, want %d: %d of the preStop hook and %v of COPPICE_GRACE", folder, given, want, hook, told)
		}
	}
}

// TestALongerDrainAsksForMore shows that demo manifest reads what the shop
// reads.
func TestALongerDrainAsksForMore(t *testing.T) {
	few, more := askManifest(t, []string{"COPPICE_DRAIN=5s"}), askManifest(t, []string{"COPPICE_DRAIN=90s"})
	if more.Drain != 90 || more.Grace-few.Grace != 85 || more.Stop != few.Stop {
		t.Errorf("with 85 s more of -drain %+v became %+v", few, more)
	}
}
