package health_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

// follower is a client in the same process: what was written, by write, and a
// gate that a slow one holds shut.
type follower struct {
	header http.Header

	mu     sync.Mutex    // guards all below
	gate   chan struct{} // nil is open
	code   int
	writes []string
}

func (f *follower) Header() http.Header { return f.header }
func (f *follower) WriteHeader(code int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.code = code
}
func (f *follower) Flush() {}
func (f *follower) Write(p []byte) (int, error) {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		<-gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = append(f.writes, string(p))
	return len(p), nil
}

func (f *follower) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.writes, "")
}

func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.writes)
}

func (f *follower) shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gate = make(chan struct{})
}

// following follows the events of recent until the test's end. It is for
// bubbles: no tree runs.
func following(t *testing.T, recent *health.Log, id string) *follower {
	sup, err := supervisor.New(pool(2, idle), supervisor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	f := &follower{header: http.Header{}}
	r := httptest.NewRequest(http.MethodGet, "/events", nil).WithContext(ctx)
	r.Host = "localhost"
	r.Header.Set("Accept", "text/event-stream")
	if id != "" {
		r.Header.Set("Last-Event-ID", id)
	}
	go health.Admin(sup, health.AdminOptions{Log: recent}).ServeHTTP(f, r)
	synctest.Wait()
	return f
}

func observe(recent *health.Log, from, to int) {
	for i := from; i <= to; i++ {
		recent.Observe(supervisor.Event{Seq: uint64(i), Path: "pool/w0", Kind: supervisor.EventReady})
	}
}

// numbers returns the numbers of the events in a stream, in order.
func numbers(text string) (numbers []int) {
	for line := range strings.Lines(text) {
		var n int
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			_, after, _ := strings.Cut(id, "-")
			_, _ = fmt.Sscan(after, &n)
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func TestAStreamSendsWhatHappensFromNowOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := health.NewLog(0)
		observe(recent, 1, 3)
		f := following(t, recent, "")
		observe(recent, 4, 4)
		synctest.Wait()
		observe(recent, 5, 6)
		time.Sleep(time.Second)
		if got := fmt.Sprint(numbers(f.text())); got != "[4 5 6]" {
			t.Errorf("%s:\n%s", got, f.text())
		}
		requireHas(t, f.text(), "retry: 1000\nevent: beat\ndata: {\"time\":", `"path":"pool/w0","kind":"worker","event":"ready"`)
		if f.header.Get("Content-Type") != "text/event-stream" || f.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", f.header)
		}
	})
}

// Who comes again gets what it has missed, and is told what it cannot get.
func TestAStreamGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := health.NewLog(5)
		observe(recent, 1, 8)
		f := following(t, recent, "5")
		if got := fmt.Sprint(numbers(f.text())); got != "[6 7 8]" {
			t.Errorf("after 5: %s", got)
		}
		requireHasNot(t, f.text(), "dropped", "restarted")
		for line := range strings.Lines(f.text()) {
			if id, ok := strings.CutPrefix(line, "id: "); ok && strings.HasSuffix(id, "-7\n") {
				f := following(t, recent, strings.TrimSpace(id))
				if got := fmt.Sprint(numbers(f.text())); got != "[8]" {
					t.Errorf("after %s: %s", id, got)
				}
			}
		}
		f = following(t, recent, "0")
		if got := fmt.Sprint(numbers(f.text())); got != "[4 5 6 7 8]" {
			t.Errorf("after 0: %s", got)
		}
		requireHas(t, f.text(), "event: dropped\ndata: {\"count\":3}\n")
	})
}

// The numbers of a process that was restarted begin anew.
func TestAStreamOfAnotherProcessBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := health.NewLog(0)
		observe(recent, 1, 3)
		for _, id := range []string{"another-2", "9"} {
			f := following(t, recent, id)
			requireHas(t, f.text(), "event: restarted\n")
			if got := fmt.Sprint(numbers(f.text())); got != "[1 2 3]" {
				t.Errorf("after %s: %s", id, got)
			}
		}
	})
}

// A client that takes nothing costs no memory, holds up neither the observer
// nor other clients, and is told what it has missed.
func TestASlowStreamLosesEventsAndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := health.NewLog(50)
		slow, quick := following(t, recent, ""), following(t, recent, "")
		slow.shut()
		const all = 10_000
		for i := 1; i <= all; i += 50 {
			observe(recent, i, i+49)
			time.Sleep(200 * time.Millisecond)
		}
		if n := len(numbers(quick.text())); n != all {
			t.Errorf("the quick one got %d", n)
		}
		close(slow.gate)
		time.Sleep(time.Second)
		var lost, count int
		for line := range strings.Lines(slow.text()) {
			if _, err := fmt.Sscanf(line, `data: {"count":%d}`, &count); err == nil {
				lost += count
			}
		}
		got := numbers(slow.text())
		if len(got) > 200 || len(got)+lost != all || got[len(got)-1] != all {
			t.Errorf("the slow one got %d and was told that it lost %d", len(got), lost)
		}
	})
}

func TestAStreamSendsTogetherWhatHappensTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := health.NewLog(0)
		f := following(t, recent, "")
		before := f.count()
		for i := 1; i <= 1_000; i++ {
			observe(recent, i, i)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if n := f.count() - before; n > 12 || len(numbers(f.text())) != 1_000 {
			t.Errorf("%d writes for %d events within a second", n, len(numbers(f.text())))
		}
	})
}

func TestAStreamBeatsWhileNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, recent := range []*health.Log{health.NewLog(0), nil} {
			f := following(t, recent, "")
			time.Sleep(61 * time.Second)
			if n := strings.Count(f.text(), "event: beat\n"); n != 5 {
				t.Errorf("%d beats in a minute", n)
			}
		}
	})
}

func TestStreamsAreRefusedClearly(t *testing.T) {
	sup := running(t, pool(2, idle), supervisor.Options{})
	h := health.Admin(sup, health.AdminOptions{Log: health.NewLog(0)})
	for _, id := range []string{"x", "-", "a-", "a-x", "1-2-3", "99999999999999999999", "\x00", strings.Repeat("9", 5_000)} {
		w := get(h, "/events", "Accept", "text/event-stream", "Last-Event-ID", id)
		requireText(t, w, 400, "Last-Event-ID is no id of ours: leave it out, or use 0 for all events that are kept\n")
	}
	if w := ask(h, http.MethodPost, "/events", "Accept", "text/event-stream"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	w := get(health.CrowdedAdmin(sup, health.AdminOptions{}), "/events", "Accept", "text/event-stream")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "10" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	requireHas(t, w.Body.String(), "1200 streams are open already")
}

func FuzzLastEventID(f *testing.F) {
	recent := health.NewLog(3)
	observe(recent, 1, 9)
	for _, id := range []string{"0", "9", "-", "x-1", "18446744073709551615", "1\n2"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // one batch
		sup, err := supervisor.New(pool(2, idle), supervisor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/events", nil).WithContext(ctx)
		r.Host, r.Header = "localhost", http.Header{"Accept": {"text/event-stream"}, "Last-Event-Id": {id}}
		w := httptest.NewRecorder()
		health.Admin(sup, health.AdminOptions{Log: recent}).ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 || len(numbers(w.Body.String())) > 3 {
			t.Errorf("%q: %d %s", id, w.Code, w.Body)
		}
	})
}

// streamFrom opens a stream of a server, and returns once it has begun.
func streamFrom(t *testing.T, addr string) *bufio.Reader {
	conn := dial(t, addr, "GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(err, resp)
	}
	in := bufio.NewReaderSize(resp.Body, 512)
	if line, err := in.ReadString('\n'); line != "retry: 1000\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return in
}

// A client that takes nothing at all is given up.
func TestADeadStreamIsGivenUp(t *testing.T) {
	recent := health.NewLog(0)
	h := health.ImpatientAdmin(running(t, pool(2, idle), supervisor.Options{}), health.AdminOptions{Log: recent}, 50*time.Millisecond)
	ended := make(chan struct{})
	srv, err := health.ServeWithTimeouts("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		h.ServeHTTP(w, r)
	}), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	streamFrom(t, srv.Addr()) // and reads no more
	giant := errors.New(strings.Repeat("giant ", 1_300))
	for seq := uint64(1); ; seq++ {
		recent.Observe(supervisor.Event{Seq: seq, Path: "pool/w0", Kind: supervisor.EventExited, Err: giant})
		select {
		case <-ended:
			return
		case <-t.Context().Done():
			t.Fatal("it is not")
		case <-time.After(time.Millisecond):
		}
	}
}

// A thousand clients that only listen cost some memory each, and hold up
// neither the tree nor the listener, nor its end.
func TestAThousandIdleStreams(t *testing.T) {
	recent := health.NewLog(0)
	sup := running(t, pool(3, idle), supervisor.Options{Observer: recent.Observe})
	srv, err := health.ServeAdmin("127.0.0.1:0", sup, health.AdminOptions{Log: recent})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	streams := make([]*bufio.Reader, 1_000)
	for i := range streams {
		streams[i] = streamFrom(t, srv.Addr())
	}
	runtime.ReadMemStats(&after)
	began := time.Now()
	if err := sup.Restart(t.Context(), "pool/w1"); err != nil {
		t.Fatal(err)
	}
	t.Logf("a restart beside them took %v, and each is %d KiB, both ends", time.Since(began), (after.Sys-before.Sys)/1024/1000)
	for _, in := range streams {
		for line := ""; !strings.Contains(line, `"path":"pool/w1"`); {
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	if code, _ := body(t, "http://"+srv.Addr()+"/livez"); code != http.StatusOK {
		t.Errorf("livez is %d beside them", code)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("they hold up the end: %v", err)
	}
}
