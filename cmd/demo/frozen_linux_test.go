package main

import (
	"flag"
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
	calm := c.vitals()
	stop := c.staysAlive()
	c.buyers.come(orderRate)
	c.watch(time.Now().Add(2 * time.Second))
	begin := time.Now()
	c.db.signal(syscall.SIGSTOP)
	c.untilRed("shop/storage/db")
	t.Logf("readiness is red after %v", time.Since(begin).Round(time.Millisecond))
	c.staysRed(begin.Add(*freeze / 4))
	early := c.demo.vitals()
	c.staysRed(begin.Add(*freeze))
	late := c.demo.vitals()
	t.Logf("calm: %v; a quarter in: %v; at the end, after %v: %v", calm, early, *freeze, late)
	c.leaksNothing(early.withoutCustomers(), late.withoutCustomers(), crowdSlack)

	thawed := time.Now()
	c.db.signal(syscall.SIGCONT)
	took := c.untilGreen("shop/storage/db").Sub(thawed)
	c.isOver(thawed)
	t.Logf("readiness is green %v after SIGCONT", took.Round(time.Millisecond))
	if took > nextProbe {
		t.Errorf("that is longer than one interval of the probe")
	}
	stop()
	c.settle("thawed")
	after := c.vitals()
	t.Logf("calm again: %v", after)
	c.auditAll()
	c.leaksNothing(calm, after, calmSlack)
	c.endsWell()
}

// withoutCustomers leaves out the connections, each with a goroutine: how many
// customers keep one says nothing of the shop.
func (v vitals) withoutCustomers() vitals {
	v.goroutines -= v.files
	return v
}

// staysRed watches that it is not ready until then.
func (c *chaos) staysRed(until time.Time) {
	c.t.Helper()
	for time.Now().Before(until) {
		if c.ready() {
			c.t.Error("it is ready, and its database is frozen")
		}
		c.watch(time.Now().Add(200 * time.Millisecond))
	}
}
