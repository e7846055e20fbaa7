// Package secret keeps secrets out of errors.
package secret

import (
	"errors"
	"strings"

	"github.com/coppice-go/coppice/supervisor"
)

// Hide returns err, or, if its text holds secret, an error with the same text
// in which that is masked. It wraps nothing, as what it could be unwrapped to
// would tell the secret after all, but supervisor.ErrUnavailable if err did. An
// empty secret is none.
func Hide(err error, secret string) error {
	if err == nil || secret == "" || !strings.Contains(err.Error(), secret) {
		return err
	}
	text := strings.ReplaceAll(err.Error(), secret, "xxxxx")
	return masked{text, errors.Is(err, supervisor.ErrUnavailable)}
}

type masked struct {
	text        string
	unavailable bool
}

func (m masked) Error() string { return m.text }

func (m masked) Is(target error) bool { return m.unavailable && target == supervisor.ErrUnavailable }
