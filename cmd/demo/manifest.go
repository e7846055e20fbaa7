package main

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/supervisor"
)

// closing bounds what comes after the tree: the last events are told, and the
// listeners of the platform and of the operator send the answers under way.
const closing = time.Second

// manifest prints what a manifest of this shop must say, as YAML: deploy/ has
// such a manifest, and a test compares the two.
func manifest(cfg config, stdout io.Writer) error {
	spec, err := specOf(cfg)
	if err != nil {
		return usageError{err}
	}
	stop, worst := spec.StopBudget()
	fmt.Fprintf(stdout, `# What the shop asks of its platform, with these flags, environment and -config, in seconds.
drain: %d # -drain: /readyz says no, and the shop still serves
stop: %d # the tree, child by child; %s takes longest
closing: %d # the listeners, after the tree
grace: %d # at least, from SIGTERM to SIGKILL: the sum; tell the shop by -grace
# terminationGracePeriodSeconds is grace and what the preStop hook takes.
# TimeoutStopSec, or docker stop --time, is grace alone.
`, seconds(cfg.drain), seconds(stop), worst, seconds(closing), seconds(cfg.drain+stop+closing))
	return nil
}

// specOf returns the tree that a shop with this configuration would run, and
// leaves nothing behind.
func specOf(cfg config) (supervisor.Spec, error) {
	set, err := readSettings(cfg.config)
	if err != nil {
		return supervisor.Spec{}, err
	}
	s, err := newShop(cfg, zerolog.Nop())
	defer s.close()
	if err != nil {
		return supervisor.Spec{}, err
	}
	return s.tree(set), nil
}

// seconds rounds up: platforms count in whole ones.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
