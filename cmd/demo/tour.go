package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/supervisor"
)

const (
	tourLoad = 20               // requests per second, at least
	tourTime = 30 * time.Second // for one fault to heal
	calm     = 2 * time.Second  // before and after each fault
	steady   = time.Second / 2  // for what is well to count as healed
	often    = 3                // how many events of a kind are told of a node
)

// tour breaks a shop under load, in every way there is, and tells how it heals.
// Its error is errReported unless all did, and no order was lost.
func tour(cfg config, stdout io.Writer) error {
	if !cfg.embeddedDB() || !cfg.embeddedRedis() {
		return usage("the tour breaks a database and a Redis server of its own: drop -dsn and -redis")
	}
	cfg.load = max(cfg.load, tourLoad)
	g := &guide{out: stdout}
	p, err := newProgram(cfg, zerolog.Nop(), g.observe)
	if err != nil {
		return err
	}
	defer p.close()
	ctx, release := untilSignal(p.shop.close, true)
	defer release()
	g.program = p
	return g.lead(ctx)
}

// guide leads a tour.
type guide struct {
	*program
	out   io.Writer
	stops []stop

	mu  sync.Mutex // guards out and now
	now *watch     // what is being watched; nil between faults
}

// A stop is one fault and what came of it.
type stop struct {
	fault  fault
	healed time.Duration // since the fault; 0 if it did not
	went   rungs         // that it went through
	others []string      // that failed meanwhile
	tally  tally
	lost   int
}

// lead runs the program for as long as the tour takes.
func (g *guide) lead(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() {
		ended <- g.run(ctx)
		end()
	}()
	g.say("A shop with %v requests per second is broken in %d ways. Watch it heal, here or at http://%s/\n", g.cfg.load, len(visible()), g.listeners[1].Addr())
	finished := g.visit(ctx)
	end()
	if err := <-ended; err != nil {
		g.say("The shop did not end well: %v", err)
		return errReported
	}
	return g.verdict(finished)
}

// visit goes from fault to fault, and reports whether it saw all of them.
func (g *guide) visit(ctx context.Context) bool {
	if err := g.sup.WaitReady(ctx, ""); err != nil || !pause(ctx, calm) {
		return false
	}
	stops := visible()
	for i, f := range stops {
		g.say("%d/%d  %s (demo chaos %s)", i+1, len(stops), f.label, f.name)
		s := g.see(ctx, f)
		if ctx.Err() != nil {
			return false
		}
		g.stops = append(g.stops, s)
		g.say("      %s\n", s)
	}
	return true
}

// see breaks one thing, and waits until it has healed and all orders until
// then are fulfilled.
func (g *guide) see(ctx context.Context, f fault) stop {
	ctx, cancel := context.WithTimeout(ctx, tourTime)
	defer cancel()
	s := stop{fault: f}
	before := g.customers.count()
	w := g.watch(f)
	defer g.unwatch()
	if err := f.do(g.shop, ctx); err != nil {
		g.say("      that did not work: %v", err)
		return s
	}
	if at, ok := g.healed(ctx, w); ok {
		s.healed = at.Sub(w.begin)
	}
	s.went, s.others = g.saw(w)
	s.lost = g.customers.lost(ctx, g.customers.openOrders())
	pause(ctx, calm)
	s.tally = g.customers.count().minus(before)
	return s
}

// healed waits until what broke has mended and all is well, and stays so, and
// returns since when.
func (g *guide) healed(ctx context.Context, w *watch) (since time.Time, ok bool) {
	select {
	case <-w.mended:
	case <-ctx.Done():
		return since, false
	}
	for since = time.Now(); time.Since(since) < steady; {
		if !pause(ctx, 10*time.Millisecond) {
			return since, false
		}
		if g.sup.Status() != supervisor.Up {
			since = time.Now()
		}
	}
	return since, true
}

// String is the stop in a sentence.
func (s stop) String() string {
	t := s.tally.requests
	switch {
	case s.healed == 0:
		return fmt.Sprintf("NOT HEALED within %v", tourTime)
	case !s.climbed():
		return fmt.Sprintf("healed by way of %v, not %v", s.went, s.fault.rungs)
	case len(s.others) > 0:
		return fmt.Sprintf("healed, but %v failed too", s.others)
	}
	return fmt.Sprintf("healed after %.1f s: %d requests served, %d refused with a Retry-After, %d cut off, %d hung; %d of %d orders lost",
		s.healed.Seconds(), t[served], t[refused], t[cut], t[hung], s.lost, s.tally.orders)
}

// good reports whether the stop went as it should.
func (s stop) good() bool {
	return s.healed > 0 && s.climbed() && len(s.others) == 0 && s.lost == 0 && s.tally.requests[hung] == 0 && s.tally.requests[odd] == 0
}

// climbed reports whether it healed as it was to: what a remedy mends is not
// restarted, and what must be restarted is.
func (s stop) climbed() bool {
	return !slices.ContainsFunc(s.fault.rungs, func(r supervisor.EventKind) bool { return !slices.Contains(s.went, r) }) &&
		slices.Contains(s.fault.rungs, exited) == slices.Contains(s.went, exited)
}

