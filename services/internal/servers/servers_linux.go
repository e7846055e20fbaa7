package servers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Password is what the servers want from their user ("app" in PostgreSQL and
// MariaDB, the default one in Redis). It can be recognised where it must not be seen.
const Password = "s3cret-hunter2"

// patience is how long a server may take to answer after its start.
const patience = 60 * time.Second

// Server is one server process, with a port of 127.0.0.1 and a directory of
// its own. It leaves nothing behind after the test. Its methods are for the
// test's goroutine, and start no others.
type Server struct {
	Addr string // host:port, the same after a restart
	Port string

	t       testing.TB
	dir     string
	args    []string
	attr    *syscall.SysProcAttr
	answers func(ctx context.Context) error
	process *exec.Cmd // nil while it does not run
}

// newServer prepares a server in an empty directory that belongs to account
// (the current one if that is empty).
func newServer(t testing.TB, account string) *Server {
	t.Helper()
	port := freePort(t)
	s := &Server{t: t, Port: port, Addr: "127.0.0.1:" + port, attr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}}
	var err error
	// Not t.TempDir: only its owner may pass the directory above that one.
	if s.dir, err = os.MkdirTemp("", "coppice-server-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if err := os.RemoveAll(s.dir); err != nil {
			t.Error(err)
		}
	})
	if account != "" {
		s.runAs(account)
	}
	return s
}

func (s *Server) runAs(account string) {
	u, err := user.Lookup(account)
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

// unprivileged returns the account for servers that refuse to run as root.
func unprivileged() string {
	if os.Getuid() == 0 {
		return "nobody"
	}
	return ""
}

// Start starts the server, with the data of its last run, and waits until it
// answers.
func (s *Server) Start() {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.process = exec.Command(s.args[0], s.args[1:]...)
	s.process.Dir, s.process.SysProcAttr = s.dir, s.attr
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.awaitAnswer()
}

func (s *Server) awaitAnswer() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := s.answers(ctx)
		if err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.t.Fatalf("%s does not answer: %v\n%s", s.args[0], err, log)
		}
	}
}

// Kill ends the server as a crash does, with SIGKILL, and returns when all its
// processes are gone: PostgreSQL does not start beside what is left of an old
// one. It does nothing if the server does not run.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	for _, pid := range s.signal(syscall.SIGKILL) {
		s.awaitState(pid, dead)
	}
	_ = s.process.Wait() // it was killed, it says
	s.process = nil
}

// Freeze stops the server without ending it, with SIGSTOP: connections stay
// open, new ones are taken by the kernel, and nobody answers.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw undoes Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// signal signals the server and its children, and returns them all. The server
// is stopped before it is asked for its children, so that it makes no more of
// them; some may end by themselves before their turn.
func (s *Server) signal(sig syscall.Signal) (pids []int) {
	s.t.Helper()
	pid := s.process.Process.Pid
	_ = syscall.Kill(pid, syscall.SIGSTOP) // what is wrong with it the last Kill says
	s.awaitState(pid, stopped+dead)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		s.t.Error(err)
	}
	for _, child := range strings.Fields(string(children)) {
		if child, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(child, sig)
			pids = append(pids, child)
		}
	}
	if err := syscall.Kill(pid, sig); err != nil {
		s.t.Errorf("signal %v: %v", sig, err)
	}
	return append(pids, pid)
}

// States of a process, as proc(5) has them. Who has been reaped is dead, too.
const (
	stopped = "T"
	dead    = "ZX"
)

// awaitState waits until the process is in one of the states.
func (s *Server) awaitState(pid int, states string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if strings.Contains(states, state(pid)) {
			return
		}
	}
	s.t.Errorf("process %d is in state %s after %v, want one of %s", pid, state(pid), patience, states)
}

func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return dead[1:]
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name before it is in parentheses
	return after[:1]
}

// freePort returns a port below those that the kernel gives to outgoing
// connections: a client that keeps dialing one of those, while the server is
// down, can end up connected to itself.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port")
	return ""
}

// program finds a program in PATH, or in one of the directories, or ends the
// test by Lack.
func program(t testing.TB, name string, dirs ...string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range dirs {
		found, _ := filepath.Glob(filepath.Join(dir, name))
		if len(found) > 0 {
			return found[len(found)-1]
		}
	}
	Lack(t, name+" is not installed")
	return ""
}

// Lack ends a test that lacks what it needs: it is skipped, or, where the tests
// must be complete, has failed.
func Lack(t testing.TB, what string) {
	t.Helper()
	if inCI() {
		t.Fatal(what)
	}
	t.Skip(what)
}

// inCI reports whether CI is set, in any of the ways in which it is.
func inCI() bool {
	return !slices.Contains([]string{"", "0", "false"}, strings.ToLower(os.Getenv("CI")))
}
