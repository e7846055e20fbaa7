package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// These tests run the program as its users do: built, in a process of its own.

var buildFlags = []string{"build"}

var binary struct {
	sync.Once
	path string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binary.path != "" {
		_ = os.RemoveAll(filepath.Dir(binary.path))
	}
	os.Exit(code)
}

// build builds the demo, once.
func build(t *testing.T) string {
	t.Helper()
	binary.Do(func() {
		dir, err := os.MkdirTemp("", "demo-test-")
		if err != nil {
			binary.err = err
			return
		}
		binary.path = filepath.Join(dir, "demo")
		out, err := exec.Command("go", append(buildFlags, "-o", binary.path, ".")...).CombinedOutput()
		if err != nil {
			binary.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// demo is a running demo.
type demo struct {
	t       *testing.T
	process *exec.Cmd // the last one
	flags   []string  // where it listens
	args    []string  // the other ones
	shop    string    // URLs
	probes  string
	admin   string
	temp    string // its directory for temporary files
	out     output // both of its outputs
	ended   chan struct{}
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

// start starts a demo on free ports and waits until its probes answer.
func start(t *testing.T, args ...string) *demo {
	t.Helper()
	addr, probes, admin := freeAddr(t), freeAddr(t), freeAddr(t)
	d := &demo{
		t: t, shop: "http://" + addr, probes: "http://" + probes, admin: "http://" + admin,
		flags: []string{"-addr", addr, "-probes", probes, "-admin", admin}, args: args,
		temp: t.TempDir(),
	}
	d.launch()
	t.Cleanup(d.kill)
	d.until("the probes answer", func() bool { return d.get(d.probes+"/livez").code == http.StatusOK })
	return d
}

// launch starts the process; again, if the last one has ended, where it was.
func (d *demo) launch() {
	d.t.Helper()
	process, ended := exec.Command(build(d.t), slices.Concat(d.flags, d.args)...), make(chan struct{})
	process.Env = append(os.Environ(), "TMPDIR="+d.temp)
	process.Stdout, process.Stderr = &d.out, &d.out
	if err := process.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		defer close(ended)
		_ = process.Wait() // the code is in ProcessState
	}()
	d.process, d.ended = process, ended
}

// startReady is start, and waits until the shop is ready.
func startReady(t *testing.T, args ...string) *demo {
	t.Helper()
	d := start(t, args...)
	d.until("it is ready", d.ready)
	return d
}

func (d *demo) kill() {
	_ = d.process.Process.Kill() // it may have ended
	<-d.ended
	if d.t.Failed() {
		d.t.Logf("the demo's output:\n%s", tail(d.out.String(), 64<<10))
	}
}

// tail returns the end of s: as much as n bytes hold.
func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func (d *demo) signal(s syscall.Signal) {
	d.t.Helper()
	if err := d.process.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
}

// exit waits for the demo to end and returns its exit code.
func (d *demo) exit(within time.Duration) int {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(within):
		d.t.Fatalf("the demo did not end within %v", within)
	}
	return d.process.ProcessState.ExitCode()
}

// run runs another command of the demo, with this one's addresses.
func (d *demo) run(args ...string) (code int, out string) {
	d.t.Helper()
	return execute(d.t, append(args, d.flags...)...)
}

// execute runs a command to its end. The outputs are one: a command has
// little to say.
func execute(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	text, err := exec.CommandContext(ctx, build(t), args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return code, string(text)
}

// response is an answer, or code 0 if there was none.
type response struct {
	code       int
	retryAfter string
	body       string
}

func (d *demo) get(url string) response {
	return d.do(http.MethodGet, url, "")
}

func (d *demo) do(method, url, body string) response {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return response{body: err.Error()}
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return response{resp.StatusCode, resp.Header.Get("Retry-After"), string(text)}
}

func (d *demo) ready() bool { return d.get(d.probes+"/readyz").code == http.StatusOK }

// buy places an order and returns its ID.
func (d *demo) buy() string {
	d.t.Helper()
	r := d.do(http.MethodPost, d.shop+"/orders", `{"item":"mug","quantity":3}`)
	var o order
	if err := json.Unmarshal([]byte(r.body), &o); r.code != http.StatusCreated || err != nil || o.ID == "" || o.Cents <= 0 {
		d.t.Fatalf("POST /orders: %+v", r)
	}
	return o.ID
}

func (d *demo) fulfilled(id string) bool {
	return strings.Contains(d.get(d.shop+"/orders/"+id).body, `"state":"fulfilled"`)
}

// chaos breaks something by the command line.
func (d *demo) chaos(fault string) {
	d.t.Helper()
	if code, out := d.run("chaos", fault); code != 0 {
		d.t.Fatalf("demo chaos %s: exit code %d: %s", fault, code, out)
	}
}

// until polls.
func (d *demo) until(what string, ok func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			d.t.Fatalf("it did not happen that %s", what)
		}
		select {
		case <-d.ended:
			d.t.Fatalf("the demo ended before %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// logged returns the log's lines that say something of a node.
func (d *demo) logged(message string) (paths []string) {
	for line := range strings.Lines(d.out.String()) {
		var l struct{ Path, Message string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Message == message {
			paths = append(paths, cmp.Or(l.Path, "-"))
		}
	}
	return paths
}

// leavesNothing checks that the demo has cleaned up behind itself.
func (d *demo) leavesNothing() {
	d.t.Helper()
	left, err := os.ReadDir(d.temp)
	if err != nil || len(left) > 0 {
		d.t.Errorf("the demo left %v behind (%v)", left, err)
	}
}

// freeAddr returns an address that nobody listens on, and no other test was
// given. Its port is below those that the kernel gives to outgoing
// connections.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000)))
		if _, given := givenAddrs.LoadOrStore(addr, nil); given {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

var givenAddrs sync.Map
