package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// MariaDB is a server with the user app, who owns the database app, and the
// user root, who has no password.
type MariaDB struct{ *Server }

// StartMariaDB starts a new MariaDB server. The test is skipped where none is
// installed.
func StartMariaDB(t testing.TB) MariaDB {
	t.Helper()
	mariadbd, install := program(t, "mariadbd", "/usr/sbin"), program(t, "mariadb-install-db")
	m := MariaDB{newServer(t, unprivileged())}
	m.args = []string{
		mariadbd, "--no-defaults", "--datadir", filepath.Join(m.dir, "data"), "--init-file", m.init(install),
		"--port", m.Port, "--bind-address", "127.0.0.1", "--socket", filepath.Join(m.dir, "socket"),
		"--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M", "--skip-name-resolve",
		"--tmpdir", m.dir, // when it starts it deletes what looks like its own there
		"--innodb-flush-method=nosync", // kills here are of processes, not of machines
	}
	m.answers = m.ping
	m.Start()
	return m
}

// DSN is how the user app reaches the server, with the password.
func (m MariaDB) DSN() string { return fmt.Sprintf("app:%s@tcp(%s)/app", Password, m.Addr) }

// AdminDSN is how the user root does: also with too many clients, for the
// server keeps one connection for such users.
func (m MariaDB) AdminDSN() string { return fmt.Sprintf("root@tcp(%s)/", m.Addr) }

// init makes the server's data, and returns the file that it is to read when
// it starts.
func (m MariaDB) init(install string) string {
	m.t.Helper()
	cmd := exec.Command(install, "--no-defaults", "--datadir="+filepath.Join(m.dir, "data"), "--skip-test-db",
		"--auth-root-authentication-method=normal", "--innodb-log-file-size=4M", "--tmpdir="+m.dir)
	cmd.Dir, cmd.SysProcAttr = m.dir, m.attr
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("mariadb-install-db: %v\n%s", err, out)
	}
	file := filepath.Join(m.dir, "init.sql")
	statements := fmt.Sprintf(`CREATE DATABASE IF NOT EXISTS app;
CREATE USER IF NOT EXISTS app@'%%' IDENTIFIED BY '%s';
GRANT ALL ON app.* TO app@'%%';
`, Password)
	if err := os.WriteFile(file, []byte(statements), 0o644); err != nil { // nobody must read it
		m.t.Fatal(err)
	}
	return file
}

// ping logs in. What goes wrong is its error, and not for the driver to log.
func (m MariaDB) ping(ctx context.Context) error {
	conf, err := mysql.ParseDSN(m.DSN())
	if err != nil {
		return err
	}
	conf.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(conf)
	if err != nil {
		return err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}
