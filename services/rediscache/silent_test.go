package rediscache_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/redis/go-redis/v9"

	"github.com/coppice-go/coppice/services/rediscache"
	"github.com/coppice-go/coppice/supervisor"
)

// silent makes cache use a server that takes everything and answers nothing.
func silent(t *testing.T, cache *rediscache.Cache[string]) {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go io.Copy(io.Discard, there)
			return here, nil
		},
	})
	var ref supervisor.Ref[*redis.Client]
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = ref.Run(func(ctx context.Context, ready func(*redis.Client)) error {
			ready(client)
			<-ctx.Done()
			return client.Close()
		})(ctx, func() {})
	}()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	cache.Use(&ref)
}
