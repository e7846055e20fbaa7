package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// customers use the shop from outside, over HTTP, and keep a tally of how they
// were served. They are no part of the tree: a shop does not restart its
// customers.
type customers struct {
	base   func() string // URL of the shop
	rate   float64       // requests per second
	client *http.Client

	mu    sync.Mutex // guards all below
	tally tally
	open  map[string]bool // orders acknowledged and not seen fulfilled yet
}

// tally counts requests by their outcome, and acknowledged orders.
type tally struct {
	requests [outcomes]int
	orders   int
}

// outcome is how a request ended.
type outcome int

const (
	served  outcome = iota // 2xx
	refused                // 503 with a Retry-After
	cut                    // the connection was refused, or cut
	hung                   // no answer for as long as patience
	odd                    // any other answer: a bug of the shop
	outcomes
)

// minus returns what was counted since an earlier tally.
func (t tally) minus(earlier tally) tally {
	for i := range t.requests {
		t.requests[i] -= earlier.requests[i]
	}
	t.orders -= earlier.orders
	return t
}

const (
	patience = 5 * time.Second // of a customer; the shop's own is well below
	maxOpen  = 1000            // orders that customers keep in mind
)

func newCustomers(rate float64, base func() string) *customers {
	return &customers{
		base: base, rate: rate, open: map[string]bool{},
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 20}},
	}
}

// run makes requests until ctx is done, and returns when all have ended.
func (c *customers) run(ctx context.Context) {
	if c.rate == 0 {
		return
	}
	var under sync.WaitGroup
	defer c.client.CloseIdleConnections()
	defer under.Wait()
	ticker := time.NewTicker(time.Duration(float64(time.Second) / c.rate))
	defer ticker.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-ticker.C:
			under.Go(func() { c.visit(turn) })
		case <-ctx.Done():
			return
		}
	}
}

// visit is one request. It is not cut short when the program ends: a server
// that drains lets it finish.
func (c *customers) visit(turn int) {
	switch open := c.openOrders(); {
	case turn%3 == 0 && len(open) < maxOpen:
		c.buy()
	case turn%3 == 1 && len(open) > 0:
		c.ask(open[turn%len(open)])
	default:
		c.request(http.MethodGet, "/prices", "", new([]price))
	}
}

// buy places an order, and keeps it in mind if the shop said that it has it.
func (c *customers) buy() {
	var o order
	if !c.request(http.MethodPost, "/orders", `{"item":"kettle","quantity":2}`, &o) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally.orders++
	c.open[o.ID] = true
}

// ask asks after an order, and reports whether it is fulfilled.
func (c *customers) ask(id string) bool {
	var o order
	if !c.request(http.MethodGet, "/orders/"+id, "", &o) || o.State != fulfilled {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, id)
	return true
}

// request makes a request, counts it, and reports whether it was served.
func (c *customers) request(method, path, body string, answer any) bool {
	req, err := http.NewRequest(method, c.base()+path, strings.NewReader(body))
	if err != nil {
		panic("bug: " + err.Error())
	}
	result := c.exchange(req, answer)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally.requests[result]++
	return result == served
}

// exchange makes a request and reads the answer.
func (c *customers) exchange(req *http.Request, answer any) outcome {
	r, err := fetch(c.client, req)
	if err != nil {
		return failed(err)
	}
	seconds, _ := strconv.Atoi(r.header.Get("Retry-After"))
	switch {
	case r.code == http.StatusServiceUnavailable && seconds >= 1:
		return refused
	case r.code/100 != 2 || json.Unmarshal(r.body, answer) != nil:
		return odd
	}
	return served
}

// failed is the outcome of a request without an answer.
func failed(err error) outcome {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return hung
	}
	return cut
}

// count returns the tally so far.
func (c *customers) count() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tally
}

// openOrders returns the orders that are not known to be fulfilled.
func (c *customers) openOrders() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.open))
}

// lost asks after orders until all are fulfilled or ctx is done, and returns
// how many are not.
func (c *customers) lost(ctx context.Context, orders []string) int {
	for {
		orders = slices.DeleteFunc(orders, c.ask)
		if len(orders) == 0 {
			return 0
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return len(orders)
		}
	}
}
