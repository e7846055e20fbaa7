package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/coppice-go/coppice/services/rediscache"
	"github.com/coppice-go/coppice/services/redisembed"
	"github.com/coppice-go/coppice/services/rediskv"
	"github.com/coppice-go/coppice/supervisor"
)

// The keys of the cache begin so, since the server may have others.
const (
	pricesPrefix = "demo:prices:"
	ordersPrefix = "demo:order:"
)

// allPrices is the key of the list of prices, the only one with its prefix.
const allPrices = "all"

// cacheServer is the node below which the cache's client stands.
type cacheServer interface {
	Spec(name string) supervisor.Spec
}

// elsewhere is a server that is not ours to run.
type elsewhere struct{}

// Spec is of a node that is ignored: it keeps the picture of the tree.
func (elsewhere) Spec(name string) supervisor.Spec {
	return supervisor.Spec{Name: name, Run: func(context.Context, func()) error { return supervisor.ErrIgnore }}
}

// newCaches makes what reads through the cache: the list of prices, and orders.
// While there is no cache they read the database.
func (s *shop) newCaches() {
	s.prices = rediscache.New(rediscache.Config[[]price]{
		Prefix: pricesPrefix, Load: s.loadPrices, Validate: plausible,
		TTL: 10 * time.Second, Timeout: cachePatience, LoadTimeout: dbPatience,
	})
	s.orders = rediscache.New(rediscache.Config[order]{
		Prefix: ordersPrefix, Load: s.loadOrder, Validate: final,
		TTL: time.Minute, Timeout: cachePatience, LoadTimeout: dbPatience,
	})
}

// newCache makes the cache's server, if it is the demo's own, and its client.
// Readers tell its probe of poisoned entries; purging those is cheaper than a
// restart, and helps where that does not.
func (s *shop) newCache(cfg config) {
	s.newCaches()
	conf, _ := cfg.redisConfig() // it was checked with the flags
	conf.ProbeInterval, conf.ProbeTimeout, conf.FailuresToRestart = probeInterval, probeTimeout, 2
	conf.Check = func(ctx context.Context, client *redis.Client) error {
		return errors.Join(s.prices.Check(ctx, client), s.orders.Check(ctx, client))
	}
	conf.Remedies = []supervisor.Remedy{{Name: "purge", Cooldown: time.Second, Do: func(ctx context.Context) error {
		return errors.Join(s.prices.Purge().Do(ctx), s.orders.Purge().Do(ctx))
	}}}
	s.redis = elsewhere{}
	if cfg.embeddedRedis() {
		server := redisembed.New(redisembed.Config{})
		s.redis, conf.Dialer = server, server.Dial
	}
	s.cache = rediskv.New(conf)
	s.prices.Use(&s.cache.Client)
	s.orders.Use(&s.cache.Client)
}

// plausible returns why a list of prices cannot be right.
func plausible(_ string, prices []price) error {
	if len(prices) == 0 {
		return errors.New("a shop without goods")
	}
	for _, p := range prices {
		if p.Cents < 100 {
			return fmt.Errorf("%s for %d cents", p.Item, p.Cents)
		}
	}
	return nil
}

// final returns why an order cannot be in the cache: only there belongs what
// will not change any more.
func final(id string, o order) error {
	if o.ID != id || o.State != fulfilled || o.Cents <= 0 {
		return fmt.Errorf("it is no fulfilled order %s", id)
	}
	return nil
}

// forgetPrices has the next reader load them anew. If that fails the old ones
// are served for a TTL at most.
func (s *shop) forgetPrices(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cachePatience)
	defer cancel()
	_ = s.prices.Forget(ctx, allPrices)
}
