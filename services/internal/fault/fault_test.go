package fault

import (
	"errors"
	"testing"
	"time"
)

func TestEveryFaultIsNamedAtOnce(t *testing.T) {
	l := Of("svc")
	l.Check(false, "Fine is wrong")
	l.Check(true, "DSN is empty; say where the database is")
	l.Check(true, "Backoff: %w", errors.ErrUnsupported)
	l.NotNegative(struct {
		Size    int
		Timeout time.Duration
		Zero    int
		Name    string
		Run     func()
	}{Size: -1, Timeout: -time.Second})
	want := `svc: Config.DSN is empty; say where the database is
svc: Config.Backoff: unsupported operation
svc: Config.Size is negative (-1); zero means its default
svc: Config.Timeout is negative (-1s); zero means its default`
	if err := l.Err(); err == nil || err.Error() != want || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("the faults are\n%v\nwant\n%s", err, want)
	}
	if err := Of("svc").Err(); err != nil {
		t.Errorf("no fault is %v", err)
	}
}
