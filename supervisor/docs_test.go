package supervisor_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestSemanticsListIsTrue: docs/semantics.md has a row for each promise, each
// row names tests that are here, and each of them says behind its signature that
// it shows that promise.
func TestSemanticsListIsTrue(t *testing.T) {
	onceIsEnough(t)
	rows, cited := promises(t), citations(t)
	if len(rows) < 40 {
		t.Fatalf("the page has %d promises; has its form changed?", len(rows))
	}
	for n := range last(rows) {
		promise := fmt.Sprint("S", n+1)
		shown, exists := rows[promise]
		switch {
		case !exists:
			t.Errorf("docs/semantics.md has no row for %s", promise)
		case len(shown) == 0 && promise != "S40": // a million children are measured, not tested
			t.Errorf("docs/semantics.md does not say what shows %s", promise)
		}
		for _, test := range shown {
			if promises, exists := cited[test]; !exists {
				t.Errorf("docs/semantics.md names %s, which does not exist", test)
			} else if !strings.HasPrefix(test, "Benchmark") && !slices.Contains(promises, promise) {
				t.Errorf("docs/semantics.md says that %s shows %s; the test says it shows %q", test, promise, promises)
			}
		}
	}
	for test, promises := range cited {
		for _, promise := range promises {
			if _, exists := rows[promise]; !exists {
				t.Errorf("%s says that it shows %s, which docs/semantics.md does not have", test, promise)
			}
		}
	}
}

// promises returns the tests that docs/semantics.md names for each promise. A
// row without a number goes on with the one before it.
func promises(t *testing.T) map[string][]string {
	t.Helper()
	row := regexp.MustCompile(`^\| (S\d+ |)\|`)
	name := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Za-z]+)`")
	rows, promise := map[string][]string{}, ""
	for line := range strings.Lines(readAll(t, []string{"../docs/semantics.md"})) {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if promise = cmp.Or(strings.TrimSpace(m[1]), promise); promise == "" {
			continue // the head of the first table
		}
		rows[promise] = append(rows[promise], names(name, line)...)
	}
	return rows
}

// last returns the highest number of a promise.
func last(rows map[string][]string) (n int) {
	for promise := range rows {
		number, _ := strconv.Atoi(promise[1:]) // digits
		n = max(n, number)
	}
	return n
}

// citations returns the promises that each test says it shows, behind its
// signature.
func citations(t *testing.T) map[string][]string {
	t.Helper()
	files, _ := filepath.Glob("*_test.go")
	cited := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(.*\) \{(?: // (S\d+.*))?$`).FindAllStringSubmatch(readAll(t, files), -1) {
		cited[m[1]] = names(regexp.MustCompile(`(S\d+)`), m[2])
	}
	return cited
}

// names returns the first group of each match.
func names(pattern *regexp.Regexp, text string) (all []string) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
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
