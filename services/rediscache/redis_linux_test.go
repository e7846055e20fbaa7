package rediscache_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/coppice-go/coppice/services/internal/servers"
	"github.com/coppice-go/coppice/services/rediskv"
	"github.com/coppice-go/coppice/supervisor"
)

// The source of truth serves while the server is dead, whether that was noticed
// or not, and the server does once it is back.
func TestTheSourceServesWhileARealServerIsDead(t *testing.T) {
	server, src := servers.StartRedis(t), new(source)
	cache, tree := startWith(t, rediskv.Config{Addr: server.Addr, Password: servers.Password}, src)
	direct := redis.NewClient(&redis.Options{Addr: server.Addr, Password: servers.Password})
	defer direct.Close()
	for range 3 {
		want(t, cache, "hazel")
	}
	src.wantLoads(t, 1)
	server.Kill()
	want(t, cache, "hazel")
	tree.Await(supervisor.EventStartFailed)
	want(t, cache, "ash")
	src.wantLoads(t, 2)
	server.Start()
	tree.Await(supervisor.EventReady)
	want(t, cache, "hazel") // of before
	want(t, cache, "yew")
	want(t, cache, "yew")
	src.wantLoads(t, 1)

	if err := direct.Set(t.Context(), "wood[1]:yew", `"plastic"`, 0).Err(); err != nil {
		t.Fatal(err)
	}
	want(t, cache, "yew")
	src.wantLoads(t, 1)
	if got, err := direct.Get(t.Context(), "wood[1]:yew").Result(); !strings.Contains(got, "a yew") || err != nil {
		t.Errorf("the poisoned entry is now %q, %v", got, err)
	}
	tree.Stop()
}
