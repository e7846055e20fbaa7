package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// heard is what a systemd has heard.
type heard struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (h *heard) send(message string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, strings.Split(message, "\n")...)
	return nil
}

// take returns what was heard since it was called last.
func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := h.lines
	h.lines = nil
	return lines
}

func count(lines []string, prefix string) (n int) {
	for _, l := range lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

// begin runs a tree that tells h how it is; end stops both.
func begin(t *testing.T, spec supervisor.Spec, opts supervisor.Options, watchdog time.Duration) (h *heard, drain func(), end func()) {
	t.Helper()
	sup, err := supervisor.New(spec, opts)
	if err != nil {
		t.Fatal(err)
	}
	h = &heard{}
	n, err := notify(sup, watchdog, h.send)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = sup.Run(ctx) // some give up
	}()
	return h, cancel, func() {
		cancel()
		<-ran
		n.Stop()
	}
}

// worker is ready when up is closed, and fails when broken is.
func worker(up, broken <-chan struct{}) supervisor.RunFunc {
	return func(ctx context.Context, ready func()) error {
		select {
		case <-up:
		case <-ctx.Done():
			return nil
		}
		ready()
		select {
		case <-broken:
			return fmt.Errorf("db:5432: %w", supervisor.ErrUnavailable)
		case <-ctx.Done():
			return nil
		}
	}
}

func TestReadyIsToldOnceTheTreeIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := make(chan struct{})
		h, _, end := begin(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
			{Name: "db", StartTimeout: time.Hour, Run: worker(up, nil)},
		}}, supervisor.Options{}, 0)
		defer end()
		time.Sleep(10*time.Minute + interval/2)
		lines := h.take()
		if n := count(lines, "READY"); n > 0 {
			t.Error("READY before the tree is")
		}
		if n := count(lines, "EXTEND_TIMEOUT_USEC=30000000"); n != 601 {
			t.Errorf("%d extensions in 10 minutes, want one each second, and the first", n)
		}
		if n := count(lines, "STATUS=starting: shop/db"); n == 0 {
			t.Errorf("no status tells what it waits for: %q", lines[:4])
		}
		close(up)
		time.Sleep(time.Hour)
		lines = h.take()
		if want := []string{"READY=1", "STATUS=ready"}; !slices.Equal(lines, want) {
			t.Errorf("once it is ready: %q, want %q and no more", lines, want)
		}
	})
}

func TestOutageStopsNoWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up, broken := make(chan struct{}, 1), make(chan struct{})
		up <- struct{}{}
		h, _, end := begin(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{
			{Name: "db", StartTimeout: time.Hour, Run: worker(up, broken)},
		}}, supervisor.Options{}, 30*time.Second)
		defer end()
		time.Sleep(time.Minute + interval/2)
		h.take()
		close(broken)
		time.Sleep(5 * time.Minute)
		lines := h.take()
		if n := count(lines, "WATCHDOG=1"); n != 300 {
			t.Errorf("%d signs of life in 5 minutes without a database, want one each second", n)
		}
		if n := count(lines, "STATUS=not ready: shop/db"); n == 0 {
			t.Errorf("no status tells what is down: %q", lines)
		}
		if n := count(lines, "EXTEND"); n > 0 {
			t.Errorf("%d extensions of a start that is over", n)
		}
	})
}

func TestWatchdogThatIsShortIsMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := make(chan struct{})
		close(up)
		h, _, end := begin(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{{Name: "db", Run: worker(up, nil)}}}, supervisor.Options{}, 300*time.Millisecond)
		defer end()
		time.Sleep(10*time.Second + 50*time.Millisecond)
		if n := count(h.take(), "WATCHDOG=1"); n != 101 {
			t.Errorf("%d signs of life in 10 s, want one each 100 ms, and the first", n)
		}
	})
}

func TestTreeThatGaveUpGivesNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h, _, end := begin(t, supervisor.Spec{Name: "shop", Intensity: supervisor.Intensity{Restarts: 1, Within: time.Hour}, Children: []supervisor.Spec{
			{Name: "deaf", StopTimeout: time.Hour, Run: func(_ context.Context, ready func()) error {
				ready()
				<-release
				return nil
			}},
			{Name: "weak", Run: func(_ context.Context, ready func()) error {
				ready()
				return errors.New("a bug")
			}},
		}}, supervisor.Options{}, 30*time.Second)
		time.Sleep(time.Minute)
		h.take()
		time.Sleep(time.Minute)
		if lines := h.take(); len(lines) > 0 {
			t.Errorf("told, a minute after it gave up: %q", lines)
		}
		close(release)
		end()
		if lines := h.take(); !slices.Contains(lines, "STOPPING=1") {
			t.Errorf("at the end: %q", lines)
		}
	})
}

func TestStatusOfATreeThatGaveUpSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _, end := begin(t, supervisor.Spec{Name: "shop", Intensity: supervisor.Intensity{Restarts: 1, Within: time.Hour}, Children: []supervisor.Spec{
			{Name: "deaf", StopTimeout: time.Minute, Run: func(_ context.Context, ready func()) error {
				ready()
				time.Sleep(time.Minute)
				return nil
			}},
			{Name: "weak", Run: func(_ context.Context, ready func()) error {
				ready()
				return errors.New("a\nbug" + strings.Repeat("ü", maxStatus))
			}},
		}}, supervisor.Options{}, 0)
		defer end()
		time.Sleep(10 * time.Second)
		lines := h.take()
		last := lines[len(lines)-1]
		if !strings.HasPrefix(last, "STATUS=cannot heal itself: ") || !strings.Contains(last, "a bugü") || len(last) > len("STATUS=…")+maxStatus || strings.ToValidUTF8(last, "?") != last {
			t.Errorf("the last of %q is no short line that says so", lines)
		}
	})
}

func TestStoppingIsToldWhenItDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := make(chan struct{})
		close(up)
		h, drain, end := begin(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{{Name: "db", Run: worker(up, nil)}}},
			supervisor.Options{DrainDelay: 10 * time.Second}, 3*time.Second)
		time.Sleep(time.Minute + interval/2)
		h.take()
		drain()
		time.Sleep(5 * time.Second)
		lines := h.take()
		if n := count(lines, "STOPPING=1"); n != 1 || !slices.Contains(lines, "STATUS=draining") || count(lines, "WATCHDOG=1") != 5 {
			t.Errorf("while it drains: %q", lines)
		}
		end()
		if n := count(h.take(), "STOPPING=1"); n > 0 {
			t.Error("told twice")
		}
	})
}

func TestTheStatusTellsNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuses := func(context.Context, func()) error { return errors.New("dial postgres://app:hunter2@db: refused") }
		h, _, end := begin(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{{Name: "db", Run: refuses}}}, supervisor.Options{}, 0)
		defer end()
		time.Sleep(time.Minute)
		lines := h.take()
		if n := count(lines, "STATUS=starting: shop/db"); n == 0 || strings.Contains(fmt.Sprint(lines), "hunter2") || !strings.Contains(fmt.Sprint(lines), "app:xxxxx@db") {
			t.Errorf("%q", lines)
		}
	})
}

func TestMessagesReachTheSocket(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@coppice-" + filepath.Base(t.TempDir())} {
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", "30000000")
		t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
		sup, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{}}, supervisor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := Notify(sup)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1000)
		size, _, err := conn.ReadFromUnix(buf)
		if want := "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=30000000\nSTATUS=starting: shop pending"; err != nil || string(buf[:size]) != want {
			t.Errorf("%s: got %q (%v), want %q", name, buf[:size], err, want)
		}
		n.Stop()
		size, _, err = conn.ReadFromUnix(buf)
		if err != nil || string(buf[:size]) != "STOPPING=1" {
			t.Errorf("%s: at the end got %q (%v)", name, buf[:size], err)
		}
	}
}

func TestNobodyIsToldWithoutASocket(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n, err := Notify(nil)
	if err != nil {
		t.Fatal(err)
	}
	n.Stop()
}

func TestBadEnvironmentIsNamed(t *testing.T) {
	for _, c := range []struct{ socket, usec, pid, want string }{
		{"relative", "", "", "NOTIFY_SOCKET"},
		{"vsock:2:1", "", "", "NOTIFY_SOCKET"},
		{"/run/notify", "soon", "", "WATCHDOG_USEC"},
		{"/run/notify", "0", "", "WATCHDOG_USEC"},
		{"/run/notify", "-1", "42", "WATCHDOG_USEC"},
		{"/run/notify", "9223372036854775807", "", "WATCHDOG_USEC"},
		{"/run/notify", "soon", "41", ""}, // another's
		{"/run/notify", "3000000", "42", ""},
		{"", "soon", "", ""},
	} {
		env := map[string]string{"NOTIFY_SOCKET": c.socket, "WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid}
		_, err := read(func(name string) string { return env[name] }, 42)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	sup, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{}}, supervisor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Notify(sup); err == nil || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
		t.Errorf("nobody listens: %v", err)
	}
}

func FuzzEnvironment(f *testing.F) {
	f.Add("/run/systemd/notify", "30000000", "42")
	f.Add("@x", "", "")
	f.Fuzz(func(t *testing.T, socket, usec, pid string) {
		env := map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
		got, err := read(func(name string) string { return env[name] }, 42)
		if err == nil && (got.watchdog < 0 || got.watchdog > maxWatchdog || socket == "" && got != environment{}) {
			t.Errorf("%q: %+v", env, got)
		}
	})
}
