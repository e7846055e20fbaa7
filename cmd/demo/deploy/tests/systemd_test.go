package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
)

const unitFile = "../systemd/coppice-demo.service"

// option returns the last value of an option of the unit.
func option(t *testing.T, section, name string) string {
	t.Helper()
	f, err := os.Open(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	options, err := unit.DeserializeOptions(f)
	if err != nil {
		t.Fatal(err)
	}
	value, found := "", false
	for _, o := range options {
		if o.Section == section && o.Name == name {
			value, found = o.Value, true
		}
	}
	if !found {
		t.Fatalf("the unit has no %s in [%s]", name, section)
	}
	return value
}

func TestTheUnitGivesTheTreeItsTime(t *testing.T) {
	if got := option(t, "Service", "Type"); got != "notify" {
		t.Errorf("Type is %s", got)
	}
	env := strings.Fields(option(t, "Service", "Environment"))
	needs := time.Duration(askManifest(t, env).Grace) * time.Second
	stop, err := time.ParseDuration(option(t, "Service", "TimeoutStopSec"))
	if err != nil {
		t.Fatal(err)
	}
	var told time.Duration
	for _, e := range env {
		if value, is := strings.CutPrefix(e, "COPPICE_GRACE="); is {
			if told, err = time.ParseDuration(value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if told != stop || told < needs {
		t.Errorf("TimeoutStopSec is %v, COPPICE_GRACE %v, and the shop needs %v", stop, told, needs)
	}
	if watchdog, err := time.ParseDuration(option(t, "Service", "WatchdogSec")); err != nil || watchdog < 5*time.Second {
		t.Errorf("WatchdogSec is %v (%v), which a busy machine may miss: signs of life come each second", watchdog, err)
	}
}

// TestSystemdTakesTheUnit asks systemd itself.
func TestSystemdTakesTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("systemd is not installed")
		}
		t.Skip("systemd is not installed")
	}
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(text string) string {
		file := filepath.Join(t.TempDir(), "coppice-demo.service")
		if err := os.WriteFile(file, []byte(strings.Replace(text, "ExecStart=/usr/local/bin/demo", "ExecStart="+buildDemo(t), 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput()
		if err != nil && len(out) == 0 {
			t.Fatal(err)
		}
		return string(out)
	}
	if out := verify(string(text)); out != "" {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
	if out := verify(strings.Replace(string(text), "WatchdogSec=", "WatchdogSecs=", 1)); !strings.Contains(out, "WatchdogSecs") {
		t.Errorf("systemd-analyze verify says nothing of an option that there is not: %q", out)
	}
}
