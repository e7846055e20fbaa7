package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgreSQL is a server with the role app, who owns the database postgres.
type PostgreSQL struct{ *Server }

// StartPostgreSQL starts a new PostgreSQL server. The test is skipped where
// none is installed.
func StartPostgreSQL(t testing.TB) PostgreSQL {
	t.Helper()
	const debian = "/usr/lib/postgresql/*/bin"
	postgres, initdb := program(t, "postgres", debian), program(t, "initdb", debian)
	p := PostgreSQL{newServer(t, unprivileged())}
	data := filepath.Join(p.dir, "data")
	p.init(initdb, data)
	p.args = []string{
		postgres, "-D", data, "-p", p.Port, "-h", "127.0.0.1", "-k", p.dir,
		"-F", // no fsync: kills here are of processes, not of machines
	}
	p.answers = func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, p.DSN())
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	p.Start()
	return p
}

// DSN is the URL of the server, with the password.
func (p PostgreSQL) DSN() string {
	return fmt.Sprintf("postgres://app:%s@%s/postgres?sslmode=disable", Password, p.Addr)
}

func (p PostgreSQL) init(initdb, data string) {
	p.t.Helper()
	password := filepath.Join(p.dir, "password")
	if err := os.WriteFile(password, []byte(Password), 0o644); err != nil { // nobody must read it
		p.t.Fatal(err)
	}
	cmd := exec.Command(initdb, "-D", data, "-U", "app", "-A", "scram-sha-256", "--pwfile", password, "--no-sync", "-E", "UTF8", "--locale", "C")
	cmd.Dir, cmd.SysProcAttr = p.dir, p.attr
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("initdb: %v\n%s", err, out)
	}
}
