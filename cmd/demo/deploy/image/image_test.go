package image

import (
	"bytes"
	"debug/elf"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"sigs.k8s.io/yaml"
)

// TestTheDockerfileIsSound: Docker's own linter has nothing to say.
func TestTheDockerfileIsSound(t *testing.T) {
	f, warnings := parseDockerfile(t, read(t, "../Dockerfile"))
	if len(warnings) > 0 {
		t.Errorf("Docker's linter: %q", warnings)
	}
	if len(f.stages) != 2 || f.stages[1].BaseName != "scratch" {
		t.Errorf("it has %d stages, want two, the last of them FROM scratch", len(f.stages))
	}
	if _, warnings := parseDockerfile(t, []byte("FROM scratch\nMAINTAINER me\n")); len(warnings) != 1 {
		t.Errorf("the linter says %q of MAINTAINER; is it on?", warnings)
	}
}

// TestTheBuildUsesTheGoOfTheModule: the builder's Go is no older than go.mod
// wants.
func TestTheBuildUsesTheGoOfTheModule(t *testing.T) {
	f, _ := parseDockerfile(t, read(t, "../Dockerfile"))
	mod := string(read(t, "../../../../go.mod"))
	_, version, _ := strings.Cut(mod, "\ngo ")
	version, _, _ = strings.Cut(version, "\n")
	minor := strings.Join(strings.SplitN(version, ".", 3)[:2], ".")
	if !strings.HasPrefix(f.stages[0].BaseName, "golang:"+minor) {
		t.Errorf("it builds with %s, and go.mod says %s", f.stages[0].BaseName, version)
	}
}

// asks is HEALTHCHECK in full.
var asks = dockerspec.HealthcheckConfig{
	Test:     []string{"CMD", "/demo", "healthcheck"}, // demo's own, without a shell
	Interval: 10 * time.Second, Retries: 3,            // unhealthy after half a minute, as Kubernetes' liveness
	Timeout:     3 * time.Second, // more than the 2 s after which demo healthcheck says by itself that nobody answers
	StartPeriod: 30 * time.Second, StartInterval: time.Second,
}

// TestDockerAsks, as the Dockerfile has it. Of the image there is less to see:
// go-containerregistry's knows no StartInterval.
func TestDockerAsks(t *testing.T) {
	f, _ := parseDockerfile(t, read(t, "../Dockerfile"))
	for _, command := range f.stages[len(f.stages)-1].Commands {
		if c, is := command.(*instructions.HealthCheckCommand); is {
			if !reflect.DeepEqual(*c.Health, asks) {
				t.Errorf("HEALTHCHECK is %+v, want %+v", *c.Health, asks)
			}
			return
		}
	}
	t.Error("there is no HEALTHCHECK")
}

// TestTheImageAsBuilt: what it is, what it agrees with, and that it runs.
func TestTheImageAsBuilt(t *testing.T) {
	f, _ := parseDockerfile(t, read(t, "../Dockerfile"))
	root := f.build(t)
	img := reload(t, assemble(t, root, f.config(t)))
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	checkConfig(t, config.Config)
	checkManifest(t, config.Config)
	checkFiles(t, root)
	checkRuns(t, unpack(t, img), config.Config)
}

// reload writes the image as docker load takes it, and reads it back, whole.
func reload(t *testing.T, img v1.Image) v1.Image {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(file, tag, img); err != nil {
		t.Fatal(err)
	}
	back, err := tarball.ImageFromPath(file, &tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(back); err != nil {
		t.Error(err)
	}
	return back
}

func checkConfig(t *testing.T, c v1.Config) {
	t.Helper()
	uid, gid, both := strings.Cut(c.User, ":")
	if n, err := strconv.Atoi(uid); err != nil || n == 0 || !both || gid == "0" {
		t.Errorf("USER is %q, want numbers that are not root's", c.User)
	}
	if c.StopSignal != "SIGTERM" {
		t.Errorf("STOPSIGNAL is %q, want the one that the demo drains at", c.StopSignal)
	}
	if !slices.Equal(c.Entrypoint, []string{"/demo"}) || len(c.Cmd) > 0 {
		t.Errorf("ENTRYPOINT %q, CMD %q", c.Entrypoint, c.Cmd)
	}
	want := v1.HealthConfig{Test: asks.Test, Interval: asks.Interval, Timeout: asks.Timeout, StartPeriod: asks.StartPeriod, Retries: asks.Retries}
	if c.Healthcheck == nil || !reflect.DeepEqual(*c.Healthcheck, want) {
		t.Errorf("HEALTHCHECK is %+v, want %+v", c.Healthcheck, want)
	}
	if got := slices.Sorted(maps.Keys(c.ExposedPorts)); !slices.Equal(got, []string{"8080/tcp", "8081/tcp"}) {
		t.Errorf("EXPOSE %q", got)
	}
	for _, e := range c.Env {
		if name, _, _ := strings.Cut(e, "="); strings.Contains(name, "TOKEN") || strings.Contains(name, "DSN") {
			t.Errorf("the image holds a secret: %s", name)
		}
	}
}

// checkManifest compares the image with the manifest that runs it.
func checkManifest(t *testing.T, c v1.Config) {
	t.Helper()
	var d struct {
		Spec struct {
			Template struct {
				Spec struct {
					SecurityContext struct{ RunAsUser, RunAsGroup int }
					Containers      []struct{ Ports []struct{ ContainerPort int } }
				}
			}
		}
	}
	if err := yaml.Unmarshal(read(t, "../kubernetes/base/deployment.yaml"), &d); err != nil {
		t.Fatal(err)
	}
	pod := d.Spec.Template.Spec
	if want := strconv.Itoa(pod.SecurityContext.RunAsUser) + ":" + strconv.Itoa(pod.SecurityContext.RunAsGroup); c.User != want {
		t.Errorf("USER is %s, and the manifest runs it as %s", c.User, want)
	}
	if len(pod.Containers) != 1 || len(pod.Containers[0].Ports) != len(c.ExposedPorts) {
		t.Fatalf("the manifest: %+v", pod)
	}
	for _, p := range pod.Containers[0].Ports {
		port := strconv.Itoa(p.ContainerPort)
		if _, exposed := c.ExposedPorts[port+"/tcp"]; !exposed || !strings.Contains(strings.Join(c.Env, " ")+" ", "=:"+port+" ") {
			t.Errorf("the manifest's port %s is not one that the image exposes and listens at: %v, %v", port, c.ExposedPorts, c.Env)
		}
	}
}

// checkFiles: the image holds the program, certificates, and a /tmp, and the
// program needs nothing else.
func checkFiles(t *testing.T, root string) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, path)
			files = append(files, rel)
		}
		return err
	})
	if want := []string{"demo", "etc/ssl/certs/ca-certificates.crt"}; err != nil || !slices.Equal(files, want) {
		t.Errorf("the image holds %q (%v), want %q", files, err, want)
	}
	program, err := elf.Open(filepath.Join(root, "demo"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if libs, err := program.ImportedLibraries(); err != nil || len(libs) > 0 {
		t.Errorf("the program needs %q (%v), which no image FROM scratch has", libs, err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program needs a dynamic linker")
		}
	}
	if certs := read(t, filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")); !bytes.Contains(certs, []byte("BEGIN CERTIFICATE")) {
		t.Error("there are no certificates")
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
