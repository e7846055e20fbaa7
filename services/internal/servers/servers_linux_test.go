package servers

import (
	"context"
	"sync"
	"testing"
	"time"
)

func TestServersCrashFreezeAndComeBack(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *Server{
		"PostgreSQL": func(t *testing.T) *Server { return StartPostgreSQL(t).Server },
		"MariaDB":    func(t *testing.T) *Server { return StartMariaDB(t).Server },
		"Redis":      func(t *testing.T) *Server { return StartRedis(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.Freeze()
			if err := s.askWithin(300 * time.Millisecond); err == nil {
				t.Error("a frozen server answered")
			}
			s.Thaw()
			if err := s.askWithin(patience); err != nil {
				t.Errorf("a thawed server does not answer: %v", err)
			}
			s.Kill()
			if err := s.askWithin(patience); err == nil {
				t.Error("a killed server answered")
			}
			s.Start()
			if err := s.askWithin(patience); err != nil {
				t.Errorf("a restarted server does not answer: %v", err)
			}
		})
	}
}

// Processes that it was just making must not outlive it: PostgreSQL would not
// start beside them.
func TestAServerThatIsKilledWhileClientsConnectStartsAgain(t *testing.T) {
	s := StartPostgreSQL(t)
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				_ = s.answers(ctx)
			}
		})
	}
	for range 10 {
		s.Kill()
		s.Start()
	}
	cancel()
	clients.Wait()
}

// What a test lacks is a failure in CI, whatever that calls itself.
func TestLackingIsAFailureInCI(t *testing.T) {
	for ci, want := range map[string]string{"": "skipped", "0": "skipped", "false": "skipped", "true": "failed", "1": "failed", "woodpecker": "failed"} {
		t.Setenv("CI", ci)
		ends := &ended{TB: t}
		func() {
			defer func() { _ = recover() }()
			program(ends, "no-such-server", "/no/such/directory")
		}()
		if ends.how != want {
			t.Errorf("with CI=%q the test is %q, want %q", ci, ends.how, want)
		}
	}
}

// ended is a test that says how it was ended.
type ended struct {
	testing.TB
	how string
}

func (e *ended) Fatal(...any)          { e.end("failed") }
func (e *ended) Fatalf(string, ...any) { e.end("failed") }
func (e *ended) Skip(...any)           { e.end("skipped") }
func (e *ended) Skipf(string, ...any)  { e.end("skipped") }

func (e *ended) end(how string) {
	e.how = how
	panic(how)
}

func (s *Server) askWithin(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return s.answers(ctx)
}
