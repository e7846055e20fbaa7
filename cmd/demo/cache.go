package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/coppice-go/coppice/services/redisembed"
	"github.com/coppice-go/coppice/services/rediskv"
	"github.com/coppice-go/coppice/supervisor"
)

// The cache's entries begin so, since the server may have others.
const cachePrefix = "demo:"

var errPoisoned = errors.New("an entry of the cache is poisoned")

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

// newCache returns the server and its client, whose probe also looks at the
// entries: poisoned ones are purged, which is cheaper than a restart, and helps
// where that does not.
func newCache(cfg config) (cacheServer, *rediskv.KV) {
	conf, _ := cfg.redisConfig() // it was checked with the flags
	conf.ProbeInterval, conf.ProbeTimeout, conf.FailuresToRestart = probeInterval, probeTimeout, 2
	conf.Check = checkCache
	var kv *rediskv.KV
	conf.Remedies = []supervisor.Remedy{{Name: "purge", Cooldown: time.Second, Do: func(ctx context.Context) error {
		return kv.Client.Do(ctx, purgeCache)
	}}}
	if !cfg.embeddedRedis() {
		kv = rediskv.New(conf)
		return elsewhere{}, kv
	}
	server := redisembed.New(redisembed.Config{})
	conf.Dialer = server.Dial
	kv = rediskv.New(conf)
	return server, kv
}

// seal and unseal keep a checksum with an entry, so that a poisoned one is
// never served.
func seal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("bug: %T is no JSON: %v", v, err))
	}
	return fmt.Appendf(nil, "%08x%s", crc32.ChecksumIEEE(text), text)
}

func unseal(entry []byte) (text []byte, err error) {
	if len(entry) < 8 || fmt.Sprintf("%08x", crc32.ChecksumIEEE(entry[8:])) != string(entry[:8]) {
		return nil, errPoisoned
	}
	return entry[8:], nil
}

// recall reads a value from the cache, and reports whether it was there. A
// cache that is down is a cache that is empty.
func (s *shop) recall(ctx context.Context, key string, v any) bool {
	client, ok := s.cache.Client.Peek()
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, cachePatience)
	defer cancel()
	entry, err := client.Get(ctx, cachePrefix+key).Bytes()
	if err == nil {
		entry, err = unseal(entry)
	}
	return err == nil && json.Unmarshal(entry, v) == nil
}

// remember writes a value to the cache, if that works.
func (s *shop) remember(ctx context.Context, key string, v any) {
	client, ok := s.cache.Client.Peek()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cachePatience)
	defer cancel()
	_ = client.Set(ctx, cachePrefix+key, seal(v), time.Minute).Err()
}

// entries returns the names of the cache's entries.
func entries(ctx context.Context, client *redis.Client) (keys []string, err error) {
	all := client.Scan(ctx, 0, cachePrefix+"*", 1000).Iterator()
	for all.Next(ctx) {
		keys = append(keys, all.Val())
	}
	return keys, all.Err()
}

// checkCache looks whether entries are as they were written.
func checkCache(ctx context.Context, client *redis.Client) error {
	keys, err := entries(ctx, client)
	if err != nil || len(keys) == 0 {
		return err
	}
	values, err := client.MGet(ctx, keys...).Result()
	for i, value := range values {
		text, there := value.(string)
		if _, poisoned := unseal([]byte(text)); there && poisoned != nil {
			return fmt.Errorf("%w: %s", poisoned, keys[i])
		}
	}
	return err
}

func purgeCache(ctx context.Context, client *redis.Client) error {
	keys, err := entries(ctx, client)
	if err != nil || len(keys) == 0 {
		return err
	}
	return client.Unlink(ctx, keys...).Err()
}
