package main

import (
	"flag"
	"net/http"
	"syscall"
	"testing"
	"time"
)

var freeze = flag.Duration("freeze", 20*time.Second, "how long TestAFrozenDatabase freezes it")

// TestAFrozenDatabase: however long a database is frozen, the shop is alive, not
// ready, and no larger for it; and ready soon after the database goes on.
func TestAFrozenDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s at least")
	}
	t.Parallel()
	c := newChaos(t, 1)
	c.buyers.come(orderRate)
	c.watch(time.Now().Add(2 * time.Second))
	begin := time.Now()
	c.db.signal(syscall.SIGSTOP)
	c.untilRed("shop/storage/db")
	t.Logf("readiness is red after %v", time.Since(begin).Round(time.Millisecond))
	c.staysSo(begin.Add(*freeze / 4))
	before := c.demo.vitals()
	c.staysSo(begin.Add(*freeze))
	after := c.demo.vitals()
	t.Logf("a quarter in: %v; at the end, after %v: %v", before, *freeze, after)
	c.leaksNothing(before, after, crowdSlack)

	thawed := time.Now()
	c.db.signal(syscall.SIGCONT)
	took := c.untilGreen("shop/storage/db").Sub(thawed)
	t.Logf("readiness is green %v after SIGCONT", took.Round(time.Millisecond))
	if *freeze >= 5*time.Minute && took > 11*probeInterval/10 {
		t.Errorf("that is longer than one interval of the probe")
	}
	c.settle("thawed")
	c.auditAll()
	c.endsWell()
}

// staysSo watches that it is alive, and not ready, until then.
func (c *chaos) staysSo(until time.Time) {
	c.t.Helper()
	for time.Now().Before(until) {
		if r := c.get(c.probes + "/livez"); r.code != http.StatusOK {
			c.t.Errorf("liveness depends on the database: %+v", r)
		}
		if c.ready() {
			c.t.Error("it is ready, and its database is frozen")
		}
		c.watch(time.Now().Add(200 * time.Millisecond))
	}
}
