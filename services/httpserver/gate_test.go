package httpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// part is a worker that publishes a value while it is up.
type part struct {
	ref  supervisor.Ref[int]
	up   atomic.Bool
	fail chan error
}

func (p *part) spec(name string) supervisor.Spec {
	return supervisor.Spec{
		Name: name, Backoff: supervisor.Backoff{Min: 90 * time.Second, Max: 90 * time.Second, Jitter: supervisor.NoJitter},
		Run: p.ref.Run(func(ctx context.Context, ready func(int)) error {
			if !p.up.Load() {
				return fmt.Errorf("%w: down", supervisor.ErrUnavailable)
			}
			ready(7)
			select {
			case err := <-p.fail:
				return err
			case <-ctx.Done():
				return nil
			}
		}),
	}
}

// ask makes a request of h, and returns its status and Retry-After.
func ask(h http.Handler) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return fmt.Sprint(w.Code, " ", w.Header().Get("Retry-After"))
}

func TestAGateIsOpenWhileThereIsWhatItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &part{fail: make(chan error)}
		h := Gate(&p.ref, http.HandlerFunc(ok))
		want := func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := ask(h); got != want {
				t.Errorf("%s the answer is %q, want %q", when, got, want)
			}
		}
		want("before the tree runs", "503 1")
		sup, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{p.spec("db")}}, supervisor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- sup.Run(ctx) }()
		want("after a failed start", "503 90")
		time.Sleep(30*time.Second + time.Millisecond)
		want("later", "503 60")
		p.up.Store(true)
		time.Sleep(time.Minute)
		want("once it is there", "200 ")
		p.up.Store(false)
		p.fail <- errors.New("gone")
		want("when it is gone", "503 90")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestGatesCanBeNested(t *testing.T) {
	var none, other supervisor.Ref[int]
	h := Gate(&none, Gate(&other, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was let in") })))
	if got := ask(h); got != "503 1" {
		t.Errorf("the answer is %q", got)
	}
}

// Nobody should come back before there can be something.
func TestRetryAfterIsRoundedUp(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", time.Minute: "60"} {
		if got := seconds(d); got != want {
			t.Errorf("%v is %s seconds, want %s", d, got, want)
		}
	}
}

// What the probes say of the tree is whether the main listener is there.
func TestTheListenersReadinessIsTheTrees(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Addr: taken.Addr().String(), Handler: http.HandlerFunc(ok)})
	tr := start(t, s)
	for tr.first(supervisor.EventStartFailed).Kind == "" {
		time.Sleep(time.Millisecond)
	}
	if status := tr.sup.Status(); status != supervisor.Down {
		t.Errorf("the tree is %v without its listener", status)
	}
	taken.Close()
	if err := tr.sup.WaitReady(t.Context(), "shop/http"); err != nil {
		t.Fatal(err)
	}
	for tr.sup.Status() != supervisor.Up {
		time.Sleep(time.Millisecond)
	}
	if _, err := tr.stop(); err != nil {
		t.Error(err)
	}
}
