// Package secret keeps secrets out of errors.
package secret

import (
	"errors"
	"strings"
)

// Hide returns err, or, if its text holds secret, an error with the same text
// in which that is masked. It wraps nothing: what it could be unwrapped to
// would tell the secret after all. An empty secret is none.
func Hide(err error, secret string) error {
	if err == nil || secret == "" || !strings.Contains(err.Error(), secret) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), secret, "xxxxx"))
}
