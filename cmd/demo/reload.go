package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/supervisor"
)

// reloadOnSignal reads the settings again at each SIGHUP, until ctx is done, if
// there is a file to read. Without one SIGHUP ends the shop, as the terminal
// does that is closed.
func (p *program) reloadOnSignal(ctx context.Context, log zerolog.Logger) {
	if p.cfg.config == "" {
		return
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangups)
		for {
			select {
			case <-hangups:
				p.reload(ctx, log)
			case <-ctx.Done():
				return
			}
		}
	}()
}

// reload makes the running tree what the settings say now, and tells what that
// changes. Bad ones change nothing: the last good ones hold.
func (p *program) reload(ctx context.Context, log zerolog.Logger) {
	tree, changes, err := p.next()
	if err != nil {
		tellRefusal(err, log)
		return
	}
	for _, change := range changes {
		log.Info().Stringer("change", change).Msg("reloading")
	}
	if err := p.sup.Apply(ctx, tree); err != nil {
		log.Error().Err(err).Msg("reloaded, and not all is well")
		return
	}
	log.Info().Int("changes", len(changes)).Msg("reloaded")
}

// tellRefusal tells why nothing has changed. A tree that does not run cannot be
// changed: whoever was too early has to ask again.
func tellRefusal(err error, log zerolog.Logger) {
	if errors.Is(err, supervisor.ErrNotRunning) {
		log.Error().Msg("not reloaded: the shop does not run yet, or not any more; send SIGHUP again once it is ready")
		return
	}
	for fault := range strings.Lines(err.Error()) {
		log.Error().Msg(strings.TrimSpace(fault))
	}
	log.Error().Msg("not reloaded: the last good settings hold")
}

// next is the tree that the settings say now, and what it would change.
func (p *program) next() (tree supervisor.Spec, changes []supervisor.Change, err error) {
	set, err := readSettings(p.cfg.config)
	if err != nil {
		return tree, nil, err
	}
	tree = p.shop.tree(set)
	changes, err = p.sup.Diff(tree)
	return tree, changes, err
}
