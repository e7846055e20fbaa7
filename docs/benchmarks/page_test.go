package main

import (
	"os"
	"testing"

	"github.com/coppice-go/coppice/docs/benchmarks/page"
)

// TestThePageSaysWhatWasMeasured: the sections of docs/performance.md and the
// plots are made from the results beside them, and nobody has changed them by
// hand.
func TestThePageSaysWhatWasMeasured(t *testing.T) {
	all := sections()
	for name, m := range all {
		if err := page.Load(".", name, m); err != nil {
			t.Error(err)
			continue
		}
		if text, err := page.Read(".", name); err != nil || text != m.report() {
			t.Errorf("section %s is not what results/%s.json makes, %v: go run . page", name, name, err)
		}
	}
	for i := range pictures {
		file := "../plots/" + pictures[i].file + ".svg"
		if text, err := os.ReadFile(file); err != nil || string(text) != all["grow"].(*harvest).svg(&pictures[i]) {
			t.Errorf("%s is not what results/grow.json makes, %v: go run . page", file, err)
		}
	}
}
