// Package page keeps what was measured: as JSON in results, for programs, and
// as sections of docs/performance.md, for people. The sections are made from
// the JSON alone, so that a test can tell whether they still say the same.
//
// The folder that its functions take is that of this module.
package page

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const doc = "../performance.md"

// Save writes v to results/name.json.
func Save(dir, name string, v any) error {
	text, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file(dir, name), append(text, '\n'), 0o644)
}

// Load reads results/name.json into v.
func Load(dir, name string, v any) error {
	text, err := os.ReadFile(file(dir, name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", file(dir, name), err)
	}
	return nil
}

func file(dir, name string) string { return filepath.Join(dir, "results", name+".json") }

// Write replaces a section of docs/performance.md.
func Write(dir, section, text string) error {
	page, err := os.ReadFile(filepath.Join(dir, doc))
	if err != nil {
		return err
	}
	before, _, after, err := cut(string(page), section)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, doc), []byte(before+text+after), 0o644)
}

// Read returns a section of docs/performance.md.
func Read(dir, section string) (string, error) {
	page, err := os.ReadFile(filepath.Join(dir, doc))
	if err != nil {
		return "", err
	}
	_, text, _, err := cut(string(page), section)
	return text, err
}

// cut finds what stands between the section's two marks, which are comments on
// lines of their own.
func cut(page, section string) (before, text, after string, err error) {
	opens, closes := "<!-- "+section+" -->\n", "<!-- /"+section+" -->\n"
	head, rest, opened := strings.Cut(page, opens)
	text, tail, closed := strings.Cut(rest, closes)
	if !opened || !closed {
		return "", "", "", fmt.Errorf("%s has no section from %q to %q", doc, opens, closes)
	}
	return head + opens, text, closes + tail, nil
}
