package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/redis/go-redis/v9"
)

var recoveries = flag.Int("recover.n", 1, "how often TestTimeToRecover measures each kind of fault")

// beyondBackoff is what p99 may be beyond the backoff in force. Only a run with
// enough samples for a p99 is held to it.
const beyondBackoff = 250 * time.Millisecond

// TestTimeToRecover breaks a shop in each way, mends it, and measures how long
// it takes to be ready again. docs/reliability.md says what the clock measures.
func TestTimeToRecover(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s at least")
	}
	var mu sync.Mutex // guards rows
	rows := map[string]string{}
	t.Run("each", func(t *testing.T) {
		for _, a := range ailments {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				row := a.measure(newChaos(t, 1))
				mu.Lock()
				defer mu.Unlock()
				rows[a.name] = row
			})
		}
	})
	table := "| fault | n | to ready: median | p99 | backoff in force: median | p99 | beyond it: median | p99 |\n|---|---|---|---|---|---|---|---|\n"
	for _, a := range ailments {
		table += rows[a.name]
	}
	t.Logf("\n%s", table)
}

// An ailment is a kind of fault whose end is measured.
type ailment struct {
	name  string
	node  string // that fails: its path, or the beginning of it
	begin func(*chaos)
	end   func(*chaos)           // nil if it is over at once
	gone  func(*chaos) error     // whether the fault is gone, seen past the demo; nil if end says so
	ready func(*chaos) time.Time // waits; nil is that the probes say so
}

var ailments = []ailment{
	{"database killed, started again", "shop/storage/db", func(c *chaos) { c.db.kill() }, func(c *chaos) { c.db.start() }, (*chaos).askDB, nil},
	{"database frozen, continued", "shop/storage/db", func(c *chaos) { c.db.signal(syscall.SIGSTOP) }, func(c *chaos) { c.db.signal(syscall.SIGCONT) }, (*chaos).askDB, nil},
	{"way to the database reset", "shop/storage/db", func(c *chaos) { c.dbNet.Reset() }, func(c *chaos) { c.dbNet.Pass() }, nil, nil},
	{"way to the database refused", "shop/storage/db", func(c *chaos) { c.dbNet.Refuse() }, func(c *chaos) { c.dbNet.Pass() }, nil, nil},
	{"way to the database silent", "shop/storage/db", func(c *chaos) { c.dbNet.Stall() }, func(c *chaos) { c.dbNet.Pass() }, nil, nil},
	{"Redis killed, started again", "shop/storage/cache/client", func(c *chaos) { c.redis.kill() }, func(c *chaos) { c.redis.start() }, (*chaos).askRedis, nil},
	{"Redis frozen, continued", "shop/storage/cache/client", func(c *chaos) { c.redis.signal(syscall.SIGSTOP) }, func(c *chaos) { c.redis.signal(syscall.SIGCONT) }, (*chaos).askRedis, nil},
	{"a worker crashes", "shop/workers/", (*chaos).crashWorker, nil, nil, (*chaos).workerIsBack},
	{"the shop's listener closes", "shop/http", (*chaos).closeListener, nil, nil, (*chaos).shopAnswers},
	{"the process killed, started again", "shop", (*chaos).killDemo, (*chaos).launchAgain, nil, nil},
}

// A sample is one recovery.
type sample struct{ took, inForce, beyond time.Duration }

func (a ailment) measure(c *chaos) (row string) {
	var samples []sample
	for range *recoveries {
		c.until("all is ready", c.allReady)
		samples = append(samples, a.once(c))
	}
	took := func(s sample) time.Duration { return s.took }
	inForce := func(s sample) time.Duration { return s.inForce }
	beyond := func(s sample) time.Duration { return s.beyond }
	if p99 := quantile(samples, 0.99, beyond); p99 > beyondBackoff && len(samples) >= 30 {
		c.t.Errorf("p99 is %v beyond the backoff, want %v", p99, beyondBackoff)
	}
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %s | %s | %s |\n", a.name, len(samples),
		ms(quantile(samples, 0.5, took)), ms(quantile(samples, 0.99, took)),
		ms(quantile(samples, 0.5, inForce)), ms(quantile(samples, 0.99, inForce)),
		ms(quantile(samples, 0.5, beyond)), ms(quantile(samples, 0.99, beyond)))
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
}

// quantile returns the smallest value that so many are not above.
func quantile(samples []sample, q float64, of func(sample) time.Duration) time.Duration {
	var all []time.Duration
	for _, s := range samples {
		all = append(all, of(s))
	}
	slices.Sort(all)
	at := int(q*float64(len(all))+0.9999999) - 1
	return all[max(0, at)]
}

// once breaks, and lets it be broken for a while after it shows, so that the
// end comes at any point of a backoff.
func (a ailment) once(c *chaos) sample {
	begin := time.Now()
	a.begin(c)
	gone := time.Now()
	if a.end != nil {
		c.untilRed(a.node)
		time.Sleep(rand.N(4 * time.Second)) // the outage lasts
		a.end(c)
		gone = c.sinceGone(a.gone)
	}
	wait := func(c *chaos) time.Time { return c.untilGreen(a.node) }
	if a.ready != nil {
		wait = a.ready
	}
	back := wait(c)
	if a.node == "shop/workers/" { // it is over when it happens, which only the tree knows
		gone = c.lastOf(a.node, "exited", begin)
	}
	took := max(0, back.Sub(gone)) // the demo may have been answered first
	inForce := max(0, c.due(a.node, begin, gone).Sub(gone))
	s := sample{took, inForce, max(0, took-inForce)}
	if s.beyond > beyondBackoff {
		c.t.Logf("%+v:\n%s", s, c.story(a.node, begin, gone))
	}
	return s
}

