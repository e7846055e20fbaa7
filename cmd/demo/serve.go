package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/redact"
	"github.com/coppice-go/coppice/supervisor/zlog"
)

// serve runs the shop until a signal, or until its tree gives up.
func serve(cfg config, stdout, stderr io.Writer) error {
	log := newLog(cfg.log, stderr)
	takeAll(log)
	observe := zlog.Observer(log)
	p, err := newProgram(cfg, log, func(e supervisor.Event) {
		if e.Kind != supervisor.EventHealed { // its incident is told when it is over for good
			observe(e)
		}
	})
	if err != nil {
		return err
	}
	defer p.close()
	ctx, release := untilSignal(p.shop.close, cfg.config == "")
	defer release()
	p.reloadOnSignal(ctx, log)
	told := p.tellIncidents(ctx, log)
	p.welcome(stdout, log, forPeople(cfg.log, stderr))

	err = p.run(ctx)
	headline := "the shop gave up"
	if ctx.Err() != nil {
		headline = "the shop did not stop cleanly"
	}
	release() // who tells incidents tells the last ones
	<-told
	p.goodbye(log)
	if err != nil {
		p.report(fmt.Errorf("%s: %w", headline, err), log, stderr)
		return errReported
	}
	return nil
}

// untilSignal returns a context that ends with the first SIGINT, SIGTERM or, if
// hangup says so, SIGHUP: when the terminal is closed. The second ends the
// process at once: who asks twice does not want to wait.
func untilSignal(atOnce func(), hangup bool) (ctx context.Context, release func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if hangup && !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-signals
		cancel()
		second := <-signals
		atOnce()
		os.Exit(128 + int(second.(syscall.Signal)))
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// welcome says where to look, and what to do next.
func (p *program) welcome(w io.Writer, log zerolog.Logger, people bool) {
	shop, probes, admin := "http://"+local(p.cfg.addr), "http://"+p.listeners[0].Addr(), "http://"+p.listeners[1].Addr()
	if !people {
		log.Info().Str("shop", shop).Str("probes", probes).Str("admin", admin).Msg("starting")
		return
	}
	fmt.Fprintf(w, `A shop that heals in front of you.

  admin page   %s/   <- open this one: the tree, live, and buttons to break it
  shop         %s/prices
  probes       %s/readyz

Or break it from another terminal: %s
Ctrl-C ends it in order, twice at once.

`, admin, shop, probes, p.chaosCommand())
}

// chaosCommand is what to type to break this very demo.
func (p *program) chaosCommand() string {
	if preset := new(config).flags().Lookup("admin").DefValue; p.cfg.admin != preset {
		return self() + " chaos -admin " + p.cfg.admin
	}
	return self() + " chaos"
}

// self is how this program was called.
func self() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/demo"
	}
	if filepath.Base(os.Args[0]) == os.Args[0] || filepath.IsAbs(os.Args[0]) {
		return filepath.Base(os.Args[0])
	}
	return os.Args[0]
}

// goodbye tells what became of the customers.
func (p *program) goodbye(log zerolog.Logger) {
	t, jobs := p.customers.count(), p.shop.workers.Stats()
	log.Info().Int("served", t.requests[served]).Int("refused", t.requests[refused]).Int("cut", t.requests[cut]).
		Int("hung", t.requests[hung]).Int("orders", t.orders).
		Int("fulfilled", jobs.Done).Int("handed_back", jobs.HandedBack).Msg("the shop is closed")
}

// report leaves behind why the tree ended, the incident over which it did, and
// how it looked: in the log, and where the platform looks for it.
func (p *program) report(err error, log zerolog.Logger, stderr io.Writer) {
	snap := p.sup.Snapshot()
	text, tree := redact.Secrets(err.Error()), snap.String()
	if i := fatal(p.sup.Incidents(), snap.Path); i.ID > 0 {
		tree = fmt.Sprintf("%s\n%s", tree, i.Report()) // the stack, at its end, is what may be cut
	}
	tree = redact.Secrets(tree)
	if forPeople(p.cfg.log, stderr) {
		log.Error().Msg(text)
		fmt.Fprintf(stderr, "\n%s", tree)
	} else {
		log.Error().Str("tree", tree).Msg(text)
	}
	terminationLog(p.cfg.terminationLog, text+"\n\n"+tree)
}

// terminationLog writes to the file, if it is there, as much as Kubernetes
// reads of it, to show it with the pod.
func terminationLog(file, text string) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return // not in a container
	}
	_, _ = io.WriteString(f, clip(text, 4096)) // the log has it, too
	_ = f.Close()
}

// clip returns as much of s as n bytes hold: whole lines, if there are any.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	if end := strings.LastIndexByte(s[:n], '\n'); end > 0 {
		return s[:end+1]
	}
	return strings.ToValidUTF8(s[:n], "")
}
