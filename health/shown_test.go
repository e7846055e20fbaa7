package health

import (
	"strings"
	"testing"
)

func TestLongTextsAreCut(t *testing.T) {
	for _, n := range []int{50, 99, 100, 101, 199, 200, 5_000} {
		got := shown(strings.Repeat("é ", n), 100)
		if over := 3*n > 100; len(got) > 100+len(cut) || strings.HasSuffix(got, cut) != over || strings.Count(got, "cut") > 1 || strings.ContainsRune(got, '\uFFFD') {
			t.Errorf("%d: %q", n, got)
		}
	}
	if got := shown(strings.Repeat("x ", 95)+"password=hunter2222222222222222222222", 100); strings.Contains(got, "hunter") {
		t.Error(got)
	}
}
