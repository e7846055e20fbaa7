package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// password is what the servers want. It can be recognised where it must not be
// seen.
const password = "s3cret-hunter2"

func TestRealServers(t *testing.T) {
	t.Parallel()
	postgres, redis := newPostgres(t), newRedis(t)
	postgres.start()
	redis.start()
	d := startReady(t, "-load", "20",
		"-dsn", fmt.Sprintf("postgres://app:%s@%s/postgres?sslmode=disable", password, postgres.addr),
		"-redis", fmt.Sprintf("redis://:%s@%s/0", password, redis.addr))
	before := d.buy()

	postgres.kill()
	d.until("readiness goes red", func() bool { return !d.ready() })
	if r := d.do(http.MethodPost, d.shop+"/orders", `{"item":"mug","quantity":1}`); r.code != http.StatusServiceUnavailable || r.retryAfter == "" {
		t.Errorf("POST /orders without a database: %+v, want 503 with Retry-After", r)
	}
	postgres.start()
	d.until("readiness goes green", d.ready)
	after := d.buy()
	d.until("the orders are fulfilled", func() bool { return d.fulfilled(before) && d.fulfilled(after) })

	postgres.signal(syscall.SIGSTOP)
	asked := time.Now()
	r := d.do(http.MethodPost, d.shop+"/orders", `{"item":"mug","quantity":1}`)
	if took := time.Since(asked); r.code != http.StatusServiceUnavailable || r.retryAfter == "" || took > dbPatience+2*time.Second {
		t.Errorf("POST /orders to a frozen database: %+v after %v, want 503 with Retry-After", r, took)
	}
	d.until("readiness goes red", func() bool { return !d.ready() })
	postgres.signal(syscall.SIGCONT)
	d.until("readiness goes green", d.ready)

	redis.kill()
	d.until("the cache is missed", func() bool { return d.get(d.probes+"/readyz/shop/storage/cache").code == http.StatusServiceUnavailable })
	if !d.ready() {
		t.Error("the shop is not ready without a cache, which it can do without")
	}
	redis.start()
	d.until("the cache is back", func() bool { return d.get(d.probes+"/readyz/shop/storage/cache").code == http.StatusOK })

	d.signal(syscall.SIGTERM)
	if code := d.exit(10 * time.Second); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
	if strings.Contains(d.out.String(), password) {
		t.Error("the password is told")
	}
}

// server is a server process with a port and a directory of its own.
type server struct {
	t       *testing.T
	addr    string
	dir     string
	attr    *syscall.SysProcAttr
	args    []string
	process *exec.Cmd // nil while it does not run
}

func newServer(t *testing.T) *server {
	t.Helper()
	// Not t.TempDir: only its owner may pass the directory above that one.
	dir, err := os.MkdirTemp("", "demo-server-")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addr: freeAddr(t), dir: dir, attr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}}
	t.Cleanup(func() {
		s.kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newRedis(t *testing.T) *server {
	t.Helper()
	program := find(t, "redis-server")
	s := newServer(t)
	s.args = []string{program, "--port", s.port(), "--bind", "127.0.0.1", "--dir", s.dir, "--requirepass", password, "--save", ""}
	return s
}

func newPostgres(t *testing.T) *server {
	t.Helper()
	postgres, initdb := find(t, "postgres"), find(t, "initdb")
	s := newServer(t)
	if os.Getuid() == 0 {
		s.runAsNobody() // it refuses to run as root
	}
	data := filepath.Join(s.dir, "data")
	s.initDB(initdb, data)
	s.args = []string{postgres, "-D", data, "-p", s.port(), "-h", "127.0.0.1", "-k", s.dir, "-F"}
	return s
}

// made guards the first data directory that initdb made.
var made sync.Mutex

// initDB makes a data directory. The first is kept beside the binary of the demo,
// for others to copy: initdb takes seconds.
func (s *server) initDB(initdb, data string) {
	s.t.Helper()
	made.Lock()
	defer made.Unlock()
	kept := filepath.Join(filepath.Dir(build(s.t)), "data")
	if _, err := os.Stat(kept); err == nil {
		s.run(nil, "cp", "-a", kept, data)
		return
	}
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(password), 0o644); err != nil { // nobody must read it
		s.t.Fatal(err)
	}
	s.run(s.attr, initdb, "-D", data, "-U", "app", "-A", "scram-sha-256", "--pwfile", secret, "--no-sync", "-E", "UTF8", "--locale", "C")
	s.run(nil, "cp", "-a", data, kept)
}

func (s *server) run(as *syscall.SysProcAttr, program string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, as
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func (s *server) port() string {
	_, port, _ := net.SplitHostPort(s.addr)
	return port
}

func (s *server) runAsNobody() {
	u, err := user.Lookup("nobody")
	if err != nil {
		s.t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	s.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(s.dir, uid, gid); err != nil {
		s.t.Fatal(err)
	}
}

// start starts the server, with the data of its last run. It does not wait: the
// demo has to.
func (s *server) start() {
	s.t.Helper()
	s.process = exec.Command(s.args[0], s.args[1:]...)
	s.process.Dir, s.process.SysProcAttr = s.dir, s.attr
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// kill ends the server as a crash does, and returns when all its processes are
// gone: PostgreSQL does not start beside what is left of an old one.
func (s *server) kill() {
	if s.process == nil {
		return
	}
	for _, pid := range s.signal(syscall.SIGKILL) {
		s.await(pid, "ZX")
	}
	_ = s.process.Wait() // it was killed, it says
	s.process = nil
}

// signal signals the server and its children, and returns them all. The server
// is stopped before it is asked for its children, so that it makes no more of
// them; some may end by themselves before their turn.
func (s *server) signal(sig syscall.Signal) (pids []int) {
	server := s.process.Process.Pid
	_ = syscall.Kill(server, syscall.SIGSTOP) // it may have ended
	s.await(server, "TZX")
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", server))
	for _, p := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(p); err == nil {
			pids = append(pids, pid)
		}
	}
	pids = append(pids, server)
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
	return pids
}

// await waits until the process is in one of the states, as proc(5) has them.
func (s *server) await(pid int, states string) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(states, state(pid)); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("process %d is in state %s, want one of %s", pid, state(pid), states)
		}
	}
}

// state is "X" for a process that is gone.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "X"
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name before it is in parentheses
	return after[:1]
}

// inCI reports whether the tests must be complete. Who sets CI at all means yes,
// unless it is to no.
func inCI() bool {
	return !slices.Contains([]string{"", "0", "false"}, strings.ToLower(os.Getenv("CI")))
}

// find finds a program, or ends the test: in CI as a failure.
func find(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		return slices.Max(found)
	}
	if inCI() {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}
