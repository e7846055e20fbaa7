// Package health measures libraries that answer a platform's probes, coppice
// among them, at the same work: an answer, many at once while a check is slow,
// and what becomes of answers and goroutines when a check hangs.
package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Job is one library's turn at one work.
type Job struct {
	Checker string
	Work    string // "answer", "slow" or "hang"
	Checks  int
	For     time.Duration // hang: how long; slow: how slow
}

// An Outcome is what came of a Job; what the work does not measure is zero.
type Outcome struct {
	P50, P99 time.Duration // answer
	Slowest  time.Duration // slow: of Burst probes at once

	Goroutines int           // hang: more than before, after a quarter of it
	Asked, Yes int           // hang: probes, and those that were answered by a yes
	Silent     int           // hang: those that were not answered within a second
	Red        time.Duration // hang: from its begin to the first that was not answered by a yes, if one was not
}

// What kubelet does by default, and how many do it at once.
const (
	timeout = time.Second // kubelet's timeoutSeconds
	Burst   = 20          // probes at once
	probing = 100 * time.Millisecond
	answers = 2_000
)

// Do measures a job.
func Do(j Job) (Outcome, error) {
	at := slices.IndexFunc(checkers, func(c checker) bool { return c.called == j.Checker })
	if at < 0 {
		return Outcome{}, fmt.Errorf("no checker %q", j.Checker)
	}
	p := &patient{ill: make(chan struct{})}
	handler, stop := checkers[at].open(p.checks(j))
	defer stop()
	defer p.die()
	if err := untilGreen(handler); err != nil {
		return Outcome{}, err
	}
	switch j.Work {
	case "answer":
		return answer(handler), nil
	case "slow":
		return slow(handler), nil
	case "hang":
		return p.hang(handler, j.For), nil
	}
	return Outcome{}, fmt.Errorf("no work %q", j.Work)
}

// A patient has one check that becomes ill: it takes long, or never returns.
type patient struct {
	sick atomic.Bool
	ill  chan struct{} // closed when hanging checks may return
}

func (p *patient) die() { close(p.ill) }

// checks are as many as the job wants, the first of which may be ill. A slow
// one is from the start, so that whoever knows a result knows it already.
func (p *patient) checks(j Job) []check {
	first := func(ctx context.Context) error {
		switch {
		case j.Work == "slow":
			return wait(ctx, j.For)
		case p.sick.Load():
			<-p.ill // and not for ctx: it hangs
		}
		return nil
	}
	checks := []check{first}
	for len(checks) < j.Checks {
		checks = append(checks, func(context.Context) error { return nil })
	}
	return checks
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// untilGreen waits for the first results, and then for those of a round.
func untilGreen(handler http.Handler) error {
	for range 100 {
		if green(context.Background(), handler) {
			time.Sleep(2 * every)
			return nil
		}
		time.Sleep(probing)
	}
	return errors.New("it never says yes")
}

// green asks as kubelet does, and reports whether the answer is a yes.
func green(ctx context.Context, handler http.Handler) bool {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/readyz", nil))
	return w.Code == http.StatusOK
}

// answer asks one probe after the other.
func answer(handler http.Handler) Outcome {
	took := make([]time.Duration, answers)
	for i := range took {
		began := time.Now()
		if !green(context.Background(), handler) {
			panic("it says no, and nothing is wrong")
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return Outcome{P50: took[answers/2], P99: took[answers*99/100]}
}

// slow asks many at once, once no result is fresh any more.
func slow(handler http.Handler) Outcome {
	var slowest atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range Burst {
		all.Go(func() {
			green(context.Background(), handler)
			slowest.Store(int64(time.Since(began))) // who is last is slowest
		})
	}
	all.Wait()
	return Outcome{Slowest: time.Duration(slowest.Load())}
}

// hang asks every now and then while a check hangs, as long as it is told.
func (p *patient) hang(handler http.Handler, d time.Duration) (o Outcome) {
	before := runtime.NumGoroutine()
	p.sick.Store(true)
	began := time.Now()
	var asked []*question
	for next := began; next.Sub(began) < d; next = next.Add(probing) {
		time.Sleep(time.Until(next))
		asked = append(asked, ask(handler))
		if o.Goroutines == 0 && time.Since(began) > d/4 {
			o.Goroutines = runtime.NumGoroutine() - before
		}
	}
	time.Sleep(timeout) // the last answers
	for _, q := range asked {
		yes, said := q.answer()
		o.count(yes, said, q.began.Sub(began))
	}
	return o
}

func (o *Outcome) count(yes, said bool, at time.Duration) {
	if !yes && o.Yes == o.Asked {
		o.Red = at
	}
	o.Asked++
	if yes {
		o.Yes++
	}
	if !said {
		o.Silent++
	}
}

// A question is a probe that waits for its answer, for a second at most.
type question struct {
	began time.Time
	yes   chan bool // holds the answer, if it came in time
}

func ask(handler http.Handler) *question {
	q := &question{time.Now(), make(chan bool, 1)}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if yes := green(ctx, handler); time.Since(q.began) < timeout {
			q.yes <- yes
		}
	}()
	return q
}

// answer is for when its time is over.
func (q *question) answer() (yes, said bool) {
	select {
	case yes = <-q.yes:
		return yes, true
	default:
		return false, false
	}
}
