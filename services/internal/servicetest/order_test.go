package servicetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Who has read one service finds the way in each.
func TestServicesAreToldInOneOrder(t *testing.T) {
	dirs, err := filepath.Glob("../../*")
	if err != nil {
		t.Fatal(err)
	}
	services := 0
	for _, dir := range dirs {
		names := declared(t, dir)
		spec := slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, ".Spec") })
		if spec < 0 {
			continue // no worker
		}
		services++
		service, _ := strings.CutSuffix(names[spec], ".Spec")
		wantOrder(t, filepath.Base(dir), names, service, spec)
	}
	if services < 6 {
		t.Errorf("%d services were found", services)
	}
}

// wantOrder wants Config, the type, New, Spec, access to the live value, run.
// Helpers stand wherever they help, but not between Spec and what else is
// exported.
func wantOrder(t *testing.T, pkg string, names []string, service string, spec int) {
	t.Helper()
	last := -1
	for _, name := range []string{"Config", service, "New", service + ".Spec", service + ".run"} {
		i := slices.Index(names, name)
		if i <= last {
			t.Errorf("%s: %s is declared too early, or not at all", pkg, name)
		}
		last = i
	}
	inner := "" // the first method that is not exported
	for i, name := range names {
		_, method, _ := strings.Cut(name, ".")
		switch {
		case !strings.HasPrefix(name, service+"."):
		case !ast.IsExported(method) && i > spec && inner == "":
			inner = name
		case ast.IsExported(method) && (i < spec || inner != ""):
			t.Errorf("%s: %s does not stand between Spec and %s", pkg, name, inner)
		}
	}
}

// declared returns what the package in dir declares, from file to file: types
// and functions by their names, methods with their types'.
func declared(t *testing.T, dir string) (names []string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			names = append(names, namesOf(d)...)
		}
	}
	return names
}

func namesOf(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			name = typeName(d.Recv.List[0].Type) + "." + name
		}
		return []string{name}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			if s, ok := s.(*ast.TypeSpec); ok {
				names = append(names, s.Name.Name)
			}
		}
	}
	return names
}

// typeName is the name in a receiver: T, *T or *T[J].
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
