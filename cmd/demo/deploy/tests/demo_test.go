package tests

import (
	"bytes"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var binary struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	if os.Getenv(stormy) != "" {
		if err := storm(); err != nil {
			log.Fatal(err)
		}
		return
	}
	code := m.Run()
	if binary.dir != "" {
		_ = os.RemoveAll(binary.dir)
	}
	os.Exit(code)
}

// buildDemo builds the program as the Dockerfile does, once.
func buildDemo(t *testing.T) string {
	t.Helper()
	binary.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "deploy-test-"); binary.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(binary.dir, "demo"), "./cmd/demo")
		cmd.Dir, cmd.Env = "../../../..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			binary.err = errors.New(string(out))
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return filepath.Join(binary.dir, "demo")
}

// moduleDir is where the sources of a module are.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// process is a demo that runs.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	http, probes   string // host:port
	admin          string
	terminationLog string
	out            output
	ended          chan struct{}
	endsAt         time.Time // read it after ended
}

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

// start starts a demo with the environment given, on free ports.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{t: t, http: freeAddr(t), probes: freeAddr(t), admin: freeAddr(t), terminationLog: filepath.Join(dir, "termination-log"), ended: make(chan struct{})}
	if err := os.WriteFile(p.terminationLog, nil, 0o600); err != nil { // kubelet makes it
		t.Fatal(err)
	}
	flags := []string{"-addr", p.http, "-probes", p.probes, "-admin", p.admin, "-termination-log", p.terminationLog, "-log", "json", "-load", "0"}
	p.cmd = exec.Command(buildDemo(t), append(flags, args...)...)
	p.cmd.Env = append([]string{"TMPDIR=" + dir}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the code is in ProcessState
		p.endsAt = time.Now()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
		if t.Failed() {
			t.Logf("the demo's output:\n%s", p.out.String())
		}
	})
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code.
func (p *process) exit(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		p.t.Fatalf("the demo did not end within %v", within)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// chaos breaks something in it.
func (p *process) chaos(fault string) {
	p.t.Helper()
	if out, err := exec.Command(buildDemo(p.t), "chaos", "-admin", p.admin, fault).CombinedOutput(); err != nil {
		p.t.Fatalf("demo chaos %s: %v\n%s", fault, err, out)
	}
}

// tree is what its admin side says of it.
func (p *process) tree() []byte {
	p.t.Helper()
	resp, err := http.Get("http://" + p.admin + "/tree")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.t.Fatalf("/tree: %s %v\n%s", resp.Status, err, text)
	}
	return text
}

// status is the code of an answer, 0 if there is none.
func status(url string) int {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// until polls.
func until(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("within %v it did not happen that %s", within, what)
		}
	}
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
