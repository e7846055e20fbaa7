package servicetest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// A knob that has no reason nobody dares to turn.
func TestEachKnobHasADefaultAndAReason(t *testing.T) {
	page, err := os.ReadFile("../../../docs/services.md")
	if err != nil {
		t.Fatal(err)
	}
	complete := regexp.MustCompile("^\\| `[A-Za-z]+` \\| [^|]+ \\| [^|]+ \\|$")
	tables := strings.Split(string(page), "\n| knob | default | reason |\n|---|---|---|\n")[1:]
	if len(tables) < 7 {
		t.Errorf("the page has the knobs of %d services; has its form changed?", len(tables))
	}
	for _, table := range tables {
		table, _, _ = strings.Cut(strings.TrimSuffix(table, "\n"), "\n\n")
		for row := range strings.SplitSeq(table, "\n") {
			if !complete.MatchString(row) {
				t.Errorf("docs/services.md does not give a default and a reason: %s", row)
			}
		}
	}
}
