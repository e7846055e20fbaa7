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
	"slices"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/jmoiron/sqlx"

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

	// How it shows, and heals: the rungs that a node whose path begins so goes
	// through, of those that count here: it fails, or is only impaired, … None is
	// a fault that the tree does not see: the tour leaves it out.
	path  string
	rungs []supervisor.EventKind
}

// The ladder, as far as a fault climbs it.
const (
	impaired  = supervisor.EventImpaired
	remedy    = supervisor.EventRemedy
	recovered = supervisor.EventRecovered
	exited    = supervisor.EventExited
	parkedNow = supervisor.EventParked
	abandoned = supervisor.EventAbandoned
	ready     = supervisor.EventReady
)

type rungs = []supervisor.EventKind

// faults are what can be broken, in the order of the tour.
var faults = []fault{
	{"poison", "Poison the cache until it is purged", (*shop).poisonCache, "shop/storage/cache/client", rungs{impaired, remedy, recovered}},
	{"check", "Let a check of the database hang for 2.5 s", (*shop).hangCheck, "shop/storage/db", rungs{impaired, recovered}},
	{"flap", "Let the supplier's feed flap for 4 s", (*shop).flapFeed, "shop/jobs/feed", rungs{exited, parkedNow, ready}},
	{"db", "Take the database's file away for 5 s", (*shop).loseDatabase, "shop/storage/db", rungs{impaired, exited, ready}},
	{"redis", "Kill the Redis server", (*shop).killRedis, "shop/storage/cache/server", rungs{exited, ready}},
	{"panic", "Let the job of the next order panic", (*shop).panicJob, "", nil},
	{"worker", "Crash the worker that takes the next order", (*shop).crashWorker, "shop/workers/", rungs{exited, ready}},
	{"stuck", "Let the worker that takes the next order wait for nothing", (*shop).stickWorker, "shop/workers/", rungs{exited, ready}},
	{"hang", "Hang the worker that takes the next order for 15 s, deaf to all", (*shop).hangWorker, "shop/workers/", rungs{abandoned, exited, ready}},
	{"http", "Crash the HTTP server", (*shop).crashHTTP, "shop/http", rungs{exited, ready}},
}

const (
	outage    = 5 * time.Second         // of the database
	hang      = 15 * time.Second        // of a worker: longer than it has to stop
	slowCheck = 2500 * time.Millisecond // longer than it may take, and shorter than what has it restarted
	flapping  = 4 * time.Second         // of the feed
)

// switchboard is where faults are put in.
type switchboard struct {
	listener atomic.Pointer[net.Listener] // the API's
	job      atomic.Int32                 // what the next job does instead of its work
	check    atomic.Bool                  // the database's next check hangs
	flap     atomic.Int64                 // until when the feed flaps, Unix nanoseconds
}

const (
	jobPanics int32 = iota + 1
	jobCrashes
	jobSticks
	jobHangs
)

// strike is called by each job, and lets it meet what was prepared for it.
func (b *switchboard) strike(ctx context.Context) {
	switch b.job.Swap(0) {
	case jobPanics:
		panic("as asked") // the job's failure, and nobody else's: it is tried again
	case jobCrashes:
		runtime.Goexit() // unlike a panic it takes the worker with it
	case jobSticks:
		<-ctx.Done()
	case jobHangs:
		time.Sleep(hang) // whatever its context says
	}
}

func (s *shop) panicJob(context.Context) error {
	s.faults.job.Store(jobPanics)
	return nil
}

func (s *shop) crashWorker(context.Context) error {
	s.faults.job.Store(jobCrashes)
	return nil
}

func (s *shop) stickWorker(context.Context) error {
	s.faults.job.Store(jobSticks)
	return nil
}

func (s *shop) hangWorker(context.Context) error {
	s.faults.job.Store(jobHangs)
	return nil
}

func (s *shop) hangCheck(context.Context) error {
	s.faults.check.Store(true)
	return nil
}

// checkDatabase is part of the pool's probe: that the shop's tables can be read.
func (s *shop) checkDatabase(ctx context.Context, db *sqlx.DB) error {
	if s.faults.check.Swap(false) {
		time.Sleep(slowCheck) // whatever its context says
	}
	return nil
}

func (s *shop) flapFeed(context.Context) error {
	s.faults.flap.Store(time.Now().Add(flapping).UnixNano())
	return nil
}

func (b *switchboard) flaps() bool { return time.Now().UnixNano() < b.flap.Load() }

// poisonCache makes nonsense of the prices in the cache, what a bug or another
// program can do to it, again and again until somebody purges all.
func (s *shop) poisonCache(ctx context.Context) error {
	client, up := s.cache.Client.Peek()
	if !up {
		return errors.New("it is down already")
	}
	if err := client.Set(ctx, poisoner, "", poisoning).Err(); err != nil {
		return err
	}
	go func() {
		ctx := context.WithoutCancel(ctx)
		for client.Get(ctx, poisoner).Err() == nil { // it has expired or was purged, or the client was replaced
			_ = client.Set(ctx, pricesPrefix+allPrices, `[{"item":"kettle","cents":1}]`, poisoning)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return nil
}

const (
	poisoner  = ordersPrefix + "poisoner" // there as long as the poisoning goes on
	poisoning = 10 * time.Second          // at most
)

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
	server.CtxCancel() // Close does nothing before somebody has dialed it
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

// visible are the faults that the tree sees.
func visible() []fault {
	return slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.rungs == nil })
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
		return usage("chaos takes one fault, not also %s", quoted(args[1]))
	}
	for _, f := range faults {
		if f.name == args[0] {
			return press(cfg, f, stdout)
		}
	}
	return usage("there is no fault %s; demo chaos lists them", quoted(args[0]))
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
