package servers

import (
	"context"
	"testing"
	"time"
)

func TestServersCrashFreezeAndComeBack(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *Server{
		"PostgreSQL": func(t *testing.T) *Server { return StartPostgreSQL(t).Server },
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

func (s *Server) askWithin(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return s.answers(ctx)
}
