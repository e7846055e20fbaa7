package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coppice-go/coppice/docs/benchmarks/page"
	"github.com/coppice-go/coppice/supervisor"
)

// A crowd is what callers do to a tree while a storm of failures goes on in it.
type crowd struct {
	Asks  string        // one of asks
	Pause time.Duration // of a caller, after each call
	For   time.Duration
}

// A stall is how long restarts took beside a crowd.
type stall struct {
	Crowd         crowd
	Calls         int
	Restarts      int
	P50, P99, Max time.Duration
	Locks         wait // of the workers' goroutines
	Processors    wait
}

// Callers at once; what a storm is; a tree that is worth reading.
const (
	callers   = 64
	crashers  = 100
	crashEach = 10 * time.Millisecond
	neighbors = 900
)

// asks are what a caller can do, in the order of the table. One that computes
// takes as long as a Snapshot, and touches no tree: it shows what the machine's
// two hands have to do with it.
var asks = []string{"nothing", "compute", "Status", "Find", "Ref.Get", "Snapshot", "Add and Remove", "all of these"}

// A crowded tree has crashers in one supervisor, among neighbours that idle.
type crowded struct {
	sup      *supervisor.Supervisor
	crashers [crashers]crasher
}

// A crasher runs a while and fails, for ever. It notes how long it took until it
// ran again: by itself, so that no crasher waits for another.
type crasher struct {
	ref supervisor.Ref[int]

	mu   sync.Mutex // guards took
	took []time.Duration
}

func doContend(c crowd) (stall, error) {
	t := &crowded{}
	g := grow(t.spec())
	t.sup = g.sup
	defer g.stop()
	g.settle()
	time.Sleep(200 * time.Millisecond) // the storm is under way
	t.begin()
	s := stall{Crowd: c}
	var err error
	s.Locks, s.Processors, err = traced(func() { s.Calls = t.crowd(c) })
	if err != nil {
		return s, err
	}
	took := t.begin()
	if len(took) == 0 {
		return s, errors.New("nothing was restarted")
	}
	slices.Sort(took)
	s.Restarts, s.P50, s.P99, s.Max = len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	return s, nil
}

func (t *crowded) spec() supervisor.Spec {
	spec := supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited}
	for i := range crashers {
		spec.Children = append(spec.Children, supervisor.Spec{Name: "c" + strconv.Itoa(i), Run: t.crashers[i].run(), Backoff: supervisor.NoBackoff})
	}
	for i := range neighbors {
		spec.Children = append(spec.Children, leafSpec("n"+strconv.Itoa(i), &child{}))
	}
	return spec
}

// run's value is there for who asks the Ref.
func (c *crasher) run() supervisor.RunFunc {
	var failed time.Time
	return c.ref.Run(func(ctx context.Context, ready func(int)) error {
		if !failed.IsZero() {
			c.note(time.Since(failed))
		}
		ready(1)
		select {
		case <-time.After(crashEach):
		case <-ctx.Done():
			return nil
		}
		failed = time.Now()
		return errFailed
	})
}

func (c *crasher) note(took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = append(c.took, took)
}

// begin forgets what was noted, and returns it.
func (t *crowded) begin() (took []time.Duration) {
	for i := range t.crashers {
		took = append(took, t.crashers[i].begin()...)
	}
	return took
}

func (c *crasher) begin() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := c.took
	c.took = make([]time.Duration, 0, 2*len(took)) // who notes makes no room
	return took
}

// crowd lets the callers call, and returns how often they did.
func (t *crowded) crowd(c crowd) int {
	ctx, cancel := context.WithTimeout(context.Background(), c.For)
	defer cancel()
	var calls atomic.Int64
	var all sync.WaitGroup
	for i := range callers {
		ask := c.Asks
		if ask == "all of these" {
			ask = asks[2+i%5]
		}
		all.Go(func() {
			rest(ctx, c.Pause*time.Duration(i)/callers) // they know nothing of each other
			for ctx.Err() == nil {
				t.ask(ctx, ask)
				calls.Add(1)
				rest(ctx, c.Pause)
			}
		})
	}
	all.Wait()
	return int(calls.Load())
}

func (t *crowded) ask(ctx context.Context, what string) {
	switch what {
	case "nothing":
		<-ctx.Done()
	case "compute":
		for began := time.Now(); time.Since(began) < 200*time.Microsecond; {
		}
	case "Status":
		_ = t.sup.Status()
	case "Find":
		_, _ = t.sup.Find("app/n1")
	case "Ref.Get":
		_, _ = t.crashers[0].ref.Get(ctx)
	case "Snapshot":
		_ = t.sup.Snapshot()
	case "Add and Remove":
		if path, err := t.sup.Add(ctx, "app", leafSpec("", &child{})); err == nil {
			_ = t.sup.Remove(ctx, path)
		}
	default:
		panic("nobody can ask for " + what)
	}
}

func rest(ctx context.Context, pause time.Duration) {
	if pause == 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}

// A pressing is all crowds of one run.
type pressing struct {
	Setting page.Setting
	Stalls  []stall
}

func contendCommand(args []string) error {
	flags := flag.NewFlagSet("contend", flag.ExitOnError)
	each := flags.Duration("for", 3*time.Second, "how long each crowd calls")
	save := flags.Bool("save", false, "write results/contend.json and the section in docs/performance.md")
	_ = flags.Parse(args)
	var p pressing
	for _, pause := range []time.Duration{100 * time.Millisecond, 0} {
		for _, what := range asks {
			fmt.Fprintln(os.Stderr, what, pause)
			var s stall
			if err := fresh("contend", crowd{what, pause, *each}, &s); err != nil {
				return err
			}
			p.Stalls = append(p.Stalls, s)
		}
	}
	p.Setting = page.Here(page.Again("."))
	fmt.Print(p.report())
	if !*save {
		return nil
	}
	return keep("contend", &p)
}

func (p *pressing) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s\n\n%s. %d callers; %d of %s children fail every %v.\n\n"+
		"| callers do | pause between | calls a second | restarts a second | restart, p50 | p99 | longest | waits for a lock, of 1,000 restarts | p99 | longest | waits for a processor: p99 | longest |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
		p.Setting.Command, p.Setting, callers, crashers, page.Count(crashers+neighbors), crashEach)
	for _, s := range p.Stalls {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", s.Crowd.Asks, s.Crowd.pause(),
			s.rate(s.Calls), s.rate(s.Restarts), took(s.P50), took(s.P99), took(s.Max),
			page.Digits(1000*float64(s.Locks.Times)/float64(max(1, s.Restarts))), s.Locks.waited(), s.Processors.waited())
	}
	return b.String()
}

func (c crowd) pause() string {
	if c.Pause == 0 {
		return "none"
	}
	return c.Pause.String()
}

func (s *stall) rate(n int) string { return page.Count(int(float64(n) / s.Crowd.For.Seconds())) }

func took(d time.Duration) string { return page.Nanoseconds(float64(d)) }

// waited is how long, if at all.
func (w wait) waited() string {
	if w.Times == 0 {
		return "– | –"
	}
	return took(w.P99) + " | " + took(w.Max)
}
