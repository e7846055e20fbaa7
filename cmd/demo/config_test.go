package main

import (
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

func TestFlagsWinOverTheEnvironment(t *testing.T) {
	env := map[string]string{
		"COPPICE_ADDR": ":1", "COPPICE_PROBES": ":2", "COPPICE_LOAD": "7", "COPPICE_DRAIN": "5s", "COPPICE_ADMIN_TOKEN": "t",
		"COPPICE_REDIS": "", // as good as unset
	}
	c, rest, err := parse([]string{"-addr", ":3", "chaos", "-load=2", "db", "--drain", "1m"}, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	if c.addr != ":3" || c.load != 2 || c.drain != time.Minute {
		t.Errorf("flags lost against the environment: %+v", c)
	}
	if c.probes != ":2" || c.adminToken != "t" {
		t.Errorf("the environment was not read: %+v", c)
	}
	if c.admin != "127.0.0.1:8082" || c.log != "auto" || !c.embeddedDB() || !c.embeddedRedis() {
		t.Errorf("the defaults are gone: %+v", c)
	}
	if got := strings.Join(rest, " "); got != "chaos db" {
		t.Errorf("the command is %q, want flags anywhere around \"chaos db\"", got)
	}
}

func TestBadConfigurationIsToldAtOnce(t *testing.T) {
	for _, c := range []struct {
		args, env string // env is one NAME=value
		want      []string
	}{
		{args: "-nope", want: []string{"-nope"}},
		{args: "-load many", want: []string{"-load", "many"}},
		{args: "-load -1", want: []string{"-load -1"}},
		{args: "-load NaN", want: []string{"-load NaN"}},
		{env: "COPPICE_GRACE=3", want: []string{"COPPICE_GRACE", `"3"`, "-grace"}},
		{args: "-grace -3s", want: []string{"-grace -3s"}},
		{args: "-drain -3s", want: []string{"-drain -3s"}},
		{args: "-addr nowhere", want: []string{"-addr", "nowhere", "host:port"}},
		{args: "-probes 127.0.0.1:", want: []string{"-probes", "host:port"}},
		{args: "-admin :8082", want: []string{"-admin", "-admin-token", "127.0.0.1"}},
		{args: "-log xml", want: []string{"-log", "xml", "human"}},
		{args: "-db mysql", want: []string{"-db", "mysql", "postgres"}},
		{args: "-db postgres", want: []string{"-dsn"}},
		{args: "-redis redis://:hunter2@:a:b", want: []string{"-redis"}},
		{args: "-redis user:hunter2@host", want: []string{"-redis"}},
		{args: "-livez", want: []string{"healthcheck"}},
		{args: "healthcheck -livez -readyz", want: []string{"ask one"}},
		{args: "-log xml -load -1", want: []string{"-log", "\n", "-load"}},
	} {
		name, value, _ := strings.Cut(c.env, "=")
		_, _, err := parse(strings.Fields(c.args), func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		})
		var bad usageError
		if !errors.As(err, &bad) {
			t.Errorf("%s %s: got %v, want a usage error", c.env, c.args, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: %q does not hold %q", c.env, c.args, err, want)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: tells the password: %q", c.args, err)
		}
	}
}

func TestTheDSNTellsTheDriver(t *testing.T) {
	for _, c := range []struct{ db, dsn, want string }{
		{"", "", "sqlite"},
		{"", "shop.db", "sqlite"},
		{"", "postgres://app@db/shop", "postgres"},
		{"", "postgresql://app@db/shop", "postgres"},
		{"postgres", "host=db user=app", "postgres"},
		{"sqlite", "postgres://app@db/shop", "sqlite"},
	} {
		if got := (config{db: c.db, dsn: c.dsn}).driver(); got != c.want {
			t.Errorf("-db %q -dsn %q: driver %q, want %q", c.db, c.dsn, got, c.want)
		}
	}
}

func TestRedisAddresses(t *testing.T) {
	c, err := config{redis: "redis://app:s3cret@cache:6380/2"}.redisConfig()
	if err != nil {
		t.Fatal(err)
	}
	if c.Addr != "cache:6380" || c.Username != "app" || c.Password != "s3cret" || c.DB != 2 || c.TLS != nil {
		t.Errorf("a redis:// URL was read as %+v", c)
	}
	if c, err := (config{redis: "rediss://cache"}).redisConfig(); err != nil || c.TLS == nil {
		t.Errorf("a rediss:// URL was read as %+v, %v, want TLS", c, err)
	}
	if c, err := (config{redis: "cache:6379"}).redisConfig(); err != nil || c.Addr != "cache:6379" {
		t.Errorf("an address was read as %+v, %v", c, err)
	}
}

func TestClientsReachWildcardListenersLocally(t *testing.T) {
	for addr, want := range map[string]string{
		":8081": "127.0.0.1:8081", "0.0.0.0:8081": "127.0.0.1:8081", "[::]:8081": "127.0.0.1:8081",
		"10.0.0.1:8081": "10.0.0.1:8081", "localhost:8081": "localhost:8081",
	} {
		if got := local(addr); got != want {
			t.Errorf("local(%q) = %q, want %q", addr, got, want)
		}
	}
}

func TestHelpTellsEveryFlag(t *testing.T) {
	var text strings.Builder
	help(&text)
	for _, g := range groups {
		for _, name := range g.flags {
			if !strings.Contains(text.String(), "\n  -"+name) || !strings.Contains(text.String(), environment(name)) {
				t.Errorf("the help does not tell -%s and its variable", name)
			}
		}
	}
	fs, told := new(config).flags(), 0
	for _, g := range groups {
		told += len(g.flags)
	}
	count := 0
	fs.VisitAll(func(*flag.Flag) { count++ })
	if told != count {
		t.Errorf("the help's groups hold %d of %d flags", told, count)
	}
}

func TestRetryAfterIsWholeSecondsAndNeverNone(t *testing.T) {
	for d, want := range map[time.Duration]int{
		0: 1, -time.Second: 1, time.Millisecond: 1, time.Second: 1, 1001 * time.Millisecond: 2, 30 * time.Second: 30,
	} {
		if got := retryAfter(d); got != want {
			t.Errorf("retryAfter(%v) = %d, want %d", d, got, want)
		}
	}
}

func TestClipCutsBetweenCharacters(t *testing.T) {
	if got := clip("né", 2); got != "n" {
		t.Errorf(`clip("né", 2) = %q, want "n"`, got)
	}
	if got := clip("one\ntwo\nthree", 9); got != "one\ntwo\n" {
		t.Errorf("clip cut a line: %q", got)
	}
	if got := clip("short", 4096); got != "short" {
		t.Errorf("clip changed what fits: %q", got)
	}
}
