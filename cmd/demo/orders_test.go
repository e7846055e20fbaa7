package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Who asks again with the same key, since no answer came or two tried at once,
// gets the order that there is.
func TestAnOrderIsPlacedOnceForEachKey(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0")
	var mu sync.Mutex // guards the next two
	ids, codes := map[string]int{}, map[int]int{}
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			code, o := d.order("the-same", `{"item":"mug","quantity":3}`)
			mu.Lock()
			defer mu.Unlock()
			ids[o.ID]++
			codes[code]++
		})
	}
	asking.Wait()
	if len(ids) != 1 || codes[http.StatusCreated] != 1 || codes[http.StatusOK] != 19 {
		t.Errorf("20 requests with one key: orders %v, codes %v, want one order, 201 once, 200 otherwise", ids, codes)
	}
	code, other := d.order("another", `{"item":"mug","quantity":3}`)
	if code != http.StatusCreated || ids[other.ID] != 0 {
		t.Errorf("another key: code %d, order %s, want a new one", code, other.ID)
	}
	if one, two := d.buy(), d.buy(); one == two {
		t.Error("without a key two orders are one")
	}
}

func TestAKeyIsForOneWish(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0")
	d.order("k", `{"item":"mug","quantity":3}`)
	for body, want := range map[string]int{
		`{"item":"mug","quantity":3}`:    http.StatusOK,
		`{"item":"mug","quantity":4}`:    http.StatusUnprocessableEntity,
		`{"item":"kettle","quantity":3}`: http.StatusUnprocessableEntity,
	} {
		if code, _ := d.order("k", body); code != want {
			t.Errorf("%s with the key of three mugs: code %d, want %d", body, code, want)
		}
	}
	if code, _ := d.order(strings.Repeat("k", 256), `{"item":"mug","quantity":3}`); code != http.StatusBadRequest {
		t.Errorf("a key of 256 bytes: code %d, want 400", code)
	}
}

// order asks for an order with a key.
func (d *demo) order(key, body string) (code int, o order) {
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.shop+"/orders", strings.NewReader(body))
	if err != nil {
		panic("bug: " + err.Error())
	}
	req.Header.Set("Idempotency-Key", key)
	r, err := fetch(http.DefaultClient, req)
	if err != nil {
		d.t.Errorf("POST /orders: %v", err)
	}
	_ = json.Unmarshal(r.body, &o) // it is none if it was refused
	return r.code, o
}
