package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// truth is what customers know of their orders, kept outside of the shop: what
// they asked for, and what they were told. Its methods may be called
// concurrently.
type truth struct {
	mu     sync.Mutex // guards all below
	claims map[string]*claim
	lies   []string // of the shop, told while it ran
}

// A claim is what is known of one order, by its key.
type claim struct {
	wish wish
	told order // ID "" if it was not acknowledged
}

func newTruth() *truth { return &truth{claims: map[string]*claim{}} }

// asks notes a wish, before it is sent for the first time.
func (t *truth) asks(w wish) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.claims[w.key] = &claim{wish: w}
}

// hears notes what the shop says of the order with that key: when it
// acknowledges it, and when it is asked after it.
func (t *truth) hears(key string, o order) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.claims[key]
	if o.ID == "" || o.Item != c.wish.Item || o.Quantity != c.wish.Quantity || o.Cents <= 0 {
		t.lie("key %s: asked for %+v, told %+v", key, c.wish, o)
	}
	if c.told.ID != "" && (o.ID != c.told.ID || o.Cents != c.told.Cents || c.told.State == fulfilled && o.State != fulfilled) {
		t.lie("key %s: told %+v, and then %+v", key, c.told, o)
	}
	c.told = o
}

// lie notes something that no shop may say. The caller holds t.mu.
func (t *truth) lie(format string, args ...any) {
	t.lies = append(t.lies, fmt.Sprintf(format, args...))
}

// odd notes an answer that is none.
func (t *truth) odd(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lie("%s", what)
}

// count returns how many orders were asked for, and how many acknowledged.
func (t *truth) count() (asked, acknowledged int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.claims {
		if c.told.ID != "" {
			acknowledged++
		}
	}
	return len(t.claims), acknowledged
}

// A row is an order as the database has it.
type row struct {
	order
	Key         string `db:"idempotency_key"`
	FulfilledAt *int64 `db:"fulfilled_at"`
}

// audit returns all that is wrong with the database: each order that was
// acknowledged is in it once, as it was asked for and as it was told, and its
// job ran to its end. The shop lists no job as dead: it gives none up. An order
// that was not acknowledged may be there, once; one that nobody asked for may not.
func (t *truth) audit(rows []row) (faults []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := map[string]int{}
	for _, r := range rows {
		found[r.Key]++
		if fault := t.check(r); fault != "" {
			faults = append(faults, fault)
		}
	}
	for key, c := range t.claims {
		if n := found[key]; n > 1 || n == 0 && c.told.ID != "" {
			faults = append(faults, fmt.Sprintf("key %s: order %q is in the database %d times", key, c.told.ID, n))
		}
	}
	return append(faults, t.lies...)
}

// check compares a row with what is known of it.
func (t *truth) check(r row) string {
	c := t.claims[r.Key]
	switch {
	case c == nil:
		return fmt.Sprintf("order %s: nobody asked for it", r.ID)
	case r.Item != c.wish.Item || r.Quantity != c.wish.Quantity:
		return fmt.Sprintf("order %s: it is %+v, and %+v was asked for", r.ID, r.order, c.wish)
	case c.told.ID != "" && (r.ID != c.told.ID || r.Cents != c.told.Cents):
		return fmt.Sprintf("order %s: it is %+v, and the customer was told %+v", r.ID, r.order, c.told)
	case r.State != fulfilled || r.FulfilledAt == nil:
		return fmt.Sprintf("order %s: its job did not run to its end: it is %s", r.ID, r.State)
	}
	return ""
}

// An oracle that sees nothing would pass everything.
func TestTheOracleSeesWhatIsWrong(t *testing.T) {
	at := int64(1)
	asked := wish{Item: "mug", Quantity: 2, key: "a"}
	good := row{order: order{ID: "1", Item: "mug", Quantity: 2, Cents: 1800, State: fulfilled}, Key: "a", FulfilledAt: &at}
	told := good.order
	told.State = accepted
	for name, c := range map[string]struct {
		spoil func(*truth, []row) []row
		want  string // "" is that all is well
	}{
		"well":         {func(_ *truth, r []row) []row { return r }, ""},
		"unanswered":   {func(o *truth, r []row) []row { o.asks(wish{key: "b"}); return r }, ""},
		"lost":         {func(_ *truth, r []row) []row { return r[:0] }, "0 times"},
		"doubled":      {func(_ *truth, r []row) []row { return append(r, r[0]) }, "2 times"},
		"invented":     {func(_ *truth, r []row) []row { r = append(r, r[0]); r[1].Key = "b"; return r }, "nobody asked"},
		"not finished": {func(_ *truth, r []row) []row { r[0].State, r[0].FulfilledAt = accepted, nil; return r }, "did not run"},
		"half done":    {func(_ *truth, r []row) []row { r[0].FulfilledAt = nil; return r }, "did not run"},
		"another":      {func(_ *truth, r []row) []row { r[0].ID = "2"; return r }, "was told"},
		"dearer":       {func(_ *truth, r []row) []row { r[0].Cents++; return r }, "was told"},
		"more":         {func(_ *truth, r []row) []row { r[0].Quantity++; return r }, "was asked for"},
		"two stories": {func(o *truth, r []row) []row {
			o.hears("a", order{ID: "2", Item: "mug", Quantity: 2, Cents: 1800})
			return r
		}, "and then"},
		"other goods": {func(o *truth, r []row) []row {
			o.hears("a", order{ID: "1", Item: "pot", Quantity: 2, Cents: 1800})
			return r
		}, "asked for"},
		"taken back": {func(o *truth, r []row) []row { o.hears("a", good.order); o.hears("a", told); return r }, "and then"},
		"odd answer": {func(o *truth, r []row) []row { o.odd("500"); return r }, "500"},
	} {
		o := newTruth()
		o.asks(asked)
		o.hears("a", told)
		rows := c.spoil(o, []row{good})
		faults := o.audit(rows)
		if c.want == "" && len(faults) > 0 {
			t.Errorf("%s: all is well, and the oracle says %q", name, faults)
		}
		if c.want != "" && !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, c.want) }) {
			t.Errorf("%s: the oracle says %q, want %q", name, faults, c.want)
		}
	}
}
