package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// api returns the handler of the shop.
func (s *shop) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.getIndex)
	mux.HandleFunc("GET /prices", s.answer(s.getPrices))
	mux.HandleFunc("POST /orders", s.answer(s.postOrder))
	mux.HandleFunc("GET /orders/{id}", s.answer(s.getOrder))
	return mux
}

// badRequest is an error that is the client's, in words for the client.
type badRequest struct{ error }

// answer adapts a function that returns what to say as JSON. Nobody waits for
// it longer than dbPatience.
func (s *shop) answer(f func(r *http.Request) (code int, v any, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), dbPatience)
		defer cancel()
		code, v, err := f(r.WithContext(ctx))
		if err != nil {
			s.refuse(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v) // fails if the client is gone
	}
}

// refuse says no, and when to come back if that helps.
func (s *shop) refuse(w http.ResponseWriter, err error) {
	var bad badRequest
	switch {
	case errors.As(err, &bad):
		http.Error(w, bad.Error(), http.StatusBadRequest)
	case errors.Is(err, errKeyReused):
		http.Error(w, errKeyReused.Error(), http.StatusUnprocessableEntity)
	case errors.Is(err, sql.ErrNoRows):
		http.Error(w, "there is no such thing", http.StatusNotFound)
	default:
		seconds := retryAfter(s.db.DB.RetryAfter())
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		http.Error(w, fmt.Sprintf("the shop is being mended; come back in %d s", seconds), http.StatusServiceUnavailable)
	}
}

// retryAfter returns whole seconds, at least one.
func retryAfter(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

func (s *shop) getPrices(r *http.Request) (int, any, error) {
	prices, err := s.prices.Get(r.Context(), allPrices)
	return http.StatusOK, prices, err
}

func (s *shop) getOrder(r *http.Request) (int, any, error) {
	o, err := s.orders.Get(r.Context(), r.PathValue("id"))
	return http.StatusOK, o, err
}

// postOrder says 201 for a new order, and 200 with the order that there is to
// who asks again with the same Idempotency-Key (an IETF draft, and what payment
// APIs do).
func (s *shop) postOrder(r *http.Request) (int, any, error) {
	w, err := readWish(r)
	if err != nil {
		return 0, nil, badRequest{err}
	}
	o, isNew, err := s.place(r.Context(), w)
	if isNew {
		return http.StatusCreated, o, err
	}
	return http.StatusOK, o, err
}

func readWish(r *http.Request) (wish, error) {
	w := wish{key: r.Header.Get("Idempotency-Key")}
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 4<<10)).Decode(&w); err != nil {
		return w, errors.New(`send {"item":"kettle","quantity":2}`)
	}
	if w.Quantity < 1 || w.Quantity > 1000 {
		return w, errors.New("quantity is not within 1 and 1000")
	}
	if len(w.key) > 255 || !utf8.ValidString(w.key) {
		return w, errors.New("the Idempotency-Key is longer than 255 bytes, or not UTF-8")
	}
	return w, nil
}

func (s *shop) getIndex(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, "The shop: GET /prices, POST /orders {\"item\":\"kettle\",\"quantity\":2}, GET /orders/{id}\n"+
		"With an Idempotency-Key, an order that was asked for twice is placed once.\n")
}
