package systemd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/redact"
)

const (
	// interval is how often the tree is looked at. That reads a few atomics.
	interval = time.Second

	// extension is how much longer a tree may take to start, said anew each
	// interval.
	extension = 30 * time.Second

	// maxStatus bounds the line that is told, in bytes.
	maxStatus = 200
)

// Notifier tells systemd how a tree is; Notify makes one.
type Notifier struct {
	sup      *supervisor.Supervisor
	watchdog bool
	send     func(message string) error

	// What systemd was told.
	ready, stopping bool
	status          string

	stop chan struct{} // closed to end it
	done chan struct{} // closed when it has ended; nil if there is nobody to tell
}

// Notify tells systemd how sup is, until Stop. Call it before sup.Run. Signs of
// life are sent each second, or each third of WatchdogSec if that is shorter.
// The error says which variable of the environment is wrong, or that nobody
// listens at NOTIFY_SOCKET. What cannot be sent later is not sent: that is for
// systemd's watchdog to notice.
func Notify(sup *supervisor.Supervisor) (*Notifier, error) {
	env, err := read(os.Getenv, os.Getpid())
	if err != nil {
		return nil, err
	}
	if env.socket == "" {
		return &Notifier{}, nil
	}
	return notify(sup, env.watchdog, env.send)
}

func notify(sup *supervisor.Supervisor, watchdog time.Duration, send func(string) error) (*Notifier, error) {
	n := &Notifier{sup: sup, watchdog: watchdog > 0, send: send, stop: make(chan struct{}), done: make(chan struct{})}
	if err := n.tell(); err != nil {
		return nil, fmt.Errorf("systemd: NOTIFY_SOCKET: %w", err)
	}
	every := interval
	if n.watchdog {
		every = max(min(every, watchdog/3), time.Millisecond)
	}
	go n.run(every)
	return n, nil
}

// Stop tells that the service ends, and nothing more. Call it once, after Run.
func (n *Notifier) Stop() {
	if n.done == nil {
		return
	}
	close(n.stop)
	<-n.done
}

func (n *Notifier) run(every time.Duration) {
	defer close(n.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = n.tell() // the watchdog notices
		case <-n.stop:
			_ = n.write(n.ending(nil))
			return
		}
	}
}

// tell says what has changed, and gives a sign of life.
func (n *Notifier) tell() error {
	alive := n.sup.Alive()
	var lines []string
	if !n.ready && n.sup.Started() {
		n.ready = true
		lines = append(lines, "READY=1")
	}
	if n.sup.Draining() {
		lines = n.ending(lines)
	}
	if alive == nil && n.watchdog {
		lines = append(lines, "WATCHDOG=1")
	}
	if alive == nil && !n.ready && !n.stopping {
		lines = append(lines, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extension.Microseconds()))
	}
	if status := n.word(alive); status != n.status {
		n.status = status
		lines = append(lines, "STATUS="+status)
	}
	return n.write(lines)
}

func (n *Notifier) ending(lines []string) []string {
	if n.stopping {
		return lines
	}
	n.stopping = true
	return append(lines, "STOPPING=1")
}

func (n *Notifier) write(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	return n.send(strings.Join(lines, "\n"))
}

// word says in one line how the tree is. Only of one that is alive is more
// asked than atomics: who is stuck may hold its lock.
func (n *Notifier) word(alive error) string {
	switch {
	case errors.Is(alive, supervisor.ErrNotRunning):
		return "stopped"
	case alive != nil:
		return line("cannot heal itself: " + alive.Error())
	case n.stopping:
		return "draining"
	case !n.ready:
		return line("starting", n.sup.Why(""))
	case n.sup.Status() == supervisor.Up:
		return "ready"
	case n.sup.Status() == supervisor.Degraded:
		return line("ready, degraded", n.sup.Why(""))
	}
	return line("not ready", n.sup.Why(""))
}

// line joins what is not empty to one short line, without secrets.
func line(parts ...string) string {
	text := strings.Join(strings.Fields(strings.TrimSuffix(strings.Join(parts, ": "), ": ")), " ")
	if text = redact.Secrets(text); len(text) <= maxStatus {
		return text
	}
	return strings.ToValidUTF8(text[:maxStatus], "") + "…"
}
