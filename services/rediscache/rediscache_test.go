package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/coppice-go/coppice/services/internal/servicetest"
	"github.com/coppice-go/coppice/services/rediscache"
	"github.com/coppice-go/coppice/services/rediskv"
	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/suptest/faultproxy"
)

// source is a source of truth that counts who asks.
type source struct{ loads atomic.Int64 }

func (s *source) load(_ context.Context, key string) (string, error) {
	s.loads.Add(1)
	if key == "plastic" {
		return "", errors.New("no wood")
	}
	return "a " + key, nil
}

func (s *source) wantLoads(t *testing.T, want int64) {
	t.Helper()
	if got := s.loads.Swap(0); got != want {
		t.Errorf("the source was asked %d times, want %d", got, want)
	}
}

func onlyWood(_, v string) error {
	if !strings.HasPrefix(v, "a ") {
		return errors.New("no wood: " + v)
	}
	return nil
}

// start runs a cache at addr in a tree. Its probe is quick.
func start(t *testing.T, addr string, src *source) (*rediscache.Cache[string], *servicetest.Tree) {
	t.Helper()
	return startWith(t, rediskv.Config{Addr: addr}, src)
}

func startWith(t *testing.T, cfg rediskv.Config, src *source) (*rediscache.Cache[string], *servicetest.Tree) {
	t.Helper()
	cache := rediscache.New(rediscache.Config[string]{Prefix: "wood[1]:", Load: src.load, Validate: onlyWood, Timeout: time.Second})
	cfg.Check, cfg.Remedies = cache.Check, []supervisor.Remedy{cache.Purge()}
	cfg.ProbeInterval, cfg.FailuresToRestart = 10*time.Millisecond, 2
	kv := rediskv.New(cfg)
	cache.Use(&kv.Client)
	tree := servicetest.Start(t, kv.Spec("cache"))
	tree.Await(supervisor.EventReady)
	return cache, tree
}

func want(t *testing.T, cache *rediscache.Cache[string], key string) {
	t.Helper()
	if got, err := cache.Get(t.Context(), key); got != "a "+key || err != nil {
		t.Errorf("%s is %q, %v", key, got, err)
	}
}

func TestAValueIsLoadedOnceAndKeptForAJitteredWhile(t *testing.T) {
	m, src := miniredis.RunT(t), new(source)
	cache, tree := start(t, m.Addr(), src)
	var ttls []time.Duration
	for i := range 100 {
		key := fmt.Sprint("hazel", i)
		want(t, cache, key)
		want(t, cache, key)
		ttls = append(ttls, m.TTL("wood[1]:"+key))
	}
	src.wantLoads(t, 100)
	least, most := slices.Min(ttls), slices.Max(ttls)
	if least < 270*time.Second || most > 330*time.Second {
		t.Errorf("they are kept for %v to %v, want 5m ±10 %%", least, most)
	}
	if most-least < 40*time.Second { // of 60; by chance once in 10^15 runs
		t.Errorf("all expire within %v", most-least)
	}
	m.FastForward(time.Hour)
	want(t, cache, "hazel1")
	src.wantLoads(t, 1)
	tree.Stop()
}

func TestForgetMakesTheNextReadLoad(t *testing.T) {
	m, src := miniredis.RunT(t), new(source)
	cache, tree := start(t, m.Addr(), src)
	want(t, cache, "hazel")
	if err := cache.Forget(t.Context(), "hazel"); err != nil {
		t.Error(err)
	}
	want(t, cache, "hazel")
	src.wantLoads(t, 2)
	tree.Stop()
	if err := cache.Forget(t.Context(), "hazel"); !errors.Is(err, supervisor.ErrUnavailable) {
		t.Errorf("Forget without a cache returned %v: the entry may still be there", err)
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	src := new(source)
	cache, tree := start(t, miniredis.RunT(t).Addr(), src)
	for range 2 {
		if _, err := cache.Get(t.Context(), "plastic"); err == nil || err.Error() != "no wood" {
			t.Errorf("Get returned %v", err)
		}
	}
	src.wantLoads(t, 2)
	tree.Stop()
}

func TestWithoutACacheTheSourceServes(t *testing.T) {
	proxy, src := faultproxy.Listen(t, miniredis.RunT(t).Addr()), new(source)
	cache, tree := start(t, proxy.Addr, src)
	want(t, cache, "hazel")
	proxy.Refuse()
	want(t, cache, "hazel") // noticed by the probe or not
	tree.Await(supervisor.EventStartFailed)
	want(t, cache, "hazel")
	src.wantLoads(t, 3)
	proxy.Pass()
	tree.Await(supervisor.EventReady)
	want(t, cache, "hazel")
	src.wantLoads(t, 0)
	tree.Stop()
}

// A cache that hangs costs Timeout, and no more.
func TestASilentCacheIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := new(source)
		cache := rediscache.New(rediscache.Config[string]{Prefix: "wood:", Load: src.load})
		silent(t, cache)
		begin := time.Now()
		want(t, cache, "hazel")
		if took := time.Since(begin); took > 200*time.Millisecond {
			t.Errorf("it took %v, want one Timeout to read and one to write", took)
		}
	})
}

