// Package rediskv runs a client of a Redis server as a supervised worker.
//
//	rd := rediskv.New(rediskv.Config{Addr: "cache:6379", Password: os.Getenv("REDIS_PASSWORD")})
//	tree := supervisor.Spec{Name: "shop", Children: []supervisor.Spec{rd.Spec("cache"), …}}
//	…
//	err := rd.Client.Do(ctx, func(ctx context.Context, c *redis.Client) error { … })
//
// Each incarnation has a client of its own. It is ready when the server has
// answered a PING, and is asked again from then on: with the first PING that
// fails it is impaired, after Config.FailuresToRestart of them, and when no
// remedy helps, it fails, and the next incarnation connects anew. Failures to
// connect or to answer wrap supervisor.ErrUnavailable, and none tells the
// password. All connections of an incarnation end with it. A server that can
// be read but takes no writes only impairs, and so does one that takes no new
// connections.
//
// go-redis writes what its pools meet, such as a failure to connect, to the
// standard error of the whole process. Importing this package turns that off:
// the same is in the tree's events. redis.SetLogger turns it on again.
package rediskv

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/coppice-go/coppice/services/internal/fault"
	"github.com/coppice-go/coppice/services/internal/probed"
	"github.com/coppice-go/coppice/services/internal/tied"
	"github.com/coppice-go/coppice/supervisor"
)

func init() { logging.Disable() }

// Config describes a KV. Its zero value is the Redis server of this machine.
// What is wrong is reported by supervisor.New.
type Config struct {
	// Addr is the server's "host:port", or the path of its Unix socket. Empty
	// means "127.0.0.1:6379".
	Addr string

	// Username and Password are those of an ACL user; without Username, of
	// the default user. No error tells the password. Empty means none.
	Username, Password string

	// DB is the number of the database to select. Zero is Redis's first.
	DB int

	// TLS, if set, is how connections are encrypted. Nil is without.
	TLS *tls.Config

	// PoolSize bounds the connections of the client; those who need one more
	// wait. Zero means 10 for each of runtime.GOMAXPROCS(0). The probe has one
	// of its own beside them, and pipelines up to 10.
	PoolSize int

	// DialTimeout bounds the time to make one connection. Zero means 5 s.
	DialTimeout time.Duration

	// ReadTimeout and WriteTimeout bound the wait for one answer, and for the
	// server to take one command; the deadline of the command's context does
	// so too. Zero means 3 s.
	ReadTimeout, WriteTimeout time.Duration

	// ConnectTimeout bounds the time for an incarnation to become ready. Zero
	// means 5 s.
	ConnectTimeout time.Duration

	// ProbeInterval is the time between two probes, ±10 %. Zero means 5 s.
	ProbeInterval time.Duration

	// ProbeTimeout is how long a probe may take, Check too. Zero means 1 s.
	ProbeTimeout time.Duration

	// FailuresToRestart is how many probes in a row must fail before Remedies
	// are tried and, if none has helped, the incarnation fails. Zero means 3.
	FailuresToRestart int

	// ProbeKey, if set, is a key that each probe writes, once the server has
	// answered, and that expires after a minute. A server that refuses, being a
	// replica (READONLY), full (OOM), unable to save (MISCONF) or short of
	// replicas (NOREPLICAS), impairs, and is not restarted for.
	ProbeKey string

	// Check, if set, is part of each probe, once the server has answered:
	// that its entries are not poisoned, that its replica does not lag. It gets
	// the probe's own client. A restart for its error counts against the
	// Intensity unless it wraps supervisor.ErrUnavailable.
	Check func(ctx context.Context, client *redis.Client) error

	// Remedies are what may help short of a restart, the mildest first: purge
	// what Check found poisoned.
	Remedies []supervisor.Remedy

	// Dialer, if set, makes the connections instead, from Addr: through a
	// tunnel, or to a server in this process. TLS is then the Dialer's.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
}

// validate returns every fault of c's fields, each with its mend.
func (c Config) validate() error {
	faults := fault.Of("rediskv")
	_, _, err := net.SplitHostPort(c.Addr)
	faults.Check(c.Addr != "" && err != nil && !strings.HasPrefix(c.Addr, "/"), // not repeated: a URL may hold a password
		`Addr is no "host:port"; write "127.0.0.1:6379", with Username, Password and DB in their fields`)
	faults.NotNegative(c)
	return faults.Err()
}

func (c Config) withDefaults() Config {
	c.Addr = cmp.Or(c.Addr, "127.0.0.1:6379")
	c.DialTimeout = cmp.Or(c.DialTimeout, 5*time.Second)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, 3*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 3*time.Second)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 5*time.Second)
	c.ProbeInterval = cmp.Or(c.ProbeInterval, 5*time.Second)
	c.ProbeTimeout = cmp.Or(c.ProbeTimeout, time.Second)
	c.FailuresToRestart = cmp.Or(c.FailuresToRestart, 3)
	return c
}

