package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThePageAgrees: docs/health-and-kubernetes.md shows the manifest and the
// figures as they are, and the tests that it names exist.
func TestThePageAgrees(t *testing.T) {
	page := read(t, "../../../../docs/health-and-kubernetes.md")
	deployment := unindented(read(t, "../kubernetes/base/deployment.yaml"))
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(blocks) != 3 {
		t.Fatalf("the page shows %d pieces of the manifest, want the three probes", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(deployment, unindented(b[1])) {
			t.Errorf("the manifest does not say:\n%s", b[1])
		}
	}
	cmd := exec.Command(buildDemo(t), "manifest")
	cmd.Env = []string{"TMPDIR=" + t.TempDir(), "COPPICE_DRAIN=5s"}
	figures, err := cmd.Output()
	if err != nil || !strings.Contains(page, "demo manifest\n"+string(figures)+"```") {
		t.Errorf("the page does not show what demo manifest prints (%v):\n%s", err, figures)
	}
	if !strings.Contains(page, "\n```\n$ kubectl describe pod\n…\nEvents:"+eventsByHTTP+"```\n") {
		t.Errorf("the page does not show the event as kubectl does:%s", eventsByHTTP)
	}
	files, _ := filepath.Glob("*_test.go")
	var source strings.Builder
	for _, f := range files {
		source.WriteString(read(t, f))
	}
	named := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(page, -1)
	if len(named) < 9 {
		t.Errorf("the page names %d tests; has its form changed?", len(named))
	}
	for _, m := range named {
		if !strings.Contains(source.String(), "func "+m[1]+"(") {
			t.Errorf("the page names %s, which does not exist", m[1])
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// unindented is text without what its lines begin with.
func unindented(text string) string {
	return regexp.MustCompile(`(?m)^ +`).ReplaceAllString(text, "")
}
