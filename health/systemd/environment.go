package systemd

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// environment is what systemd has told the process.
type environment struct {
	socket   string        // "" if nobody listens
	watchdog time.Duration // the longest time between two signs of life; 0 if nobody waits for them
}

// read reads the variables that sd_notify(3) and sd_watchdog_enabled(3) name.
func read(getenv func(string) string, pid int) (env environment, err error) {
	env.socket = getenv("NOTIFY_SOCKET")
	if env.socket == "" {
		return environment{}, nil
	}
	if !strings.HasPrefix(env.socket, "/") && !strings.HasPrefix(env.socket, "@") {
		return environment{}, fmt.Errorf("systemd: NOTIFY_SOCKET is %q, want a path, or @ and a name; leave it to systemd, by Type=notify", env.socket)
	}
	usec := getenv("WATCHDOG_USEC")
	if usec == "" {
		return env, nil
	}
	if of := getenv("WATCHDOG_PID"); of != "" && of != strconv.Itoa(pid) {
		return env, nil // another process is watched
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(maxWatchdog/time.Microsecond) {
		return environment{}, fmt.Errorf("systemd: WATCHDOG_USEC is %q, want microseconds from 1 to a year's; leave it to systemd, by WatchdogSec=", usec)
	}
	env.watchdog = time.Duration(n) * time.Microsecond
	return env, nil
}

const maxWatchdog = 365 * 24 * time.Hour

// send sends a message, to a new socket each time: after a re-execution
// systemd listens at another one of the same name.
func (e environment) send(message string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: e.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was sent, or not
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}

// patience is how long a message may wait for systemd to read the ones before.
const patience = time.Second
