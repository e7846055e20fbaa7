package zlog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
	"github.com/coppice-go/coppice/supervisor/zlog"
)

func TestEveryEventIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		db := suptest.NewWorker()
		tree := suptest.Start(t, supervisor.Spec{Name: "shop", Children: []supervisor.Spec{db.Spec("db")}},
			supervisor.Options{Observer: zlog.Observer(zerolog.New(&out))})
		db.Fail(errors.New("connection\nrefused"))
		tree.Settle()
		db.Panic("boom")
		tree.Settle()
		tree.Shutdown()

		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if got, want := len(lines), len(tree.Events()); got != want {
			t.Fatalf("%d lines, want %d:\n%s", got, want, out.String())
		}
		var failed, panicked map[string]any
		for _, line := range lines {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if fields["message"] == "exited" && failed == nil {
				failed = fields
			} else if fields["message"] == "exited" && panicked == nil {
				panicked = fields
			}
		}
		if failed["level"] != "warn" || failed["path"] != "shop/db" || failed["error"] != "connection\nrefused" || failed["incarnation"] != 1.0 {
			t.Errorf("the failure is logged as %v", failed)
		}
		if stack, _ := panicked["stack"].(string); !strings.Contains(stack, "suptest") {
			t.Errorf("the panic's stack is %q", stack)
		}
	})
}

// TestSecretsAreNotLogged that an error, a panic or who operates quotes.
func TestSecretsAreNotLogged(t *testing.T) {
	var out bytes.Buffer
	observe := zlog.Observer(zerolog.New(&out))
	err := errors.New("dial postgres://app:hunter2@db: refused")
	observe(supervisor.Event{Kind: supervisor.EventExited, Path: "shop/db", Err: err, Stack: "goroutine 7\n" + err.Error()})
	observe(supervisor.Event{Kind: supervisor.EventOperated, Path: "shop", Operation: "open " + err.Error()})
	if text := out.String(); strings.Contains(text, "hunter2") || strings.Count(text, "app:xxxxx@db: refused") != 3 {
		t.Error(text)
	}
}

func TestLevels(t *testing.T) {
	for kind, want := range map[supervisor.EventKind]zerolog.Level{
		supervisor.EventGaveUp:     zerolog.ErrorLevel,
		supervisor.EventAbandoned:  zerolog.ErrorLevel,
		supervisor.EventExited:     zerolog.WarnLevel,
		supervisor.EventBackingOff: zerolog.WarnLevel,
		supervisor.EventParked:     zerolog.WarnLevel,
		supervisor.EventReady:      zerolog.InfoLevel,
		supervisor.EventHealed:     zerolog.InfoLevel,
		supervisor.EventStarted:    zerolog.DebugLevel,
	} {
		if got := zlog.Level(supervisor.Event{Kind: kind}); got != want {
			t.Errorf("%s is logged at %v, want %v", kind, got, want)
		}
	}
}

// An explosive error is a failure whose methods are no better.
type explosive struct{}

func (explosive) Error() string { panic("no text") }
func (explosive) Unwrap() error { panic("no cause") }

func TestAnErrorWhoseMethodsPanicIsLogged(t *testing.T) {
	var out bytes.Buffer
	zlog.Observer(zerolog.New(&out))(supervisor.Event{Path: "shop/db", Kind: supervisor.EventExited, Err: explosive{}})
	if !strings.Contains(out.String(), "shop/db") {
		t.Errorf("the line is %q", out.String())
	}
}