// verdict sums up.
func (g *guide) verdict(finished bool) error {
	if !finished {
		g.say("The tour was cut short.")
		return errReported
	}
	g.table()
	for _, s := range g.stops {
		if !s.good() {
			g.say("\nThis is not as it should be: %s: %s", s.fault.name, s)
			return errReported
		}
	}
	g.say("\nAll of it healed by itself. No order was lost, no request hung.")
	return nil
}

func (g *guide) table() {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "fault\thealed after\tserved\trefused (503)\tcut off\thung\tother\torders\tlost\t")
	for _, s := range g.stops {
		t := s.tally.requests
		fmt.Fprintf(w, "%s\t%.1f s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n",
			s.fault.name, s.healed.Seconds(), t[served], t[refused], t[cut], t[hung], t[odd], s.tally.orders, s.lost)
	}
	_ = w.Flush()
	g.say("%s", strings.TrimRight(b.String(), "\n"))
}

func (g *guide) say(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fmt.Fprintf(g.out, format+"\n", args...)
}

// pause reports whether d passed before ctx was done.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// A watch follows the events after a fault.
type watch struct {
	fault  fault
	begin  time.Time
	said   string         // last
	told   map[string]int // how often, by path and kind
	why    string         // the last failure that was told
	broken string         // path at which the fault has shown
	went   rungs          // that the node at that path went through
	others []string       // paths that failed by themselves
	mended chan struct{}  // closed when it has come to the last
}

// saw returns what was seen until now.
func (g *guide) saw(w *watch) (went rungs, others []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(w.went), slices.Clone(w.others)
}

func (g *guide) watch(f fault) *watch {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = &watch{fault: f, begin: time.Now(), told: map[string]int{}, mended: make(chan struct{})}
	return g.now
}

func (g *guide) unwatch() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = nil
}

// observe is the tree's observer. The end of the tour is no part of it.
func (g *guide) observe(e supervisor.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.now
	if w == nil || e.Time.Before(w.begin) || g.sup.Draining() {
		return
	}
	if text := w.words(e); text != "" && text != w.said && w.told[e.Path+string(e.Kind)] < often {
		w.said = text
		w.told[e.Path+string(e.Kind)]++
		fmt.Fprintf(g.out, "      %5.1f s  %s\n", e.Time.Sub(w.begin).Seconds(), text)
	}
	w.climb(e)
}

// climb follows the node that broke from rung to rung. Those between the first
// and the last may come in any order, and again.
func (w *watch) climb(e supervisor.Event) {
	first, last := w.fault.rungs[0], w.fault.rungs[len(w.fault.rungs)-1]
	if w.broken == "" && e.Kind == first && strings.HasPrefix(e.Path, w.fault.path) {
		w.broken = e.Path
	}
	if e.Path != w.broken && e.Kind == exited {
		w.others = append(w.others, e.Path)
	}
	if e.Path != w.broken || slices.Contains(w.went, last) {
		return
	}
	if e.Kind == last && !w.seen(w.fault.rungs[:len(w.fault.rungs)-1]) {
		return // it flaps, and is ready in between
	}
	if !slices.Contains(w.went, e.Kind) {
		w.went = append(w.went, e.Kind)
	}
	if e.Kind == last {
		close(w.mended)
	}
}

// seen reports whether all of them were.
func (w *watch) seen(all rungs) bool {
	return !slices.ContainsFunc(all, func(r supervisor.EventKind) bool { return !slices.Contains(w.went, r) })
}

// words tells an event to somebody who has not read about supervision trees.
// "" is one that can be left out, as it says no more than the next.
func (w *watch) words(e supervisor.Event) string {
	switch e.Kind {
	case supervisor.EventStarted, supervisor.EventStartFailed, supervisor.EventStopped, supervisor.EventHealed:
		return ""
	case supervisor.EventImpaired:
		return fmt.Sprintf("%s works badly: %v", e.Path, e.Err)
	case supervisor.EventRecovered:
		return fmt.Sprintf("%s works well again", e.Path)
	case supervisor.EventParked:
		return fmt.Sprintf("%s fails too often: it is parked, and tried again in %v", e.Path, e.Delay.Round(10*time.Millisecond))
	case supervisor.EventExited:
		w.why = e.Err.Error()
		return fmt.Sprintf("%s failed: %s", e.Path, w.why)
	case supervisor.EventBackingOff:
		return fmt.Sprintf("%s is started again in %v%s", e.Path, e.Delay.Round(10*time.Millisecond), w.news(e.Err))
	case supervisor.EventReady:
		return fmt.Sprintf("%s is ready (incarnation %d)", e.Path, e.Incarnation)
	case supervisor.EventStopping:
		return fmt.Sprintf("%s is told to stop", e.Path)
	case supervisor.EventAbandoned:
		return fmt.Sprintf("%s did not stop in time and is left behind", e.Path)
	case supervisor.EventReturned:
		return fmt.Sprintf("%s: the one left behind has ended after all", e.Path)
	}
	return e.String()
}

// news is why, unless that was told before.
func (w *watch) news(err error) string {
	if err == nil || err.Error() == w.why {
		return ""
	}
	w.why = err.Error()
	return ": " + w.why
}
