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

func (s *Server) askWithin(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return s.answers(ctx)
}
