package certfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// S5: which file, and what is wrong with it; and nothing of what is in it.
func TestAnErrorNamesTheFileAndTellsNoKey(t *testing.T) {
	dir := t.TempDir()
	p := Pair{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	const secret = "s3cret-hunter2"
	want := func() {
		t.Helper()
		if err := p.Require(); err == nil || !strings.Contains(err.Error(), p.Cert) || strings.Contains(err.Error(), secret) {
			t.Errorf("the error is %v", err)
		}
	}
	want() // there are none
	for _, content := range []string{"", secret, "-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----\n"} {
		for _, file := range []string{p.Cert, p.Key} {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want()
	}
}
