package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/coppice-go/coppice/supervisor/suptest/faultproxy"
)

var (
	chaosSeed = flag.Uint64("chaos.seed", 0, "of TestChaos, to have the same faults at the same times again; 0 is a new one")
	chaosTime = flag.Duration("chaos.time", 0, "of TestChaos; 0 is 60 s in CI, and else 10 s")
)

const (
	orderRate = 200 // per second
	// What is well is found well, and what is not mended, within the time for two
	// checks to fail, one attempt to connect and the longest backoff. See probeInterval, tree.
	mended = 2*(11*probeInterval/10+probeTimeout) + 5*time.Second + probeInterval
)

// What a shop may have more of at the end than at the start: what it happens to
// be doing just then. If one fault in five left something behind, a minute of
// chaos would exceed the first.
var (
	calmSlack  = vitals{goroutines: 6, files: 6, liveHeap: 4 << 20, resident: 32 << 20}
	crowdSlack = vitals{goroutines: 20, files: 40, liveHeap: 4 << 20, resident: 32 << 20} // while customers come
)

// TestChaos breaks everything at random under a shop, its own process too, while
// customers order, and keeps the truth outside of it. docs/reliability.md tells it all.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s at least")
	}
	seed := cmp.Or(*chaosSeed, rand.Uint64())
	t.Logf("again: go test -run 'TestChaos$' ./cmd/demo -chaos.time %v -chaos.seed %d", chaosDuration(), seed)
	c := newChaos(t, seed)
	c.riot(chaosDuration()/2, everything)
	c.settle("with the process killed, too")
	before := c.vitals()
	c.riot(chaosDuration()/2, survivable)
	c.settle("in one process")
	after := c.vitals()
	t.Logf("calm before: %v; after: %v", before, after)
	t.Logf("%d faults; the demo was started again %d times", c.faults(), c.launches)
	c.auditAll()
	c.sells()
	c.leaksNothing(before, after, calmSlack)
	c.endsWell()
}

func chaosDuration() time.Duration {
	if *chaosTime == 0 && inCI() {
		return time.Minute
	}
	return cmp.Or(*chaosTime, 10*time.Second)
}

// chaos is a shop with all that it stands on, and who breaks that.
type chaos struct {
	*demo
	rand            *rand.Rand
	db, redis       *server
	dbNet, redisNet *faultproxy.Proxy
	buyers          *buyers
	truth           *truth
	begin           time.Time
	decks           map[string][]calamity // to come, by target
	acts            sync.WaitGroup        // buttons that are being pressed, and who watches
	struck          map[string]int        // by name
	launches        int                   // after the first
	crashes         int                   // of the listener, of this process
	mayEnd          bool                  // the demo may give up, or be killed
	stops           atomic.Int32          // SIGSTOP and SIGCONT of the demo: odd while it is frozen
	slowest         time.Duration         // answer of /livez, of a demo that was not frozen

	mu   sync.Mutex // guards calm
	calm time.Time  // when the last fault was over, or will be
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{
		rand: rand.New(rand.NewPCG(seed, 0)), db: newPostgres(t), redis: newRedis(t), truth: newTruth(), begin: time.Now(),
		decks: map[string][]calamity{}, struck: map[string]int{},
	}
	c.db.start()
	c.redis.start()
	c.dbNet, c.redisNet = faultproxy.Listen(t, c.db.addr), faultproxy.Listen(t, c.redis.addr)
	file := filepath.Join(t.TempDir(), "shop.json")
	write(t, file, `{"workers": 32, "report": "500ms"}`)
	c.demo = startReady(t, "-load", "0", "-config", file, "-dsn", dsnAt(c.dbNet.Addr), "-redis", redisAt(c.redisNet.Addr))
	c.buyers = newBuyers(c.shop, c.truth)
	return c
}

func dsnAt(addr string) string {
	return fmt.Sprintf("postgres://app:%s@%s/postgres?sslmode=disable", password, addr)
}

func redisAt(addr string) string { return fmt.Sprintf("redis://:%s@%s/0", password, addr) }

// A calamity is a fault, and its end. It is of one target: a target has one at a
// time, and targets have theirs at the same time.
type calamity struct {
	target, name string
	begin, end   func(*chaos) // end is nil for what mends itself
}

