package postgres

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

const hunter2 = "s3cret-hunter2"

// What pgx says about a DSN that it cannot parse may tell the password.
func TestAFaultSaysTheMendAndNoPassword(t *testing.T) {
	for _, dsn := range []string{
		hunter2,
		"postgres://app:" + hunter2 + "%zz@db/shop",
		"postgres://app:" + hunter2 + "@db:port/shop",
		"host=db Password = \"" + hunter2 + " pw\" sslmode=nosuch",
	} {
		_, _, err := Parse(dsn, time.Second, false)
		if err == nil || !strings.Contains(err.Error(), `write "postgres://user:password@host:5432/database"`) || strings.Contains(err.Error(), hunter2) {
			t.Errorf("%s: the fault is %v", dsn, err)
		}
	}
}

func TestThePasswordIsKnownWhereverItStands(t *testing.T) {
	t.Setenv("PGPASSWORD", hunter2)
	for _, dsn := range []string{"postgres://app:" + hunter2 + "@db/shop", "host=db user=app password=" + hunter2, "host=db user=app"} {
		if _, password, err := Parse(dsn, time.Second, false); password != hunter2 || err != nil {
			t.Errorf("%s: the password is %q, %v", dsn, password, err)
		}
	}
}

// A frozen server's kernel takes connections, and nobody answers on them.
func TestALoginIsBounded(t *testing.T) {
	pool := mute(t, 50*time.Millisecond).Open(t.Context())
	defer pool.Close()
	if err := pool.Ping(); err == nil || !strings.Contains(err.Error(), "timeout") { // who asks has no deadline
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
	s, _, err := Parse("postgres://app:"+hunter2+"@"+l.Addr().String()+"/shop?sslmode=disable", timeout, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
