package supervisor_test

import (
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestServicesAreSmall keeps each service to what can be read in one sitting.
func TestServicesAreSmall(t *testing.T) {
	onceIsEnough(t)
	const most = 200
	services, err := filepath.Glob("../services/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for _, file := range services {
		if !strings.HasSuffix(file, "_test.go") {
			lines[filepath.Base(filepath.Dir(file))] += linesOfCode(t, file)
		}
	}
	if len(lines) < 6 {
		t.Errorf("found only the services %v", lines)
	}
	for service, n := range lines {
		if n > most {
			t.Errorf("services/%s has %d lines of code, want at most %d: a service says what is special to its dependency; "+
				"what others need too, or what is a noun of its own, belongs to services/internal, and all else to the tree", service, n, most)
		}
	}
}

// linesOfCode returns on how many lines of a file there is more than comment.
func linesOfCode(t *testing.T, path string) int {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var s scanner.Scanner
	file := token.NewFileSet().AddFile(path, -1, len(source))
	s.Init(file, source, nil, 0) // comments are skipped
	lines := map[int]bool{}
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		for i := range 1 + strings.Count(strings.TrimSuffix(text, "\n"), "\n") {
			lines[file.Line(pos)+i] = true
		}
	}
}
