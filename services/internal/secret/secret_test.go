package secret

import (
	"errors"
	"fmt"
	"testing"

	"github.com/coppice-go/coppice/supervisor"
)

func TestHide(t *testing.T) {
	plain := errors.New("connection refused")
	telling := fmt.Errorf("no user app with password hunter2: %w", plain)
	for _, test := range []struct {
		err          error
		secret, want string
	}{
		{plain, "", "connection refused"},
		{plain, "hunter2", "connection refused"},
		{telling, "", "no user app with password hunter2: connection refused"},
		{telling, "hunter2", "no user app with password xxxxx: connection refused"},
	} {
		if got := Hide(test.err, test.secret); got.Error() != test.want {
			t.Errorf("Hide(%v, %q) = %v, want %s", test.err, test.secret, got, test.want)
		}
	}
	if Hide(nil, "x") != nil {
		t.Error("Hide makes an error of none")
	}
	if !errors.Is(Hide(telling, "hunter3"), plain) {
		t.Error("Hide does not keep an error that tells no secret")
	}
	if errors.Is(Hide(telling, "hunter2"), plain) {
		t.Error("what tells the secret can be unwrapped")
	}
}

// S19: an outage stays one, whatever its text.
func TestHideKeepsThatItIsAnOutage(t *testing.T) {
	outage := fmt.Errorf("%w: hunter2", supervisor.ErrUnavailable)
	if !errors.Is(Hide(outage, "hunter2"), supervisor.ErrUnavailable) {
		t.Error("an outage became a failure")
	}
	if errors.Is(Hide(errors.New("hunter2"), "hunter2"), supervisor.ErrUnavailable) {
		t.Error("a failure became an outage")
	}
}
