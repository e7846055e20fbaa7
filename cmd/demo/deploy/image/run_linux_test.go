package image

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// checkRuns runs the image as a runtime does, as far as that goes without
// namespaces: in its own root, as its user, with its environment, on other
// ports. Its health check becomes green, and its stop signal ends it well.
func checkRuns(t *testing.T, root string, c v1.Config) {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root may change the root")
		}
		t.Skip("only root may change the root")
	}
	in := container{root: root, config: c, ports: []string{"COPPICE_ADDR=" + freeAddr(t), "COPPICE_PROBES=" + freeAddr(t), "COPPICE_ADMIN=" + freeAddr(t)}}
	var out output
	shop := in.command(t, c.Entrypoint...)
	shop.Stdout, shop.Stderr = &out, &out
	if err := shop.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = shop.Process.Kill() // it may have ended
		if t.Failed() {
			t.Logf("its output:\n%s", out.String())
		}
	}()
	healthy := func() bool { return in.command(t, c.Healthcheck.Test[1:]...).Run() == nil }
	for deadline := time.Now().Add(30 * time.Second); !healthy(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not become healthy")
		}
	}
	if uid := userOf(t, shop.Process.Pid); uid != strings.Split(c.User, ":")[0] {
		t.Errorf("it runs as %s, want %s", uid, c.User)
	}
	if err := shop.Process.Signal(syscall.SIGTERM); err != nil { // checkConfig: STOPSIGNAL
		t.Fatal(err)
	}
	if err := shop.Wait(); err != nil {
		t.Errorf("after %s: %v", c.StopSignal, err)
	}
	if healthy() {
		t.Error("it is healthy, and has ended")
	}
	if left, err := os.ReadDir(filepath.Join(root, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("it left %v in /tmp (%v)", left, err)
	}
}

// container is an image that is unpacked at root.
type container struct {
	root   string
	config v1.Config
	ports  []string // instead of those of the image, which others may have here
}

func (c container) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	var uid, gid uint32
	if _, err := fmt.Sscanf(c.config.User, "%d:%d", &uid, &gid); err != nil {
		t.Fatal(err)
	}
	return &exec.Cmd{
		Path: args[0], Args: args, Dir: "/", Env: append(c.config.Env[:len(c.config.Env):len(c.config.Env)], c.ports...),
		SysProcAttr: &syscall.SysProcAttr{Chroot: c.root, Credential: &syscall.Credential{Uid: uid, Gid: gid}, Pdeathsig: syscall.SIGKILL},
	}
}

// userOf is who a process runs as.
func userOf(t *testing.T, pid int) string {
	t.Helper()
	_, uids, _ := strings.Cut(string(read(t, "/proc/"+strconv.Itoa(pid)+"/status")), "\nUid:")
	return strings.Fields(uids)[0]
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// freeAddr returns an address that nobody listens on. Its port is below those
// that the kernel gives to outgoing connections.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000))))
		if err == nil {
			l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}
