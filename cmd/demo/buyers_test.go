package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	randv2 "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// buyers order, at a rate, from a shop that may be down. Each asks again with
// the same key until it is told that it has its order.
type buyers struct {
	shop   string // URL
	truth  *truth
	client *http.Client

	came    time.Time // the first of those who are there
	rate    int       // per second
	due     int       // how many should have come, of those who have gone
	leave   context.CancelFunc
	under   sync.WaitGroup
	waiting atomic.Int32 // for their acknowledgement
	asked   atomic.Int32 // requests
	turned  atomic.Int32 // away: the queue before the shop was too long
}

// atOnce is how many buyers wait for a shop that is down. Those who would come
// then stay away.
const atOnce = 400

func newBuyers(shop string, truth *truth) *buyers {
	return &buyers{shop: shop, truth: truth, client: &http.Client{
		Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: atOnce},
	}}
}

// come has buyers come, at that rate per second, until goHome.
func (b *buyers) come(rate int) {
	ctx, cancel := context.WithCancel(context.Background())
	b.came, b.rate, b.leave = time.Now(), rate, cancel
	b.under.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(rate))
		defer ticker.Stop()
		for n := 0; ; {
			select {
			case <-ticker.C: // which leaves out those that a busy machine is late for
				due := b.expected()
				for range min(due-n, rate/10) { // later than that is missing
					b.enter()
				}
				n = due
			case <-ctx.Done():
				return
			}
		}
	})
}

// expected is how many should have come by now.
func (b *buyers) expected() int { return int(time.Since(b.came).Seconds() * float64(b.rate)) }

// goHome has no more of them come, waits until each has its order, and closes
// their connections. It reports whether each has.
func (b *buyers) goHome(within time.Duration) bool {
	b.leave()
	b.due += b.expected()
	served := make(chan struct{})
	go func() {
		b.under.Wait()
		close(served)
	}()
	defer b.client.CloseIdleConnections()
	select {
	case <-served:
		return true
	case <-time.After(within):
		return false
	}
}

func (b *buyers) enter() {
	if b.waiting.Load() >= atOnce {
		b.turned.Add(1)
		return
	}
	b.waiting.Add(1)
	w := wish{Item: "mug", Quantity: 1 + randv2.Int64N(9), key: rand.Text()}
	b.truth.asks(w)
	b.under.Go(func() {
		defer b.waiting.Add(-1)
		b.buy(w)
	})
}

// buy asks until the shop says that it has the order, and sometimes looks
// whether it is as it was told.
func (b *buyers) buy(w wish) {
	body, err := json.Marshal(w)
	if err != nil {
		panic("bug: " + err.Error())
	}
	var o order
	for !b.request(http.MethodPost, "/orders", string(body), w.key, &o) {
		time.Sleep(500*time.Millisecond + randv2.N(time.Second)) // as the shop asks, in the main
	}
	b.truth.hears(w.key, o)
	if randv2.IntN(4) == 0 && b.request(http.MethodGet, "/orders/"+o.ID, "", "", &o) {
		b.truth.hears(w.key, o)
	}
	var prices []price
	if randv2.IntN(4) == 0 && b.request(http.MethodGet, "/prices", "", "", &prices) && (len(prices) != 3 || prices[0].Cents < 100) {
		b.truth.odd(fmt.Sprintf("the prices are %+v", prices))
	}
}

// request reports whether the shop served. It may refuse, or not answer at all;
// anything else is odd.
func (b *buyers) request(method, path, body, key string, answer any) bool {
	b.asked.Add(1)
	req, err := http.NewRequest(method, b.shop+path, strings.NewReader(body))
	if err != nil {
		panic("bug: " + err.Error())
	}
	req.Header.Set("Idempotency-Key", key)
	r, err := fetch(b.client, req)
	switch {
	case err != nil:
		return false
	case r.code == http.StatusServiceUnavailable && r.header.Get("Retry-After") != "":
		return false
	case r.code != http.StatusOK && r.code != http.StatusCreated, json.Unmarshal(r.body, answer) != nil:
		b.truth.odd(fmt.Sprintf("%s %s: %d %s", method, path, r.code, r.body))
		return false
	}
	return true
}