// sinceGone asks the server until it answers, and returns when it did.
func (c *chaos) sinceGone(gone func(*chaos) error) time.Time {
	if gone == nil {
		return time.Now()
	}
	return c.first("the server answers", func() bool { return gone(c) == nil })
}

// askDB asks the database, past the proxy.
func (c *chaos) askDB() error {
	db, err := sqlx.Open("pgx", dsnAt(c.db.addr))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(c.t.Context(), "SELECT 1")
	return err
}

// askRedis asks the Redis server, past the proxy.
func (c *chaos) askRedis() error {
	client := redis.NewClient(&redis.Options{Addr: c.redis.addr, Password: password, MaxRetries: -1})
	defer client.Close()
	return client.Ping(c.t.Context()).Err()
}

// probe is what says whether a node's part of the shop is ready: the whole, or
// the cache, which the shop can do without.
func (c *chaos) probe(node string) string {
	if strings.HasPrefix(node, "shop/storage/cache") {
		return c.probes + "/readyz/shop/storage/cache"
	}
	return c.probes + "/readyz"
}

func (c *chaos) untilRed(node string) {
	for deadline := time.Now().Add(time.Minute); c.get(c.probe(node)).code == http.StatusOK; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatal("the fault does not show")
		}
	}
}

// untilGreen asks every 5 ms, and returns when the answer came.
func (c *chaos) untilGreen(node string) time.Time {
	return c.first("it is ready", func() bool { return c.get(c.probe(node)).code == http.StatusOK })
}

func (c *chaos) first(what string, ok func() bool) time.Time {
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("it did not happen that %s", what)
		}
	}
	return time.Now()
}

// crashWorker crashes the worker that takes the next order, and orders.
func (c *chaos) crashWorker() {
	if r := c.do(http.MethodPost, c.admin+"/actions/worker", ""); r.code/100 != 2 {
		c.t.Fatalf("%+v", r)
	}
	c.buy()
}

// workerIsBack waits until each worker is, and returns when the last came back.
func (c *chaos) workerIsBack() time.Time {
	begin := time.Now()
	c.first("a worker crashes", func() bool { return !c.lastOf("shop/workers/", "exited", begin.Add(-time.Second)).IsZero() })
	c.until("all is ready", c.allReady)
	return c.lastOf("shop/workers/", "ready", begin.Add(-time.Second))
}

// closeListener has the shop crash. The root allows five in five minutes: before
// the sixth another process begins.
func (c *chaos) closeListener() {
	if c.crashes == 5 {
		c.signal(syscall.SIGTERM)
		c.exit(10 * time.Second)
		c.launch()
		c.until("all is ready", c.allReady)
		c.crashes = 0
	}
	c.crashes++
	if r := c.do(http.MethodPost, c.admin+"/actions/http", ""); r.code/100 != 2 {
		c.t.Fatalf("%+v", r)
	}
}

// shopAnswers waits until the shop answers over a new connection: those that
// there were outlive the listener.
func (c *chaos) shopAnswers() time.Time {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	return c.first("the shop answers", func() bool {
		resp, err := client.Get(c.shop + "/")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
}

func (c *chaos) killDemo() {
	c.signal(syscall.SIGKILL)
	<-c.ended
}

// launchAgain starts the process: the fault is gone with that.
func (c *chaos) launchAgain() { c.launch() }

// An event is one that the admin side tells.
type event struct {
	Seq          uint64    `json:"seq"`
	Time         time.Time `json:"time"`
	Path         string    `json:"path"`
	Event        string    `json:"event"`
	Incarnation  uint64    `json:"incarnation"`
	DelaySeconds float64   `json:"delay_seconds"`
	Error        string    `json:"error"`
}

// events returns those of a node since then, in their order.
func (c *chaos) events(node string, since time.Time) []event {
	var all []event
	if r := c.get(c.admin + "/events"); json.Unmarshal([]byte(r.body), &all) != nil {
		c.t.Fatalf("GET /events: %+v", r)
	}
	all = slices.DeleteFunc(all, func(e event) bool { return e.Time.Before(since) || !strings.HasPrefix(e.Path, node) })
	slices.SortFunc(all, func(a, b event) int { return cmp.Compare(a.Seq, b.Seq) })
	return all
}

// story tells what happened to the node, by the time since the fault was gone.
func (c *chaos) story(node string, since, gone time.Time) (text string) {
	for _, e := range c.events(node, since) {
		text += fmt.Sprintf("%8.3f %s#%d %s %v %s\n", e.Time.Sub(gone).Seconds(), e.Path, e.Incarnation, e.Event, e.DelaySeconds, e.Error)
	}
	return text
}

// lastOf is when the last such event of the node was, zero if there was none.
func (c *chaos) lastOf(node, kind string, since time.Time) (at time.Time) {
	for _, e := range c.events(node, since) {
		if e.Event == kind {
			at = e.Time
		}
	}
	return at
}

// due is when the backoff in force when the fault was gone is over: that which
// follows the failure of the last attempt that began while there was the fault.
// One that began after that and fails as well is no excuse.
func (c *chaos) due(node string, since, gone time.Time) (due time.Time) {
	late := map[string]bool{}
	for _, e := range c.events(node, since) {
		attempt := fmt.Sprint(e.Path, e.Incarnation)
		switch {
		case e.Event == "started" && !e.Time.Before(gone):
			late[attempt] = true
		case e.Event == "backing off" && !late[attempt]:
			due = e.Time.Add(time.Duration(e.DelaySeconds * float64(time.Second)))
		}
	}
	return due
}
