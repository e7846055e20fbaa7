package main

import (
	"testing"

	"github.com/coppice-go/coppice/docs/benchmarks/page"
)

// TestThePageSaysWhatWasMeasured: the sections of docs/performance.md are made
// from the results beside them, and nobody has written in them by hand.
func TestThePageSaysWhatWasMeasured(t *testing.T) {
	for name, kept := range map[string]interface{ report() string }{
		"race": &standing{}, "grow": &harvest{}, "contend": &pressing{}, "rest": &night{},
	} {
		if err := page.Load(".", name, kept); err != nil {
			t.Error(err)
			continue
		}
		if text, err := page.Read(".", name); err != nil || text != kept.report() {
			t.Errorf("section %s is not what results/%s.json makes, %v: run it again with -save", name, name, err)
		}
	}
}