// S33: who meets a poisoned entry gets the truth; while they keep coming up,
// they are purged, and nothing else is, nor is anything restarted.
func TestPoisonedEntriesAreNotServedAndThenPurged(t *testing.T) {
	m, src := miniredis.RunT(t), new(source)
	cache, tree := start(t, m.Addr(), src)
	m.Set("wood[1]:hazel", `"plastic"`)
	want(t, cache, "hazel")
	want(t, cache, "hazel")
	src.wantLoads(t, 1)
	tree.Await(supervisor.EventImpaired)
	tree.Await(supervisor.EventRecovered)

	m.Set("wood1:other", "not the cache's")
	for i := range 3000 {
		m.Set(fmt.Sprint("wood[1]:", i), "no JSON")
	}
	done := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				want(t, cache, fmt.Sprint(i%3000))
			}
		}
	})
	for e := tree.Await(supervisor.EventRemedy); e.Err != nil; e = tree.Await(supervisor.EventRemedy) {
		t.Errorf("the purge: %v", e)
	}
	close(done)
	reading.Wait()
	tree.Await(supervisor.EventRecovered)
	for _, key := range m.Keys() {
		if v, _ := m.Get(key); v == "no JSON" {
			t.Fatalf("%s is still there", key)
		}
	}
	if !m.Exists("wood1:other") {
		t.Error("what is not the cache's was purged")
	}
	tree.Stop()
	if tree.Seen(supervisor.EventExited) {
		t.Error("it was restarted")
	}
}

// The truth is returned as it is, but not kept if it would be refused.
func TestATruthThatIsRefusedIsNotKept(t *testing.T) {
	m := miniredis.RunT(t)
	cache := rediscache.New(rediscache.Config[string]{
		Prefix: "wood:", Validate: onlyWood,
		Load: func(context.Context, string) (string, error) { return "plastic", nil },
	})
	kv := rediskv.New(rediskv.Config{Addr: m.Addr()})
	cache.Use(&kv.Client)
	tree := servicetest.Start(t, kv.Spec("cache"))
	tree.Await(supervisor.EventReady)
	if got, err := cache.Get(t.Context(), "hazel"); got != "plastic" || err != nil {
		t.Errorf("Get returned %q, %v", got, err)
	}
	if keys := m.Keys(); len(keys) != 0 {
		t.Errorf("kept: %v", keys)
	}
	tree.Stop()
}

func TestThoseWhoWantTheSameWaitForOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, open := new(source), make(chan struct{})
		cache := rediscache.New(rediscache.Config[string]{Prefix: "wood:", Load: func(ctx context.Context, key string) (string, error) {
			<-open
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			return src.load(ctx, key)
		}})
		hasty, giveUp := context.WithCancel(t.Context())
		gaveUp := make(chan error)
		go func() {
			_, err := cache.Get(hasty, "hazel")
			gaveUp <- err
		}()
		synctest.Wait()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { want(t, cache, "hazel") })
		}
		synctest.Wait()
		giveUp()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("the first, who gave up, got %v", err)
		}
		close(open)
		all.Wait()
		src.wantLoads(t, 1)
	})
}

func TestALoadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := rediscache.New(rediscache.Config[string]{Prefix: "wood:", Load: func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}})
		begin := time.Now()
		if _, err := cache.Get(t.Context(), "hazel"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 10*time.Second {
			t.Errorf("it ended with %v after %v", err, time.Since(begin))
		}
	})
}

func TestAPanicOfLoadIsAnError(t *testing.T) {
	cache := rediscache.New(rediscache.Config[string]{Prefix: "wood:", Load: func(context.Context, string) (string, error) { panic("no wood") }})
	_, err := cache.Get(t.Context(), "hazel")
	if p, is := errors.AsType[*supervisor.PanicError](err); !is || p.Value != "no wood" || !strings.Contains(fmt.Sprint(p.Stack()), "TestAPanicOfLoad") {
		t.Errorf("it ended with %v", err)
	}
}

// Nobody would answer those who wait, with or without a deadline.
func TestAGoexitOfLoadIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := rediscache.New(rediscache.Config[string]{Prefix: "wood:", Load: func(context.Context, string) (string, error) {
			time.Sleep(time.Second)
			runtime.Goexit()
			return "a hazel", nil
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for range 2 {
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					if got, err := cache.Get(ctx, "hazel"); got != "" || err == nil || !strings.Contains(err.Error(), "runtime.Goexit") {
						t.Errorf("Get returned %q, %v", got, err)
					}
				})
			}
			all.Wait()
		}
	})
}

func TestFaultsPanicAllAtOnce(t *testing.T) {
	defer func() {
		err, _ := recover().(error)
		for _, field := range []string{"Prefix", "Load", "TTL", "Timeout", "LoadTimeout"} {
			if err == nil || !strings.Contains(err.Error(), "Config."+field) {
				t.Errorf("the fault does not name %s: %v", field, err)
			}
		}
	}()
	rediscache.New(rediscache.Config[string]{TTL: -1, Timeout: -1, LoadTimeout: -1})
}