// everything is what can happen to a shop.
var everything = slices.Concat(survivable, []calamity{
	{"process", "SIGKILL of the demo", hit(syscall.SIGKILL), nil},
	{"inside", "the listener of the shop closes", act("http", 0), nil}, // too often, and the root gives up
})

// survivable is what happens to one process.
var survivable = slices.Concat(
	servers("database", func(c *chaos) *server { return c.db }),
	servers("redis", func(c *chaos) *server { return c.redis }),
	network("database", func(c *chaos) *faultproxy.Proxy { return c.dbNet }),
	network("redis", func(c *chaos) *faultproxy.Proxy { return c.redisNet }),
	[]calamity{
		{"process", "SIGSTOP of the demo", (*chaos).freeze, (*chaos).thaw},
		{"inside", "the cache is poisoned until it is purged", act("poison", 0), nil},
		{"inside", "a check of the database hangs", act("check", slowCheck), nil},
		{"inside", "the feed flaps", act("flap", flapping), nil},
		{"inside", "a job panics", act("panic", 0), nil},
		{"inside", "a worker crashes", act("worker", 0), nil},
		{"inside", "a job is stuck", act("stuck", jobPatience), nil},
		{"inside", "a job hangs, deaf to all", act("hang", hang), nil},
	},
)

func servers(name string, of func(*chaos) *server) []calamity {
	return []calamity{
		{name, "SIGKILL of the " + name, func(c *chaos) { of(c).kill() }, func(c *chaos) { of(c).start() }},
		{name, "SIGSTOP of the " + name, func(c *chaos) { of(c).signal(syscall.SIGSTOP) }, func(c *chaos) { of(c).signal(syscall.SIGCONT) }},
	}
}

func network(name string, of func(*chaos) *faultproxy.Proxy) (list []calamity) {
	for _, f := range []struct {
		name  string
		begin func(*faultproxy.Proxy)
	}{
		{"slow", func(p *faultproxy.Proxy) { p.Latency(100*time.Millisecond, 100*time.Millisecond) }},
		{"silent", (*faultproxy.Proxy).Stall},
		{"reset", (*faultproxy.Proxy).Reset},
		{"half open", (*faultproxy.Proxy).HalfOpen},
		{"refused", (*faultproxy.Proxy).Refuse},
	} {
		list = append(list, calamity{name + "'s network", "the way to the " + name + " is " + f.name,
			func(c *chaos) { f.begin(of(c)) }, func(c *chaos) { of(c).Pass() }})
	}
	return list
}

// hit signals the demo, which may have ended just now.
func hit(s syscall.Signal) func(*chaos) {
	return func(c *chaos) { _ = c.process.Process.Signal(s) }
}

// freeze and thaw let it be known that a demo that is stopped need not answer.
func (c *chaos) freeze() {
	c.stops.Add(1)
	hit(syscall.SIGSTOP)(c)
}

func (c *chaos) thaw() {
	hit(syscall.SIGCONT)(c)
	c.stops.Add(1)
}

// isOver notes when a fault is over. When the last of them is, the clock starts.
func (c *chaos) isOver(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.After(c.calm) {
		c.calm = at
	}
}

// act presses a button of the demo, again if that is down, or frozen, or has
// nothing to break just then. Nobody waits for it, nor for what lasts.
func act(action string, lasts time.Duration) func(*chaos) {
	return func(c *chaos) {
		c.acts.Go(func() {
			var r response
			for range 10 {
				if r = c.do(http.MethodPost, c.admin+"/actions/"+action, ""); r.code/100 == 2 {
					c.isOver(time.Now().Add(lasts))
					return
				}
				time.Sleep(300 * time.Millisecond)
			}
			c.t.Logf("          (%s could not be: %d %s)", action, r.code, strings.TrimSpace(r.body))
		})
	}
}

// A strike is one calamity, and when.
type strike struct {
	calamity
	at, until time.Duration
}

// plan is what happens within d. Targets take turns by themselves: each has a
// calamity, or a while of peace. It depends on the seed alone.
func (c *chaos) plan(d time.Duration, of []calamity) (plan []strike) {
	for _, target := range []string{"database", "redis", "database's network", "redis's network", "process", "inside"} {
		for at := c.span(200*time.Millisecond, 4*time.Second); ; at += c.span(time.Second, 8*time.Second) {
			s := strike{calamity: c.draw(target, of), at: at, until: at}
			if s.end != nil {
				s.until += c.span(200*time.Millisecond, 4*time.Second)
			}
			if s.until > d {
				break
			}
			plan = append(plan, s)
			at = s.until
		}
	}
	return plan
}

