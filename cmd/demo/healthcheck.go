package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// healthcheck asks a running demo's probes, for a platform that can only run
// programs, in an image that has no other.
func healthcheck(cfg config, stdout io.Writer) error {
	probe := "readyz"
	if cfg.livez {
		probe = "livez"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+local(cfg.probes)+"/"+probe, nil)
	if err != nil {
		return usage("-probes: %v", err)
	}
	code, text, err := ask(req)
	if err != nil {
		text = fmt.Sprintf("no answer: %v", err)
	}
	fmt.Fprintf(stdout, "%s: %s\n", probe, text)
	if err != nil || code != http.StatusOK {
		return errReported
	}
	return nil
}

// ask makes a request and returns the answer as text.
func ask(req *http.Request) (code int, text string, err error) {
	r, err := fetch(http.DefaultClient, req)
	return r.code, strings.TrimSpace(string(r.body)), err
}

// A reply is an answer that was read to its end.
type reply struct {
	code   int
	header http.Header
	body   []byte
}

// fetch makes a request and returns the answer, with as much of its body as
// anybody here wants.
func fetch(client *http.Client, req *http.Request) (reply, error) {
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return reply{resp.StatusCode, resp.Header, body}, err
}
