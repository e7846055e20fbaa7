// Package rediskv runs a client of a Redis server as a supervised worker.
//
//	rd := rediskv.New(rediskv.Config{Addr: "cache:6379", Password: os.Getenv("REDIS_PASSWORD")})
//	tree := supervisor.Spec{Name: "shop", Children: []supervisor.Spec{rd.Spec("cache"), …}}
//	…
//	err := rd.Client.Do(ctx, func(ctx context.Context, c *redis.Client) error { … })
//
// Each incarnation has a client of its own. It is ready when the server has
// answered a PING, and goes on asking: with the first PING that fails it is
// impaired, after Config.FailuresToRestart of them it fails, and the next
// incarnation connects anew. Failures to connect or to answer wrap
// supervisor.ErrUnavailable, and none tells the password. All connections of
// an incarnation end with it.
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
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/coppice-go/coppice/services/internal/fault"
	"github.com/coppice-go/coppice/services/internal/probe"
	"github.com/coppice-go/coppice/services/internal/secret"
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

	// TLS, if set, is how connections are encrypted.
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

	// ProbeTimeout is how long a probe may take. Zero means 1 s.
	ProbeTimeout time.Duration

	// FailuresToRestart is how many probes in a row must fail before the
	// incarnation does. Zero means 3.
	FailuresToRestart int

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

	cfg   Config
	fault error
}

// New returns a KV for cfg. It connects to nothing, and never fails: what is
// wrong with cfg is in the Spec's Fault.
func New(cfg Config) *KV {
	return &KV{cfg: cfg.withDefaults(), fault: cfg.validate()}
}

// Spec returns the worker, for the tree.
func (kv *KV) Spec(name string) supervisor.Spec {
	return supervisor.Spec{Name: name, Run: kv.Client.Run(kv.run), Fault: kv.fault}
}

func (kv *KV) run(ctx context.Context, ready func(*redis.Client)) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	client := redis.NewClient(kv.options(life))
	defer client.Close()
	probed := redis.NewClient(kv.probeOptions(life))
	defer probed.Close()

	ping := func(ctx context.Context) error { return secret.Hide(probed.Ping(ctx).Err(), kv.cfg.Password) }
	err := kv.connect(ctx, ping)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("connect: %w: %w", supervisor.ErrUnavailable, err)
	}
	ready(client)
	return probe.Loop{
		Check:    ping,
		Interval: kv.cfg.ProbeInterval,
		Timeout:  kv.cfg.ProbeTimeout,
		Failures: kv.cfg.FailuresToRestart,
	}.Run(ctx)
}

func (kv *KV) connect(ctx context.Context, ping func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, kv.cfg.ConnectTimeout)
	defer cancel()
	return ping(ctx)
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
	o.PoolSize, o.PipelinePoolSize = kv.cfg.FailuresToRestart+1, -1
	o.MaxRetries, o.DialerRetries = -1, 1
	return o
}
