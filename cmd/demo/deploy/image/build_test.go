package image

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const repository = "../../../.."

var tag = name.MustParseReference("coppice-demo:test").(name.Tag)

// dockerfile is one that was read by Docker's own parser.
type dockerfile struct{ stages []instructions.Stage }

func parseDockerfile(t *testing.T, text []byte) (f dockerfile, warnings []string) {
	t.Helper()
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	lint := linter.New(&linter.Config{Warn: func(_, _, _, message string, _ []parser.Range) { warnings = append(warnings, message) }})
	f.stages, _, err = instructions.Parse(result.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return f, warnings
}

// config is that of the last stage. What it does not know is an error.
func (f dockerfile) config(t *testing.T) (c v1.Config) {
	t.Helper()
	for _, command := range f.stages[len(f.stages)-1].Commands {
		switch command := command.(type) {
		case *instructions.CopyCommand:
			if command.From != "build" || !slices.Equal(command.SourcePaths, []string{"/image/"}) || command.DestPath != "/" {
				t.Errorf("%v: these tests know COPY --from=build /image/ / only", command)
			}
		case *instructions.EnvCommand:
			for _, kv := range command.Env {
				c.Env = append(c.Env, kv.Key+"="+kv.Value)
			}
		case *instructions.ExposeCommand:
			c.ExposedPorts = map[string]struct{}{}
			for _, port := range command.Ports {
				c.ExposedPorts[port+"/tcp"] = struct{}{}
			}
		case *instructions.UserCommand:
			c.User = command.User
		case *instructions.StopSignalCommand:
			c.StopSignal = command.Signal
		case *instructions.EntrypointCommand:
			c.Entrypoint = command.CmdLine
		case *instructions.HealthCheckCommand:
			h := command.Health // whose StartInterval has no place in it
			c.Healthcheck = &v1.HealthConfig{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
		default:
			t.Errorf("these tests do not know %s", command.Name())
		}
	}
	return c
}

// build runs the commands of the first stage in a copy of what Docker would be
// sent, and returns the folder that they filled.
func (f dockerfile) build(t *testing.T) (image string) {
	t.Helper()
	src, image := sources(t), filepath.Join(t.TempDir(), "image")
	for _, command := range f.stages[0].Commands {
		run, is := command.(*instructions.RunCommand)
		if !is {
			continue // WORKDIR and COPY: done by now
		}
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(strings.Join(run.CmdLine, " "), "/image/", image+"/"))
		cmd.Dir = src
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("RUN %s: %v\n%s", run.CmdLine, err, out)
		}
	}
	return image
}

// sources copies the repository without what Dockerfile.dockerignore names.
func sources(t *testing.T) (dir string) {
	t.Helper()
	patterns, err := ignorefile.ReadAll(bytes.NewReader(read(t, "../Dockerfile.dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	err = filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(repository, path)
		if err != nil || d.IsDir() {
			return err
		}
		if skip, err := ignored.MatchesOrParentMatches(rel); skip || err != nil {
			return err
		}
		if strings.HasPrefix(rel, ".git") {
			t.Errorf("%s is sent to Docker", rel)
		}
		to := filepath.Join(dir, rel)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, read(t, path), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// assemble makes an image of one layer.
func assemble(t *testing.T, root string, c v1.Config) v1.Image {
	t.Helper()
	text := pack(t, root)
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err == nil {
		img, err = mutate.Config(img, c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// pack packs a folder, everything in which becomes root's, as COPY has it.
func pack(t *testing.T, root string) []byte {
	t.Helper()
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		if err != nil || rel == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		h.Name, h.Uid, h.Gid, h.Uname, h.Gname, h.ModTime = rel, 0, 0, "", "", time.Unix(0, 0)
		if err := w.WriteHeader(h); err != nil || d.IsDir() {
			return err
		}
		_, err = w.Write(read(t, path))
		return err
	})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// unpack unpacks an image as a runtime does.
func unpack(t *testing.T, img v1.Image) (root string) {
	t.Helper()
	// Not t.TempDir: only its owner may pass the directory above that one.
	root, err := os.MkdirTemp("", "image-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	all := mutate.Extract(img)
	defer all.Close()
	for r := tar.NewReader(all); ; {
		h, err := r.Next()
		if err == io.EOF {
			return root
		}
		if err == nil {
			err = put(root, h, r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func put(root string, h *tar.Header, r io.Reader) error {
	path, mode := filepath.Join(root, h.Name), h.FileInfo().Mode()
	if h.Typeflag == tar.TypeDir {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		return os.Chmod(path, mode)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, text, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
