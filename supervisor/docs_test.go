package supervisor_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocsNameRealTests: each test that docs/semantics.md names exists here.
func TestDocsNameRealTests(t *testing.T) {
	onceIsEnough(t)
	page, err := os.ReadFile("../docs/semantics.md")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("*_test.go")
	sources := readAll(t, files)
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 60 {
		t.Fatalf("the page names %d tests; has its form changed?", len(named))
	}
	for _, m := range named {
		if !strings.Contains(sources, "func "+m[1]+"(") {
			t.Errorf("docs/semantics.md names %s, which does not exist", m[1])
		}
	}
}

// TestServicesPageIsComplete: docs/services.md tells every knob of the services
// that have a section, and the tests that it names exist.
func TestServicesPageIsComplete(t *testing.T) {
	onceIsEnough(t)
	page, err := os.ReadFile("../docs/services.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(page), "\n## ")[1:]
	if len(sections) < 3 {
		t.Fatalf("the page has %d sections; has its form changed?", len(sections))
	}
	for _, section := range sections {
		service, text, _ := strings.Cut(section, "\n")
		for _, knob := range knobs(t, "../services/"+service) {
			if !strings.Contains(text, "\n| `"+knob+"` | ") {
				t.Errorf("docs/services.md does not tell the default of %s's Config.%s", service, knob)
			}
		}
		tests, _ := filepath.Glob("../services/" + service + "/*_test.go")
		source := readAll(t, tests)
		for _, m := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(source, "func "+m[1]+"(") {
				t.Errorf("docs/services.md names %s, which %s does not have", m[1], service)
			}
		}
	}
}

// knobs returns the fields of the Config in the package at dir.
func knobs(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, is := n.(*ast.TypeSpec); is && spec.Name.Name == "Config" {
				names = append(names, fields(spec)...)
			}
			return true
		})
	}
	if len(names) == 0 {
		t.Fatalf("%s has no Config", dir)
	}
	return names
}

func fields(spec *ast.TypeSpec) (names []string) {
	for _, field := range spec.Type.(*ast.StructType).Fields.List {
		for _, name := range field.Names {
			names = append(names, name.Name)
		}
	}
	return names
}

func readAll(t *testing.T, files []string) string {
	t.Helper()
	var all strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}