// draw returns the next calamity of a target, of those. All come once before
// one comes again.
func (c *chaos) draw(target string, of []calamity) calamity {
	for {
		if len(c.decks[target]) == 0 {
			deck := slices.DeleteFunc(slices.Clone(everything), func(k calamity) bool { return k.target != target })
			c.rand.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			c.decks[target] = deck
		}
		top := c.decks[target][0]
		c.decks[target] = c.decks[target][1:]
		if slices.ContainsFunc(of, func(k calamity) bool { return k.name == top.name }) {
			return top
		}
	}
}

func (c *chaos) span(from, to time.Duration) time.Duration {
	return from + time.Duration(c.rand.Int64N(int64(to-from)))
}

// A moment is the begin or the end of a strike.
type moment struct {
	at   time.Duration
	what string
	do   func(*chaos)
}

const over = "over: "

// faults returns how many there were, and tells of which kinds.
func (c *chaos) faults() (n int) {
	for _, k := range everything {
		n += c.struck[k.name]
		c.t.Logf("%3d × %s", c.struck[k.name], k.name)
	}
	if c.launches == 0 && chaosDuration() >= time.Minute {
		c.t.Error("the demo was never killed")
	}
	return n
}

// riot lets customers in, and has everything happen to the shop.
func (c *chaos) riot(d time.Duration, of []calamity) {
	c.mayEnd = len(of) == len(everything)
	c.buyers.come(orderRate)
	defer c.staysAlive()()
	var moments []moment
	for _, s := range c.plan(d, of) {
		moments = append(moments, moment{s.at, s.name, s.begin})
		if s.end != nil {
			moments = append(moments, moment{s.until, over + s.name, s.end})
		}
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	begin := time.Now()
	for _, m := range moments {
		c.watch(begin.Add(m.at))
		c.t.Logf("%6.2f s  %s", time.Since(c.begin).Seconds(), m.what)
		m.do(c)
		c.isOver(time.Now())
		c.struck[m.what]++
	}
}

// staysAlive watches, until stop is called, that the demo never says that it is
// not alive, unless it may end, and that it says so within a second, what kubelet
// gives it, unless it is frozen.
func (c *chaos) staysAlive() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	client := http.Client{Timeout: time.Second}
	c.acts.Go(func() {
		for pause(ctx, 100*time.Millisecond) {
			begin, stops := time.Now(), c.stops.Load()
			resp, err := client.Get(c.probes + "/livez")
			frozen := stops%2 == 1 || c.stops.Load() != stops
			if !frozen {
				c.slowest = max(c.slowest, time.Since(begin))
			}
			if err != nil && failed(err) == hung && !frozen {
				c.t.Errorf("%6.2f s  /livez says nothing for a second", time.Since(c.begin).Seconds())
			}
			if err != nil {
				continue // it is frozen, or down
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK && !c.mayEnd {
				c.t.Errorf("/livez says %d", resp.StatusCode)
			}
		}
	})
	return func() {
		cancel()
		c.acts.Wait()
	}
}

// watch keeps the demo running until then, as a platform does.
func (c *chaos) watch(until time.Time) {
	for {
		select {
		case <-c.ended:
			c.relaunch()
		case <-time.After(min(100*time.Millisecond, time.Until(until))):
		}
		if time.Now().After(until) {
			return
		}
	}
}

// relaunch starts the demo again, which was killed, or gave up.
func (c *chaos) relaunch() {
	if !c.mayEnd {
		c.t.Errorf("the demo ended by itself: %v", c.process.ProcessState)
	}
	code := c.process.ProcessState.ExitCode()
	c.t.Logf("%6.2f s  the demo is started again, after %v", time.Since(c.begin).Seconds(), c.process.ProcessState)
	if code != exitFailed && code != -1 {
		c.t.Errorf("the demo ended with %d, want %d, or a signal", code, exitFailed)
	}
	c.launches++
	c.launch()
	c.isOver(time.Now())
}

// settle waits, with no fault left, until all is ready, and until each customer
// has an order and each order is fulfilled.
func (c *chaos) settle(how string) {
	c.t.Helper()
	c.watch(c.calm) // what lasts may not have begun to show
	for !c.allReady() {
		if time.Since(c.calm) > mended+busy {
			c.t.Fatalf("not all is ready %v after the last fault: %s", time.Since(c.calm), c.get(c.admin+"/readyz?verbose").body)
		}
		c.watch(time.Now().Add(20 * time.Millisecond))
	}
	c.t.Logf("%s: all is ready %v after the last fault; the slowest /livez took %v",
		how, time.Since(c.calm).Round(time.Millisecond), c.slowest.Round(time.Millisecond))
	begin := time.Now()
	if !c.buyers.goHome(time.Minute) {
		c.t.Errorf("%d customers never got an order", c.buyers.waiting.Load())
	}
	for faults := c.audit(); len(faults) > 0; faults = c.audit() {
		if time.Since(begin) > time.Minute {
			break // auditAll will tell
		}
		c.watch(time.Now().Add(100 * time.Millisecond))
	}
}

// allReady reports whether every node is up: ready and not impaired, or not
// needed. None has left a goroutine behind.
func (d *demo) allReady() bool {
	var up func(n node) bool
	up = func(n node) bool {
		return n.Status == "up" && n.Abandoned == 0 && !slices.ContainsFunc(n.Children, func(child node) bool { return !up(child) })
	}
	return up(d.tree())
}

// tree returns the root, the zero node if the demo does not answer.
func (d *demo) tree() node {
	var tree struct{ Root node }
	_ = json.Unmarshal([]byte(d.get(d.admin+"/tree").body), &tree) // an error is no tree
	return tree.Root
}

// audit compares the database, read past the proxy, with the truth.
func (c *chaos) audit() []string {
	db, err := sqlx.Open("pgx", dsnAt(c.db.addr))
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	var rows []row
	if err := db.SelectContext(c.t.Context(), &rows, `SELECT `+orderColumns+`, idempotency_key, fulfilled_at FROM demo_orders`); err != nil {
		c.t.Fatal(err)
	}
	return c.truth.audit(rows)
}

func (c *chaos) auditAll() {
	asked, acknowledged := c.truth.count()
	turned := int(c.buyers.turned.Load()) // away
	c.t.Logf("%d orders asked for in %d requests, %d acknowledged, %d customers turned away, of %d that should have come",
		asked, c.buyers.asked.Load(), acknowledged, turned, c.buyers.due)
	if asked+turned < c.buyers.due*8/10 {
		c.t.Errorf("only %d customers came, want %d", asked+turned, c.buyers.due)
	}
	if acknowledged < asked || acknowledged == 0 {
		c.t.Errorf("%d orders of %d were acknowledged", acknowledged, asked)
	}
	faults := c.audit()
	for _, f := range faults[:min(len(faults), 20)] {
		c.t.Error(f)
	}
	if len(faults) > 20 {
		c.t.Errorf("… and %d more", len(faults)-20)
	}
}

// sells checks that enough customers were let in for the rest to say something.
// In a minute half of them are.
func (c *chaos) sells() {
	if asked, _ := c.truth.count(); asked < c.buyers.due/4 && chaosDuration() >= time.Minute {
		c.t.Errorf("%d orders were asked for, by %d customers; want a quarter", asked, c.buyers.due)
	}
}

// endsWell ends the demo, and looks for what only its output tells.
func (c *chaos) endsWell() {
	c.signal(syscall.SIGTERM)
	if code := c.exit(20 * time.Second); code != exitOK {
		c.t.Errorf("exit code %d, want %d", code, exitOK)
	}
	for _, never := range []string{"DATA RACE", "fatal error:", "panic: ", "goroutine 1 [", password} {
		if strings.Contains(c.out.String(), never) {
			c.t.Errorf("the demo said %q", never)
		}
	}
}

func TestTheSameSeedHasTheSameFaults(t *testing.T) {
	plan := func(seed uint64) string {
		c := &chaos{rand: rand.New(rand.NewPCG(seed, 0)), decks: map[string][]calamity{}}
		text := ""
		for _, of := range [][]calamity{everything, survivable} {
			for _, s := range c.plan(time.Minute, of) {
				text += fmt.Sprintln(s.at, s.until, s.name)
			}
		}
		return text
	}
	first, again, other := plan(1), plan(1), plan(2)
	if first != again {
		t.Error("a seed has two plans")
	}
	if first == other {
		t.Error("two seeds have one plan")
	}
	for _, k := range everything {
		if !strings.Contains(first, k.name) {
			t.Errorf("%s: it does not happen within two minutes", k.name)
		}
	}
}
