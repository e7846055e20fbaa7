package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/coppice-go/coppice/services/rediskv"
)

// config is what the command line and the environment say.
type config struct {
	addr, probes, admin string
	adminToken          string // secret

	db, dsn, redis string // the last two may hold a password
	load           float64

	log            string
	config         string // file with the settings
	drain, grace   time.Duration
	terminationLog string

	livez, readyz bool // of healthcheck
}

// flags returns the flags, which set the fields of c.
func (c *config) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints errors, in one line
	fs.StringVar(&c.addr, "addr", "127.0.0.1:8080", "`host:port` of the shop; ':8080' is every address of this machine")
	fs.StringVar(&c.probes, "probes", "127.0.0.1:8081", "`host:port` of /livez, /readyz and /startupz")
	fs.StringVar(&c.admin, "admin", "127.0.0.1:8082", "`host:port` of the admin page; elsewhere than on loopback it needs a token")
	fs.StringVar(&c.adminToken, "admin-token", "", "`secret` that the admin page wants; better given by the environment, which ps does not show")
	fs.StringVar(&c.db, "db", "", "`driver`, sqlite or postgres; left out, -dsn tells which")
	fs.StringVar(&c.dsn, "dsn", "", "`DSN` of the database, in which the tables demo_orders, demo_prices and demo_schema are made; left out, a SQLite file that is removed at the end")
	fs.StringVar(&c.redis, "redis", "", "`address` of a Redis server, host:port or redis://user:password@host:port/0; left out, one in this process")
	fs.Float64Var(&c.load, "load", 4, "`rate` of the built-in customers, in requests per second; 0 is none")
	fs.StringVar(&c.log, "log", "auto", "`form` of the log, human or json; auto is human on a terminal")
	fs.StringVar(&c.config, "config", "", "`file` with what may change while it runs, read again at each SIGHUP: {\"workers\": 4, \"prices\": \"2s\", \"sweep\": \"2s\", \"report\": \"10s\"}")
	fs.DurationVar(&c.drain, "drain", 0, "`time` for which /readyz says no, and the shop still serves, before it stops")
	fs.DurationVar(&c.grace, "grace", 30*time.Second, "`time` from SIGTERM to SIGKILL (terminationGracePeriodSeconds), for stopping in time; 0 is no limit")
	fs.StringVar(&c.terminationLog, "termination-log", "/dev/termination-log", "`file` that is told, if it is there, why the shop gave up (terminationMessagePath)")
	fs.BoolVar(&c.readyz, "readyz", false, "ask whether it is ready (the default)")
	fs.BoolVar(&c.livez, "livez", false, "ask whether it is alive")
	return fs
}

// errHelp says that the command line asks for help.
var errHelp = flag.ErrHelp

// parse reads the environment and then the command line, which so wins, and
// returns what is neither a flag nor a flag's value. Flags may stand anywhere.
func parse(args []string, getenv func(string) string) (c config, rest []string, err error) {
	fs := c.flags()
	if err := readEnvironment(fs, getenv); err != nil {
		return c, nil, err
	}
	for {
		if err := fs.Parse(args); err != nil {
			return c, nil, usageError{err}
		}
		if fs.NArg() == 0 {
			break
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
	return c, rest, c.validate(rest)
}

// environment returns the variable that stands for a flag, "" if none does.
func environment(name string) string {
	if name == "readyz" || name == "livez" {
		return ""
	}
	return "COPPICE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func readEnvironment(fs *flag.FlagSet, getenv func(string) string) error {
	var faults []error
	fs.VisitAll(func(f *flag.Flag) {
		name := environment(f.Name)
		if name == "" || getenv(name) == "" {
			return
		}
		if err := f.Value.Set(getenv(name)); err != nil {
			faults = append(faults, fmt.Errorf("%s: %q is no value for -%s: %w", name, getenv(name), f.Name, err))
		}
	})
	if len(faults) > 0 {
		return usageError{errors.Join(faults...)}
	}
	return nil
}

// validate returns what can be known to be wrong before anything is started,
// a line for each fault.
func (c config) validate(command []string) error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	address := func(name, addr string) {
		_, port, err := net.SplitHostPort(addr)
		check(err == nil && port != "", "-%s %q is no host:port", name, addr)
	}
	address("addr", c.addr)
	address("probes", c.probes)
	address("admin", c.admin)
	check(c.adminToken != "" || onLoopback(c.admin), "-admin %q can be reached from elsewhere: set an -admin-token, or let it be 127.0.0.1", c.admin)
	_, err := c.redisConfig()
	check(err == nil, "-redis: %v", err)
	check(slices.Contains([]string{"", "sqlite", "postgres"}, c.db), "-db %q is unknown; use sqlite or postgres", c.db)
	check(c.db != "postgres" || c.dsn != "", "-db postgres needs a -dsn, such as postgres://user:password@host/database")
	check(c.load >= 0 && c.load <= 1000, "-load %v is not within 0 and 1000", c.load)
	check(slices.Contains([]string{"auto", "human", "json"}, c.log), "-log %q is unknown; use human, json or auto", c.log)
	check(c.drain >= 0, "-drain %v is negative", c.drain)
	check(c.grace >= 0, "-grace %v is negative", c.grace)
	check(!c.livez && !c.readyz || slices.Equal(command, []string{"healthcheck"}), "-livez and -readyz go with healthcheck")
	check(!c.livez || !c.readyz, "-livez and -readyz are two questions; ask one")
	if len(faults) > 0 {
		return usageError{errors.Join(faults...)}
	}
	return nil
}

// embeddedDB and embeddedRedis report whether they run in this process.
func (c config) embeddedDB() bool    { return c.dsn == "" }
func (c config) embeddedRedis() bool { return c.redis == "" }

// driver is the database's: what -db says, or else what -dsn looks like.
func (c config) driver() string {
	switch {
	case c.db != "":
		return c.db
	case strings.HasPrefix(c.dsn, "postgres://"), strings.HasPrefix(c.dsn, "postgresql://"):
		return "postgres"
	}
	return "sqlite"
}

// redisConfig says where the Redis server is. Its errors do not repeat the
// address, which may hold a password.
func (c config) redisConfig() (rediskv.Config, error) {
	if !strings.Contains(c.redis, "://") {
		_, port, _ := net.SplitHostPort(c.redis)
		if _, err := strconv.ParseUint(port, 10, 16); c.redis != "" && (err != nil || strings.Contains(c.redis, "@")) {
			return rediskv.Config{}, errors.New("it is no host:port and no redis:// URL")
		}
		return rediskv.Config{Addr: c.redis}, nil
	}
	o, err := redis.ParseURL(c.redis)
	if misplaced(c.redis) {
		return rediskv.Config{}, errors.New("it has an @ that is not the one before the host; write %40 for one in the password")
	}
	if err != nil {
		return rediskv.Config{}, errors.New("it is no redis:// URL that can be read")
	}
	return rediskv.Config{Addr: o.Addr, Username: o.Username, Password: o.Password, DB: o.DB, TLS: o.TLSConfig}, nil
}

// misplaced reports whether a URL has an @ that is not the one before its host:
// of a password that was not escaped a part would be taken for the host, which
// errors tell.
func misplaced(url string) bool {
	_, rest, _ := strings.Cut(url, "://")
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	return strings.Count(authority, "@") > 1 || strings.Contains(rest[len(authority):], "@")
}

// onLoopback reports whether only this machine reaches addr, as far as can be
// told without listening there.
func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err != nil || host == "localhost" || ip != nil && ip.IsLoopback()
}

// local is where a client on this machine reaches a server that listens on
// addr.
func local(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
