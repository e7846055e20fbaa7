package supervisor_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thejerf/suture/v4"

	"github.com/coppice-go/coppice/supervisor"
)

// The benchmarks run coppice beside raw suture in the same run: read the
// ratios, the machine's noise is in both.

// BenchmarkRestart is the time from a worker's failure to its next start,
// among siblings that idle.
func BenchmarkRestart(b *testing.B) {
	for _, siblings := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("siblings=%d/coppice", siblings), func(b *testing.B) { restartCoppice(b, siblings) })
		b.Run(fmt.Sprintf("siblings=%d/suture", siblings), func(b *testing.B) { restartSuture(b, siblings) })
	}
}

// crasher fails n times in a row once it is told to.
type crasher struct {
	left atomic.Int64
	goOn chan struct{}
	done chan struct{}
}

func newCrasher() *crasher {
	return &crasher{goOn: make(chan struct{}, 1), done: make(chan struct{}, 1)}
}

func (c *crasher) serve(ctx context.Context) error {
	if c.left.Add(-1) >= 0 {
		return errCrash
	}
	select {
	case c.done <- struct{}{}:
	default:
	}
	select {
	case <-c.goOn:
		return errCrash
	case <-ctx.Done():
		return ctx.Err()
	}
}

// crash makes it fail n times, and returns when it runs again.
func (c *crasher) crash(n int) {
	<-c.done
	c.left.Store(int64(n - 1))
	c.goOn <- struct{}{}
	<-c.done
	c.done <- struct{}{}
}

func idle(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func restartCoppice(b *testing.B, siblings int) {
	c := newCrasher()
	spec := flat(siblings)
	spec.Children = append(spec.Children, supervisor.Spec{Name: "crasher", Run: supervisor.Func(c.serve), Backoff: supervisor.NoBackoff})
	_, stop := run(b, spec, supervisor.Options{})
	b.ReportAllocs()
	b.ResetTimer()
	c.crash(b.N)
	b.StopTimer()
	_ = stop()
}

func restartSuture(b *testing.B, siblings int) {
	c := newCrasher()
	sup, stop := runSuture(siblings)
	sup.Add(service(c.serve))
	b.ReportAllocs()
	b.ResetTimer()
	c.crash(b.N)
	b.StopTimer()
	stop()
}

// flat is a supervisor with n idle children that start in order.
func flat(n int) supervisor.Spec {
	spec := supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited, Children: make([]supervisor.Spec, 0, n+1)}
	for i := range n {
		spec.Children = append(spec.Children, supervisor.Spec{Name: fmt.Sprint(i), Run: supervisor.Func(idle), Backoff: supervisor.NoBackoff})
	}
	return spec
}

type service func(context.Context) error

func (s service) Serve(ctx context.Context) error { return s(ctx) }
func (service) String() string                    { return "service" }

func newSuture() *suture.Supervisor {
	return suture.New("app", suture.Spec{FailureThreshold: math.MaxFloat64, EventHook: func(suture.Event) {}, Timeout: time.Minute})
}

func runSuture(n int) (sup *suture.Supervisor, stop func()) {
	sup = newSuture()
	var up atomic.Int64
	all := make(chan struct{})
	for range n {
		sup.Add(service(func(ctx context.Context) error {
			if up.Add(1) == int64(n) {
				close(all)
			}
			return idle(ctx)
		}))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := sup.ServeBackground(ctx)
	if n > 0 {
		<-all
	}
	return sup, func() { cancel(); <-ended }
}

// BenchmarkStartStop is the start of 100,000 children until all run, and their
// stop: in order and gated by readiness for coppice, in any order for suture.
func BenchmarkStartStop(b *testing.B) {
	const n = 100_000
	measure := func(b *testing.B, start func() (stop func())) {
		for range b.N {
			runtime.GC()
			began := time.Now()
			stop := start()
			started := time.Now()
			stop()
			b.ReportMetric(float64(started.Sub(began).Nanoseconds())/n, "ns/start")
			b.ReportMetric(float64(time.Since(started).Nanoseconds())/n, "ns/stop")
		}
		b.ReportMetric(0, "ns/op")
	}
	b.Run("coppice", func(b *testing.B) {
		spec := flat(n)
		measure(b, func() func() {
			_, stop := run(b, spec, supervisor.Options{})
			return func() { _ = stop() }
		})
	})
	b.Run("suture", func(b *testing.B) {
		measure(b, func() func() {
			_, stop := runSuture(n)
			return stop
		})
	})
}

// BenchmarkBeat is what a worker pays for saying that it makes progress.
func BenchmarkBeat(b *testing.B) {
	worker := make(chan context.Context, 1)
	_, stop := run(b, supervisor.Spec{Name: "app", Children: []supervisor.Spec{{Name: "w", BeatTimeout: time.Hour,
		Run: supervisor.Func(func(ctx context.Context) error { worker <- ctx; return idle(ctx) })}}}, supervisor.Options{})
	ctx := <-worker
	b.ReportAllocs()
	for b.Loop() {
		supervisor.Beat(ctx)
	}
	_ = stop()
}

// BenchmarkApply is a new Spec for one supervisor in which one child has
// another Revision, and what Diff takes to see it. held is the longest that a
// reader waited meanwhile.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		spec := flat(n)
		sup, stop := run(b, spec, supervisor.Options{})
		revise := func() { spec.Children[n/2].Revision += "'" }
		b.Run(fmt.Sprintf("children=%d/apply", n), func(b *testing.B) {
			held := longestRead(b, sup)
			for b.Loop() {
				revise()
				if err := sup.Apply(b.Context(), spec); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(held().Microseconds()), "µs-held")
		})
		b.Run(fmt.Sprintf("children=%d/diff", n), func(b *testing.B) {
			held := longestRead(b, sup)
			revise()
			for b.Loop() {
				if diff, err := sup.Diff(spec); len(diff) != 1 || err != nil {
					b.Fatal(diff, err)
				}
			}
			b.ReportMetric(float64(held().Microseconds()), "µs-held")
		})
		_ = stop()
	}
}

// longestRead reads a node all the while until the function that it returns is
// called, which returns how long the longest took.
func longestRead(b *testing.B, sup *supervisor.Supervisor) func() time.Duration {
	ended, longest := make(chan struct{}), make(chan time.Duration)
	go func() {
		var most time.Duration
		for {
			select {
			case <-ended:
				longest <- most
				return
			case <-time.After(10 * time.Microsecond):
			}
			began := time.Now()
			if _, err := sup.Find("app/0"); err != nil {
				b.Error(err)
			}
			most = max(most, time.Since(began))
		}
	}()
	return func() time.Duration { close(ended); return <-longest }
}
