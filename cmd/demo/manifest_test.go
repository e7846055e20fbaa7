package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestManifestAddsUpWhatTheTreeNeeds(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	tell := func(cfg config) string {
		var out strings.Builder
		if err := manifest(cfg, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	spec, err := specOf(config{addr: ":1"})
	if err != nil {
		t.Fatal(err)
	}
	stop, worst := spec.StopBudget()
	if stop != 21*time.Second || worst != "shop/http" {
		t.Errorf("the tree stops in %v at most, %s taking longest; have you read docs/health-and-kubernetes.md and the manifests again?", stop, worst)
	}
	text := tell(config{addr: ":1", drain: 1500 * time.Millisecond})
	for _, want := range []string{"\ndrain: 2 ", "\nstop: 21 ", worst + " takes longest", "\nclosing: 1 ", "\ngrace: 24 "} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("it left %v behind (%v)", left, err)
	}
}

func TestManifestOfABadConfigurationIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.json")
	if err := os.WriteFile(file, []byte(`{"workers": 0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var bad usageError
	if err := manifest(config{config: file}, new(strings.Builder)); !errors.As(err, &bad) || !strings.Contains(err.Error(), "workers") {
		t.Errorf("got %v, want a usage error that names the setting", err)
	}
}
