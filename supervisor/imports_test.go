package supervisor_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/coppice-go/coppice"

// TestImportArrows keeps the shape of the project: who may import whom, and
// why.
func TestImportArrows(t *testing.T) {
	onceIsEnough(t)
	rules := []struct {
		in     string   // packages below this folder…
		not    []string // …and not below these
		may    []string // import these prefixes besides std
		reason string
	}{
		{"supervisor", []string{"supervisor/zlog", "supervisor/suptest"}, []string{"github.com/thejerf/suture/v4"},
			"the runtime links suture and std only, so that who imports it links nothing else"},
		{"supervisor/zlog", nil, []string{module + "/supervisor", "github.com/rs/zerolog"},
			"a logger is an adapter: who does not use zerolog does not link it"},
		{"supervisor/suptest", nil, []string{module + "/supervisor"},
			"the test kit is for users' tests too, and must bring nothing along"},
		{"health", nil, []string{module + "/supervisor"},
			"health shows the tree as it is; it knows no service"},
		{"services/sqldb", nil, []string{module + "/supervisor", module + "/services/internal", "github.com/jmoiron/sqlx", "modernc.org/sqlite"},
			"services never meet: each knows the runtime and its own client library"},
		{"services/rediskv", nil, []string{module + "/supervisor", module + "/services/internal", "github.com/redis/go-redis/v9"},
			"services never meet: each knows the runtime and its own client library"},
		{"services/rediscache", nil, []string{module + "/supervisor", module + "/services/internal", "github.com/redis/go-redis/v9", "golang.org/x/sync"},
			"it is handed a client, of whichever service; x/sync for one load at a time"},
		{"services/redisembed", nil, []string{module + "/supervisor", module + "/services/internal", "github.com/alicebob/miniredis/v2"},
			"services never meet: each knows the runtime and its own client library"},
		{"services/workerpool", nil, []string{module + "/supervisor", module + "/services/internal"}, "it needs no library"},
		{"services/httpserver", nil, []string{module + "/supervisor", module + "/services/internal"}, "net/http is enough"},
		{"services/periodic", nil, []string{module + "/supervisor", module + "/services/internal"}, "it needs no library"},
		{"services/internal", nil, []string{module + "/supervisor", module + "/services/internal", "go.uber.org/goleak", "github.com/jackc/pgx/v5", "github.com/go-sql-driver/mysql", "modernc.org/sqlite"},
			"what services share, and their tests, knows none of them"},
	}
	root := ".."
	covered := map[string]bool{}
	for _, rule := range rules {
		for file, imports := range importsBelow(t, root, rule.in, rule.not) {
			covered[filepath.Dir(file)] = true
			for _, path := range imports {
				std := !strings.Contains(strings.Split(path, "/")[0], ".")
				if !std && !slices.ContainsFunc(rule.may, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") }) {
					t.Errorf("%s imports %s: %s", file, path, rule.reason)
				}
			}
		}
	}
	services, err := os.ReadDir(filepath.Join(root, "services"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range services {
		if dir.Name() != "internal" && !covered[filepath.Join("services", dir.Name())] {
			t.Errorf("services/%s has no rule here; say what it may import, and why", dir.Name())
		}
	}
}

// TestSutureIsImportedByOneFile: the engine is an implementation, and appears
// in no exported name.
func TestSutureIsImportedByOneFile(t *testing.T) {
	onceIsEnough(t)
	var files []string
	for file, imports := range importsBelow(t, "..", ".", nil) {
		if slices.Contains(imports, "github.com/thejerf/suture/v4") {
			files = append(files, file)
		}
	}
	if len(files) != 1 || files[0] != filepath.Join("supervisor", "engine.go") {
		t.Errorf("suture is imported by %v, want supervisor/engine.go alone", files)
	}
}

// TestTestKitsAreForTests: what makes networks fail, and imports testing, is
// linked into no program.
func TestTestKitsAreForTests(t *testing.T) {
	onceIsEnough(t)
	kits := []string{"services/internal/servicetest", "services/internal/servers"}
	for file, imports := range importsBelow(t, "..", ".", kits) {
		for _, path := range imports {
			if strings.HasPrefix(path, module+"/supervisor/suptest") || slices.Contains(kits, strings.TrimPrefix(path, module+"/")) {
				t.Errorf("%s imports %s, which is for tests", file, path)
			}
		}
	}
}

// importsBelow returns the imports of the product's files below dir. A module
// of its own is no part of the product.
func importsBelow(t *testing.T, root, dir string, not []string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		nested := rel != "." && isModule(path)
		if d.IsDir() && (nested || slices.Contains(not, filepath.ToSlash(rel)) || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		found[rel] = nil
		for _, spec := range f.Imports {
			found[rel] = append(found[rel], strings.Trim(spec.Path.Value, `"`))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
