package page

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func module(t *testing.T, text string) (dir string) {
	dir = filepath.Join(t.TempDir(), "benchmarks")
	if err := os.MkdirAll(filepath.Join(dir, "results"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, doc), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOnlyTheSectionIsReplaced(t *testing.T) {
	dir := module(t, "above\n<!-- a -->\nold\n<!-- /a -->\n<!-- b -->\nb's\n<!-- /b -->\nbelow\n")
	if err := Write(dir, "a", "new\n"); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(filepath.Join(dir, doc))
	if want := "above\n<!-- a -->\nnew\n<!-- /a -->\n<!-- b -->\nb's\n<!-- /b -->\nbelow\n"; string(text) != want {
		t.Errorf("got %q, want %q", text, want)
	}
	if got, err := Read(dir, "b"); got != "b's\n" || err != nil {
		t.Error(got, err)
	}
}

func TestAPageWithoutTheSectionIsAnError(t *testing.T) {
	dir := module(t, "<!-- a -->\nnobody closes it\n")
	if err := Write(dir, "a", ""); err == nil || !strings.Contains(err.Error(), "has no section") {
		t.Error(err)
	}
}

func TestWhatIsSavedIsLoaded(t *testing.T) {
	dir := module(t, "")
	if err := Save(dir, "x", map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	var got map[string]int
	if err := Load(dir, "x", &got); err != nil || got["a"] != 1 {
		t.Error(got, err)
	}
}

func TestFiguresCanBeRead(t *testing.T) {
	for got, want := range map[string]string{
		Nanoseconds(1.234): "1.23 ns", Nanoseconds(56_789): "56.8 µs", Nanoseconds(2e9): "2.00 s",
		Bytes(5947): "5947 B", Bytes(3 << 29): "1.50 GiB", Count(1_000_005): "1,000,005", Count(999): "999",
		Digits(Median([]float64{3, 1, 2})): "2.00",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
