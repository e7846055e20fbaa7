package sqlitefile

import (
	"context"
	"database/sql/driver"

	"modernc.org/sqlite"
)

// Tied returns c, but that its connections commit nothing once life has ended:
// a COMMIT, and a write in no transaction, fail with SQLITE_CONSTRAINT_COMMITHOOK
// and are rolled back. They are the connections of a database/sql pool, which
// when it is closed leaves those in use as they are.
//
// They are not closed: who uses them may be in the middle of it, and there is
// no server to wait for. Nor are they wrapped: what else modernc.org/sqlite can
// do, such as a backup, is reached by sql.Conn.Raw.
func Tied(life context.Context, c driver.Connector) driver.Connector {
	return tied{c, life.Done()}
}

type tied struct {
	driver.Connector
	ended <-chan struct{} // and not life: hooks are kept for longer than their connections
}

func (t tied) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := t.Connector.Connect(ctx)
	if err == nil {
		conn.(sqlite.HookRegisterer).RegisterCommitHook(t.refuse)
	}
	return conn, err
}

// refuse is asked before each commit, and turns it into a rollback if it does
// not return 0.
func (t tied) refuse() int32 {
	select {
	case <-t.ended:
		return 1
	default:
		return 0
	}
}
