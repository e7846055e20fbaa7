package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest"
)

// inREADME returns the block of README.md that begins so.
func inREADME(t *testing.T, begin string) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "```"+begin)
	block, _, ended := strings.Cut(begin+block, "```")
	if !found || !ended {
		t.Fatalf("README.md has no block that begins %q", begin)
	}
	return block
}

// TestREADMEDrawsATreeThatThereIs: a shop that starts without its database.
func TestREADMEDrawsATreeThatThereIs(t *testing.T) {
	drawn := regexp.MustCompile(`(?m) *(←.*)?$`).ReplaceAllString(inREADME(t, "\nshop "), "")
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("dial tcp 127.0.0.1:5432: connection refused")
		db := suptest.NewWorker().AlwaysStarts(suptest.Attempt{Err: refused})
		spec := supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
			{Name: "storage", Children: []supervisor.Spec{db.Spec("db"), suptest.NewWorker().Spec("cache")}},
			suptest.NewWorker().Spec("workers"), suptest.NewWorker().Spec("http"),
		}}
		sup, err := supervisor.New(spec, supervisor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- sup.Run(ctx) }()
		time.Sleep(500 * time.Millisecond)
		if tree := sup.Snapshot().String(); strings.TrimSpace(tree) != strings.TrimSpace(drawn) {
			t.Errorf("README.md draws\n%s\nand it is\n%s", drawn, tree)
		}
		cancel()
		<-ended
	})
}

// TestREADMEsProgramCompiles, with the two workers that it leaves to the reader.
func TestREADMEsProgramCompiles(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the compiler")
	}
	const frame = `package main

import (
	"context"
	"database/sql"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

func serveDB(ctx context.Context, publish func(*sql.DB)) error { return nil }
func serveHTTP(ctx context.Context, ready func()) error        { return nil }
func main()                                                    { _ = run(context.Background()) }

func run(ctx context.Context) error {
%s}
`
	program := inREADME(t, "go\nvar db")
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, fmt.Appendf(nil, frame, strings.TrimPrefix(program, "go\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
