package main

import (
	"context"
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
		for fault := range strings.Lines(err.Error()) {
			log.Error().Msg(strings.TrimSpace(fault))
		}
		log.Error().Msg("not reloaded: the last good settings hold")
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
