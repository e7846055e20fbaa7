package health_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

func body(t *testing.T, url string) (code int, text string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// The listener is no node of the tree: it answers before the first child
// starts and after the last has stopped.
func TestServeAnswersBeforeDuringAndAfterRun(t *testing.T) {
	sup, err := supervisor.New(pool(3, idle), supervisor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := health.Serve("127.0.0.1:0", sup)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + srv.Addr()
	require := func(path string, want int) {
		t.Helper()
		if code, text := body(t, url+path); code != want {
			t.Errorf("%s is %d: %s", path, code, text)
		}
	}
	require("/livez", 200)
	require("/readyz", 503)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- sup.Run(ctx) }()
	if err := sup.WaitReady(ctx, ""); err != nil {
		t.Fatal(err)
	}
	require("/readyz", 200)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	require("/readyz", 503)
	require("/livez", 503)
	for range 2 {
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := net.Dial("tcp", srv.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after Shutdown: %v", err)
	}
}

func TestServeNamesTheAddressThatItCannotHave(t *testing.T) {
	sup := running(t, pool(2, idle), supervisor.Options{})
	srv, err := health.Serve("127.0.0.1:0", sup)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	if _, err = health.Serve(srv.Addr(), sup); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), srv.Addr()) {
		t.Errorf("in use: %v", err)
	}
	for _, addr := range []string{"nowhere", "127.0.0.1:http-but-not", "256.0.0.1:80", "127.0.0.1:70000"} {
		if _, err := health.Serve(addr, sup); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("health: cannot listen on %q", addr)) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// dial starts a connection and writes text to it.
func dial(t *testing.T, addr, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// statusOf reads an answer and reports its code and whether the server closes
// the connection after it; 0 if it was closed without one.
func statusOf(t *testing.T, conn net.Conn) (code int, closed bool) {
	t.Helper()
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return 0, true
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Close
}

func TestSlowClientsAreCutOff(t *testing.T) {
	sup := running(t, pool(2, idle), supervisor.Options{})
	srv, err := health.ServeWithTimeouts("127.0.0.1:0", health.Handler(sup), 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	slow := dial(t, srv.Addr(), "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	if code, closed := statusOf(t, slow); code == 200 || !closed {
		t.Errorf("half a header: %d", code)
	}
	idle := dial(t, srv.Addr(), "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	if code, closed := statusOf(t, idle); code != 200 || closed {
		t.Errorf("whole header: %d", code)
	}
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("idle connection: %v", err)
	}
}

func TestLargeRequestsAreRefused(t *testing.T) {
	sup := running(t, pool(2, idle), supervisor.Options{})
	srv, err := health.Serve("127.0.0.1:0", sup)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	big := dial(t, srv.Addr(), "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
	if code, closed := statusOf(t, big); code != http.StatusRequestEntityTooLarge || !closed {
		t.Errorf("body: %d, closed: %t", code, closed)
	}
	wide := dial(t, srv.Addr(), "GET /livez HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 30_000)+"\r\n\r\n")
	if code, closed := statusOf(t, wide); code != http.StatusRequestHeaderFieldsTooLarge || !closed {
		t.Errorf("header: %d, closed: %t", code, closed)
	}
}

func TestAPanicIsAnAnswer(t *testing.T) {
	log := captureLog(t)
	srv, err := health.ServeWithTimeouts("127.0.0.1:0", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("oh no")
	}), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	for range 2 {
		if code, text := body(t, "http://"+srv.Addr()); code != 500 || text != "internal error\n" {
			t.Errorf("%d: %s", code, text)
		}
	}
	requireHas(t, log.String(), "oh no", "serve_test.go")
}

func TestShutdownDoesNotWaitForEver(t *testing.T) {
	hangs, release := make(chan struct{}), make(chan struct{})
	srv, err := health.ServeWithTimeouts("127.0.0.1:0", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(hangs)
		<-release
	}), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	dial(t, srv.Addr(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-hangs
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), srv.Addr()) {
		t.Errorf("%v", err)
	}
	close(release)
}
