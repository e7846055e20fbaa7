package browsertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

// A shop is a tree that a test breaks, with its admin side.
type shop struct {
	*supervisor.Supervisor
	opts   health.AdminOptions
	url    string
	server *health.Server
	ended  chan error // what Run returned

	mu     sync.Mutex // guards broken
	broken map[string]error
}

// breaks makes the worker of that name fail from now on, nil mends it.
func (s *shop) breaks(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken[name] = err
}

func (s *shop) fault(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken[name]
}

// worker fails as breaks says.
func (s *shop) worker(name string) supervisor.Spec {
	return supervisor.Spec{Name: name, Run: func(ctx context.Context, ready func()) error {
		if err := s.fault(name); err != nil && errors.Is(err, supervisor.ErrUnavailable) {
			return err
		}
		ready()
		for ctx.Err() == nil {
			if err := s.fault(name); errors.Is(err, errBug) {
				charge(name)
			} else if err != nil {
				return err
			}
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
		return nil
	}}
}

var (
	errBug     = errors.New("bug")
	errAway    = fmt.Errorf("connect: %w: dial tcp 10.0.0.7:5432: connection refused (postgres://shop:hunter2@10.0.0.7/shop)", supervisor.ErrUnavailable)
	errBadData = fmt.Errorf("read orders: %w", errors.New("row 17: total is negative"))
)

// charge is where it panics.
func charge(name string) { panic("charge: nil card in " + name) }

func (s *shop) spec() supervisor.Spec {
	cache, feed := s.worker("cache"), s.worker("feed")
	cache.Optional, feed.Optional = true, true
	feed.Backoff = supervisor.Backoff{Attempts: 3, Max: 200 * time.Millisecond}
	cache.Probe = &supervisor.Probe{Interval: 200 * time.Millisecond, Failures: 1000, Check: func(context.Context) error { return s.fault("cache-probe") }}
	workers := supervisor.Spec{Name: "workers", Concurrent: true, Quorum: 2}
	for i := range 4 {
		workers.Children = append(workers.Children, s.worker(fmt.Sprint("w", i+1)))
	}
	return supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
		{Name: "storage", Children: []supervisor.Spec{s.worker("db"), cache}}, workers, feed, s.worker("http"),
	}}
}

// open opens a shop until the test's end.
func open(t *testing.T, opts health.AdminOptions) *shop {
	t.Helper()
	s := &shop{broken: map[string]error{}}
	return s.run(t, s.spec(), opts)
}

func (s *shop) run(t *testing.T, spec supervisor.Spec, opts health.AdminOptions) *shop {
	t.Helper()
	opts.Log = health.NewLog(0)
	past(opts.Log)
	sup, err := supervisor.New(spec, supervisor.Options{Observer: opts.Log.Observe})
	if err != nil {
		t.Fatal(err)
	}
	s.Supervisor, s.opts, s.ended = sup, opts, make(chan error, 1)
	s.serve(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.ended <- sup.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-gone
		_ = s.server.Shutdown(ctx)
	})
	if err := sup.WaitReady(ctx, ""); err != nil {
		t.Fatal(err)
	}
	return s
}

// serve opens the admin side, at first, or again after unserve.
func (s *shop) serve(t *testing.T, addr string) {
	t.Helper()
	var err error
	if s.server, err = health.ServeAdmin(addr, s.Supervisor, s.opts); err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + s.server.Addr() + "/"
}

// unserve closes the admin side, as if the process were gone, and returns where it
// was.
func (s *shop) unserve(t *testing.T) (addr string) {
	t.Helper()
	addr = s.server.Addr()
	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return addr
}

// fails breaks a worker, and waits until the tree is down for it.
func (s *shop) fails(name string, err error) {
	s.breaks(name, err)
	for s.Status() != supervisor.Down {
		time.Sleep(time.Millisecond)
	}
}

// past puts what happened before this test into the log: the shop has had a bad
// quarter of an hour.
func past(recent *health.Log) {
	now := time.Now()
	at := func(ago time.Duration, path string, kind supervisor.EventKind, delay time.Duration, err error) {
		recent.Observe(supervisor.Event{Time: now.Add(-ago), Path: path, Kind: kind, Incarnation: 1, Delay: delay, Err: err, BudgetLeft: -1})
	}
	for _, ago := range []time.Duration{13 * time.Minute, 7 * time.Minute} {
		at(ago, "shop/storage/cache", supervisor.EventImpaired, 0, errBadData)
		at(ago-20*time.Second, "shop/storage/cache", supervisor.EventRecovered, 0, nil)
	}
	for i := range time.Duration(5) {
		ago := 9*time.Minute - i*25*time.Second
		at(ago, "shop/http", supervisor.EventExited, 0, errBadData)
		at(ago, "shop/http", supervisor.EventBackingOff, 20*time.Second, errBadData)
		at(ago-20*time.Second, "shop/http", supervisor.EventStarted, 0, nil)
		at(ago-21*time.Second, "shop/http", supervisor.EventReady, 0, nil)
	}
}

func (s *shop) idle(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return nil
}
