package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// TestTheReportTellsNoSecret that an error of a worker quotes: in the log, and
// where the platform looks.
func TestTheReportTellsNoSecret(t *testing.T) {
	leaks := func(context.Context, func()) error { panic("dial postgres://app:hunter2@db/shop") }
	sup, err := supervisor.New(supervisor.Spec{Name: "shop", Children: []supervisor.Spec{{
		Name: "db", Run: func(_ context.Context, ready func()) error { ready(); return leaks(nil, nil) },
	}}, Intensity: supervisor.Intensity{Restarts: 1, Within: time.Minute}}, supervisor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	failure := sup.Run(t.Context())
	if failure == nil || !strings.Contains(failure.Error(), "hunter2") {
		t.Fatalf("it gave up over %v", failure)
	}
	file := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"json", "human"} {
		var out bytes.Buffer
		p := &program{cfg: config{terminationLog: file, log: form}, sup: sup}
		p.report(failure, newLog(form, &out), &out)
		message, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for where, text := range map[string]string{"the log": out.String(), "the termination log": string(message)} {
			if strings.Contains(text, "hunter2") || !strings.Contains(text, "app:xxxxx@db/shop") {
				t.Errorf("%s, %s: %s", form, where, text)
			}
		}
	}
}

// TestAllOfTheLogIsJSON, also what package net/http and package health say, by
// log and slog, and errors tell no secret there either.
func TestAllOfTheLogIsJSON(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	logger := newLog("json", &out)
	takeAll(logger)
	log.Print("http: TLS handshake error")
	slog.Warn("health: refused", "from", "192.0.2.1")
	logger.Error().Err(errors.New("password=hunter2")).Msg("not reloaded")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || strings.Contains(out.String(), "hunter2") {
		t.Errorf("%q", lines)
	}
	for i, want := range []string{"http: TLS handshake error", "health: refused", "not reloaded"} {
		var fields map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &fields); err != nil || fields["message"] != want {
			t.Errorf("%s: %v", lines[i], err)
		}
	}
}
