package main

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSystemdIsTold: a service of Type=notify is ready when the shop is, gives
// signs of life without its cache, and says that it stops.
func TestSystemdIsTold(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "3000000")
	d := start(t, "-load", "0", "-drain", "2s", "-redis", "127.0.0.1:1")
	hear := func(want string) {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for buf := make([]byte, 4096); ; {
			n, _, err := conn.ReadFromUnix(buf)
			if err != nil {
				t.Fatalf("waiting for %q: %v", want, err)
			}
			if strings.Contains("\n"+string(buf[:n]), "\n"+want) {
				return
			}
		}
	}
	hear("STATUS=starting")
	hear("READY=1")
	hear("STATUS=ready, degraded: shop/storage/cache/client")
	for range 3 {
		hear("WATCHDOG=1")
	}
	d.signal(syscall.SIGTERM)
	hear("STOPPING=1")
	if code := d.exit(10 * time.Second); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
}
