package mysql

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

const hunter2 = "s3cret-hunter2"

// What the driver says about a DSN that it cannot parse may tell the password.
func TestAFaultSaysTheMendAndNoPassword(t *testing.T) {
	for dsn, want := range map[string]string{
		hunter2:                            `write "user:password@tcp(host:3306)/database"`,
		"mysql://app:" + hunter2 + "@db/x": "is no MySQL data source name",
		"app:" + hunter2 + "@db:3306/x":    "is no MySQL data source name",
		"app:" + hunter2 + "tcp(db)/x":     "is no MySQL data source name",
		"app@tcp(db)/x?tls=" + hunter2:     "is no MySQL data source name",
		"app@tcp(db)/x?PASS=" + hunter2:    "has a password among its parameters",
	} {
		_, _, err := Parse(dsn, time.Second, false)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), hunter2) {
			t.Errorf("%s: the fault is %v, want one that says %s", dsn, err, want)
		}
	}
}

func TestWhoWantsToWriteRejectsWhatIsReadOnly(t *testing.T) {
	for _, test := range []struct {
		dsn            string
		writable, want bool
	}{
		{"app@tcp(db)/x", false, false},
		{"app@tcp(db)/x", true, true},
		{"app@tcp(db)/x?rejectReadOnly=true", false, true},
	} {
		s, _, err := Parse(test.dsn, time.Second, test.writable)
		if err != nil || s.conf.RejectReadOnly != test.want {
			t.Errorf("%s, writable %v: rejects %v, want %v (%v)", test.dsn, test.writable, s.conf.RejectReadOnly, test.want, err)
		}
	}
	if _, password, err := Parse("app:"+hunter2+"@tcp(db)/x", time.Second, false); password != hunter2 || err != nil {
		t.Errorf("the password is %q, %v", password, err)
	}
}

// Servers say it by a switch, newer ones by one of several words.
func TestOnlyWhatIsOffIsWritable(t *testing.T) {
	for value, want := range map[string]bool{"0": true, "OFF": true, "1": false, "ON": false, "NO_LOCK": false, "": false} {
		if off(value) != want {
			t.Errorf("off(%q) is %v", value, !want)
		}
	}
}

// A frozen server's kernel takes connections, and nobody answers on them.
func TestALoginIsBounded(t *testing.T) {
	pool := mute(t, 50*time.Millisecond).Open(t.Context())
	defer pool.Close()
	if err := pool.Ping(); !errors.Is(err, context.DeadlineExceeded) { // who asks has no deadline
		t.Errorf("the login ended with %v", err)
	}
}

// S28: who waits without a deadline does not outlive the incarnation.
func TestALoginEndsWithTheLife(t *testing.T) {
	life, end := context.WithCancel(t.Context())
	pool := mute(t, time.Hour).Open(life)
	defer pool.Close()
	time.AfterFunc(10*time.Millisecond, end)
	if err := pool.Ping(); err == nil {
		t.Error("nobody answered, and the login succeeded")
	}
}

// mute returns a server that takes connections and says nothing.
func mute(t *testing.T, timeout time.Duration) Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s, _, err := Parse("app:"+hunter2+"@tcp("+l.Addr().String()+")/app", timeout, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