// KV is a key-value store in a Redis server, as a supervised worker. Make one
// with New, for one place in one tree. Its methods may be called concurrently.
type KV struct {
	// Client holds the client of the live incarnation.
	Client supervisor.Ref[*redis.Client]

	cfg    Config
	fault  error
	probed probed.Service[*redis.Client]
}

// New returns a KV for cfg. It connects to nothing, and never fails: what is
// wrong with cfg is in the Spec's Fault.
func New(cfg Config) *KV {
	kv := &KV{cfg: cfg.withDefaults(), fault: cfg.validate()}
	kv.probed.Live, kv.probed.Behind, kv.probed.Secret = &kv.Client, cfg.Check, cfg.Password
	return kv
}

// Spec returns the worker, for the tree.
func (kv *KV) Spec(name string) supervisor.Spec {
	return supervisor.Spec{
		Name: name, Run: kv.probed.Run(kv.run), Fault: kv.fault,
		Probe: kv.probed.Probe(kv.cfg.ProbeInterval, kv.cfg.ProbeTimeout, kv.cfg.FailuresToRestart, kv.cfg.Remedies),
	}
}

func (kv *KV) run(ctx context.Context, ready func(*redis.Client, probed.Check)) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	client := redis.NewClient(kv.options(life))
	defer client.Close()
	own := redis.NewClient(kv.probeOptions(life))
	defer own.Close()

	answers := probed.Newcomers(
		func(ctx context.Context) error { return kv.ask(ctx, own) },
		func(ctx context.Context) error { return kv.connectAnew(ctx, life) },
	)
	err := kv.connect(ctx, answers)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil && !probed.IsMild(err) {
		return fmt.Errorf("connect: %w", kv.probed.Outage(err))
	}
	ready(client, kv.probed.Checked(own, answers))
	<-ctx.Done()
	return nil
}

// connect makes sure that the server is there.
func (kv *KV) connect(ctx context.Context, answers probed.Check) error {
	ctx, cancel := context.WithTimeout(ctx, kv.cfg.ConnectTimeout)
	defer cancel()
	return answers(ctx)
}

// ask returns nil if the server answers, and takes writes as far as they are
// probed.
func (kv *KV) ask(ctx context.Context, own *redis.Client) error {
	err := own.Ping(ctx).Err()
	if err == nil && kv.cfg.ProbeKey != "" {
		err = own.Set(ctx, kv.cfg.ProbeKey, "", time.Minute).Err()
	}
	if refusesToWrite(err) {
		return probed.Mild(err)
	}
	return err
}

// connectAnew returns nil if the server takes a new connection: it asks for the
// password only then.
func (kv *KV) connectAnew(ctx, life context.Context) error {
	client := redis.NewClient(kv.probeOptions(life))
	defer client.Close()
	return client.Ping(ctx).Err()
}

// refusesToWrite reports whether err is of a server that can be read: a restart
// would end that, too, and make no room on its disk.
func refusesToWrite(err error) bool {
	return slices.ContainsFunc([]string{"READONLY", "OOM", "MISCONF", "NOREPLICAS"}, func(code string) bool {
		return redis.HasErrorPrefix(err, code)
	})
}

// options are those of a client whose dialing ends with life.
func (kv *KV) options(life context.Context) *redis.Options {
	o := &redis.Options{
		Addr:         kv.cfg.Addr,
		Username:     kv.cfg.Username,
		Password:     kv.cfg.Password,
		DB:           kv.cfg.DB,
		TLSConfig:    kv.cfg.TLS,
		PoolSize:     kv.cfg.PoolSize,
		DialTimeout:  kv.cfg.DialTimeout,
		ReadTimeout:  kv.cfg.ReadTimeout,
		WriteTimeout: kv.cfg.WriteTimeout,
		// A context's deadline would else not end the wait for an answer.
		ContextTimeoutEnabled: true,
		// Nothing is sent that was not asked for, and older servers refuse.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	dial := kv.cfg.Dialer
	if dial == nil {
		dial = redis.NewDialer(o)
	}
	o.Dialer = tied.Dial(life, dial) // the client closes its connections at once
	return o
}

// probeOptions are those of a client of its own, which does not wait for a
// connection of an exhausted pool, and does not try again: the probe does. It
// needs one connection; but a pool that failed to dial once for each of its
// size stops trying, and a goroutine does so each second, also after its end.
func (kv *KV) probeOptions(life context.Context) *redis.Options {
	o := kv.options(life)
	o.PoolSize, o.PipelinePoolSize = kv.cfg.FailuresToRestart+len(kv.cfg.Remedies)+1, -1
	o.MaxRetries, o.DialerRetries = -1, 1
	return o
}
