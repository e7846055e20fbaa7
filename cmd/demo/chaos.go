package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/services/redisembed"
	"github.com/coppice-go/coppice/supervisor"
)

// A fault breaks something underneath the tree, which is not told: it has to
// notice by itself.
type fault struct {
	name  string
	label string
	do    func(*shop, context.Context) error

	// How it shows: an event of this kind, of a node whose path begins so.
	path string
	sign supervisor.EventKind
}

// faults are what can be broken, in the order of the tour.
var faults = []fault{
	{"db", "Take the database's file away for 5 s", (*shop).loseDatabase, "shop/storage/db/pool", supervisor.EventExited},
	{"redis", "Kill the Redis server", (*shop).killRedis, "shop/storage/cache/server", supervisor.EventExited},
	{"worker", "Crash the worker that takes the next order", (*shop).crashWorker, "shop/workers/", supervisor.EventExited},
	{"hang", "Hang the worker that takes the next order for 15 s", (*shop).hangWorker, "shop/workers/", supervisor.EventAbandoned},
	{"http", "Crash the HTTP server", (*shop).crashHTTP, "shop/http", supervisor.EventExited},
}

const (
	outage = 5 * time.Second  // of the database
	hang   = 15 * time.Second // of a worker: longer than it has to stop
)

// switchboard is where faults are put in.
type switchboard struct {
	listener atomic.Pointer[net.Listener] // the API's
	job      atomic.Int32                 // what the next job does instead of its work
}

const (
	jobCrashes int32 = iota + 1
	jobHangs
)

// strike is called by each job, and lets it meet what was prepared for it.
func (b *switchboard) strike() {
	switch b.job.Swap(0) {
	case jobCrashes:
		runtime.Goexit() // unlike a panic it takes the worker with it
	case jobHangs:
		time.Sleep(hang) // whatever its context says
	}
}

func (s *shop) crashWorker(context.Context) error {
	s.faults.job.Store(jobCrashes)
	return nil
}

func (s *shop) hangWorker(context.Context) error {
	s.faults.job.Store(jobHangs)
	return nil
}

// loseDatabase does what a volume does that is unmounted and comes back. What
// was committed is safe: SQLite keeps it in the log beside the file.
func (s *shop) loseDatabase(context.Context) error {
	if s.data == "" {
		return errors.New("the database is not the demo's own; stop it yourself, and the shop will do the rest")
	}
	away := s.dbFile() + ".away"
	if err := os.Rename(s.dbFile(), away); errors.Is(err, os.ErrNotExist) {
		return errors.New("it is away already")
	} else if err != nil {
		return err
	}
	time.AfterFunc(outage, func() {
		if err := os.Rename(away, s.dbFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Error().Err(err).Msg("bringing the database back")
		}
	})
	return nil
}

func (s *shop) killRedis(context.Context) error {
	embedded, ok := s.redis.(*redisembed.Redis)
	if !ok {
		return errors.New("the Redis server is not the demo's own; stop it yourself, and the shop will do the rest")
	}
	server, up := embedded.Server.Peek()
	if !up {
		return errors.New("it is down already")
	}
	server.Close()
	return nil
}

func (s *shop) crashHTTP(context.Context) error {
	l := s.faults.listener.Load()
	if l == nil {
		return errors.New("it is not up yet")
	}
	return (*l).Close()
}

// actions are the faults as buttons of the admin page.
func (s *shop) actions() []health.Action {
	var list []health.Action
	for _, f := range faults {
		list = append(list, health.Action{Name: f.name, Label: f.label, Do: func(ctx context.Context) error {
			s.log.Warn().Str("fault", f.name).Msg("breaking something, as asked")
			return f.do(s, ctx)
		}})
	}
	return list
}

// chaosCommand presses a button of a running demo's admin page.
func chaosCommand(cfg config, args []string, stdout io.Writer) error {
	switch {
	case len(args) == 0:
		listFaults(stdout)
		return nil
	case len(args) > 1:
		return usage("chaos takes one fault, not also %q", args[1])
	}
	for _, f := range faults {
		if f.name == args[0] {
			return press(cfg, f, stdout)
		}
	}
	return usage("there is no fault %q; demo chaos lists them", args[0])
}

func listFaults(w io.Writer) {
	fmt.Fprintln(w, "demo chaos <fault> breaks something in a running demo:")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range faults {
		fmt.Fprintf(table, "  %s\t%s\n", f.name, f.label)
	}
	_ = table.Flush()
	fmt.Fprintln(w, "Crash something often enough (six times in five minutes) and its supervisor\ngives up, in the end the whole program: that is for the platform to mend.")
}

func press(cfg config, f fault, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	url := "http://" + local(cfg.admin) + "/actions/" + f.name
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return usage("-admin: %v", err)
	}
	if cfg.adminToken != "" {
		req.Header.Set("Authorization", "Bearer "+cfg.adminToken)
	}
	code, text, err := ask(req)
	switch {
	case err != nil:
		return fmt.Errorf("no demo answers at %s (-admin): %w", cfg.admin, err)
	case code/100 != 2:
		return fmt.Errorf("%s: %s", f.name, text)
	}
	fmt.Fprintf(stdout, "done: %s\n", f.label)
	return nil
}
