// Package rediscache reads values through a Redis server, with the source of
// truth behind it (cache-aside). A cache that is down, slow or wrong makes
// reading slower, and nothing else.
//
//	prices := rediscache.New(rediscache.Config[Price]{Prefix: "price:", Load: priceFromDB, Validate: plausible})
//	rd := rediskv.New(rediskv.Config{Check: prices.Check, Remedies: []supervisor.Remedy{prices.Purge()}})
//	prices.Use(&rd.Client)
//	…
//	price, err := prices.Get(ctx, "hazel")
//
// A poisoned entry, one that cannot be decoded or that Validate refuses, is
// loaded and written anew by who finds it. While such are found, Check fails;
// with rediskv's third failure in a row Purge deletes all that the cache holds.
package rediscache

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"github.com/coppice-go/coppice/services/internal/fault"
	"github.com/coppice-go/coppice/supervisor"
)

// Config describes a Cache of values that JSON can hold. Prefix and Load are
// needed; every other field has a useful zero value.
type Config[V any] struct {
	// Prefix is what the keys of its entries begin with, and no others: they
	// are what Purge deletes. "price:"
	Prefix string

	// Load gets a value from the source of truth. Those who want the same at
	// the same time wait for one call. Its context has the values of the first
	// one's, and ends after LoadTimeout. An error goes to them all, and is not
	// kept; so does a panic, and a runtime.Goexit, as an error.
	Load func(ctx context.Context, key string) (V, error)

	// LoadTimeout bounds Load. Zero means 10 s.
	LoadTimeout time.Duration

	// Validate, if set, returns why an entry cannot be right. What Load
	// returns is right, but is not kept if Validate refuses it.
	Validate func(key string, value V) error

	// TTL is how long an entry is kept, ±10 %, so that those made together do
	// not expire together. Zero means 5 min.
	TTL time.Duration

	// Timeout bounds the wait for the cache, before the source of truth is
	// asked instead, and also the writing of an entry. Zero means 100 ms.
	Timeout time.Duration
}

// A Cache reads through. Its methods may be called concurrently.
type Cache[V any] struct {
	cfg    Config[V]
	flight singleflight.Group

	mu       sync.Mutex // guards the rest
	client   *supervisor.Ref[*redis.Client]
	poisoned error // what was found last since the last Check, or Purge
}

// New returns a Cache for cfg, and panics if that is faulty. Until Use it asks
// the source of truth alone.
func New[V any](cfg Config[V]) *Cache[V] {
	faults := fault.Of("rediscache")
	faults.Check(cfg.Prefix == "", `Prefix is empty; write what its keys begin with: "price:"`)
	faults.Check(cfg.Load == nil, "Load is nil; say where values come from")
	faults.NotNegative(cfg)
	if err := faults.Err(); err != nil {
		panic(err)
	}
	cfg.LoadTimeout = cmp.Or(cfg.LoadTimeout, 10*time.Second)
	cfg.TTL = cmp.Or(cfg.TTL, 5*time.Minute)
	cfg.Timeout = cmp.Or(cfg.Timeout, 100*time.Millisecond)
	return &Cache[V]{cfg: cfg}
}

// Use makes the cache keep its entries where client is: &kv.Client.
func (c *Cache[V]) Use(client *supervisor.Ref[*redis.Client]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client = client
}

// live returns the live client; none while the cache is down.
func (c *Cache[V]) live() (*redis.Client, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		return nil, false
	}
	return c.client.Peek()
}

// Get returns the value of key. Its error is Load's, or ctx's.
func (c *Cache[V]) Get(ctx context.Context, key string) (V, error) {
	if v, ok := c.lookUp(ctx, key); ok {
		return v, nil
	}
	loading := c.flight.DoChan(key, func() (any, error) { return c.load(context.WithoutCancel(ctx), key) })
	select {
	case r := <-loading:
		v, _ := r.Val.(V) // nil, where V is an interface
		return v, r.Err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}

// lookUp returns what the cache has, if that is right.
func (c *Cache[V]) lookUp(ctx context.Context, key string) (v V, ok bool) {
	client, up := c.live()
	if !up {
		return v, false
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	entry, err := client.Get(ctx, c.cfg.Prefix+key).Bytes()
	if err != nil {
		return v, false // it has none, or is about to be found broken by its probe
	}
	if err = json.Unmarshal(entry, &v); err == nil {
		err = c.validate(key, v)
	}
	if err != nil {
		c.found(err)
	}
	return v, err == nil
}

func (c *Cache[V]) validate(key string, v V) error {
	if c.cfg.Validate == nil {
		return nil
	}
	return c.cfg.Validate(key, v)
}

var errGoexit = errors.New("rediscache: Load called runtime.Goexit")

// load gets the value, and keeps it, on a goroutine of its own: a panic there
// would end the process, for nobody is above it, and a Goexit would take with it
// who is to answer those who wait.
func (c *Cache[V]) load(ctx context.Context, key string) (v V, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.LoadTimeout)
	defer cancel()
	err = errGoexit // unless it returns or panics
	var loading sync.WaitGroup
	loading.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				err = supervisor.Recovered(r)
			}
		}()
		if v, err = c.cfg.Load(ctx, key); err == nil {
			c.keep(ctx, key, v)
		}
	})
	loading.Wait()
	return v, err
}

// keep writes an entry, if the cache takes it.
func (c *Cache[V]) keep(ctx context.Context, key string, v V) {
	client, up := c.live()
	entry, err := json.Marshal(v)
	if !up || err != nil || c.validate(key, v) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	ttl := time.Duration(float64(c.cfg.TTL) * (0.9 + 0.2*rand.Float64()))
	_ = client.Set(ctx, c.cfg.Prefix+key, entry, ttl) // its probe tells, and the value is here
}

// Forget deletes the entry of key: call it when the value has changed. A load
// that was under way may write the old value after it, for a TTL at most.
func (c *Cache[V]) Forget(ctx context.Context, key string) error {
	c.flight.Forget(key)
	client, up := c.live()
	if !up {
		return fmt.Errorf("%w: the cache is down, and may still have the entry", supervisor.ErrUnavailable)
	}
	return client.Unlink(ctx, c.cfg.Prefix+key).Err()
}

// found keeps that an entry was found poisoned.
func (c *Cache[V]) found(poisoned error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.poisoned = fmt.Errorf("an entry of %s is poisoned: %w", c.cfg.Prefix, poisoned)
}

// Check is for rediskv.Config: it fails if poisoned entries were found since it
// was called last.
func (c *Cache[V]) Check(context.Context, *redis.Client) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	poisoned := c.poisoned
	c.poisoned = nil
	return poisoned
}

// Purge is for rediskv.Config: it deletes every entry of the cache.
func (c *Cache[V]) Purge() supervisor.Remedy {
	return supervisor.Remedy{Name: "purge " + strings.TrimSuffix(c.cfg.Prefix, ":"), Do: c.purge}
}

func (c *Cache[V]) purge(ctx context.Context) error {
	client, up := c.live()
	if !up {
		return nil // it is being replaced
	}
	glob := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(c.cfg.Prefix) + "*"
	for cursor := uint64(0); ; {
		keys, next, err := client.Scan(ctx, cursor, glob, 1000).Result()
		if err == nil && len(keys) > 0 {
			err = client.Unlink(ctx, keys...).Err()
		}
		if err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			_ = c.Check(ctx, client) // what was found is gone
			return nil
		}
	}
}
