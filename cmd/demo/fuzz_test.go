package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// FuzzArguments: whatever the command line and the environment hold, it is
// refused in words, or is what it was checked to be.
func FuzzArguments(f *testing.F) {
	f.Add("-addr\n:1\n-load\n2\nchaos\ndb", "COPPICE_DRAIN", "5s")
	f.Add("healthcheck\n-livez\n--", "COPPICE_ADMIN", "[::1]:99999")
	f.Add("-grace=-1s\n-log=xml", "COPPICE_LOAD", "NaN")
	f.Fuzz(func(t *testing.T, args, name, value string) {
		c, _, err := parse(strings.Split(args, "\n"), func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		})
		var bad usageError
		switch {
		case errors.Is(err, errHelp):
		case err != nil && (!errors.As(err, &bad) || strings.TrimSpace(err.Error()) == ""):
			t.Errorf("%q %s=%q: %T %v, want a usage error with words", args, name, value, err, err)
		case err == nil && !sound(c):
			t.Errorf("%q %s=%q were taken as %+v", args, name, value, c)
		}
	})
}

// sound says again, in other words, what validate promises.
func sound(c config) bool {
	for _, addr := range []string{c.addr, c.probes, c.admin} {
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return false
		}
	}
	return c.load >= 0 && c.load <= 1000 && c.drain >= 0 && c.grace >= 0 && (onLoopback(c.admin) || c.adminToken != "")
}

// FuzzAddressesKeepTheirSecret: of a database or a cache whose password was
// not escaped, or cannot be read, nothing is told before anything runs.
func FuzzAddressesKeepTheirSecret(f *testing.F) {
	const secret = "xyzzy42"
	for _, c := range []string{"", "@", "/", "#", "?", "%zz", "%40", "[", " ", "\\", ":", "\x00", "ü"} {
		f.Add(c, "")
		f.Add("", c)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, c := range []config{
			{redis: "redis://app:" + before + secret + after + "@127.0.0.1:1/0"},
			{redis: before + secret + after + "@127.0.0.1:1"},
			{dsn: "postgres://app:" + before + secret + after + "@127.0.0.1:1/shop"},
			{db: "postgres", dsn: "host=127.0.0.1 port=1 user=app password=" + before + secret + after},
		} {
			err := c.validate(nil)
			if spec, fault := specOf(c); fault == nil {
				err = errors.Join(err, spec.Validate())
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%+v: %v", c, err)
			}
			if redis, err := c.redisConfig(); err == nil && strings.Contains(redis.Addr+redis.Username, secret) {
				t.Errorf("%q: errors would tell address and user, %q %q", c.redis, redis.Addr, redis.Username)
			}
		}
	})
}

// FuzzOrders: the shop has no database, and says so of an order that is one, or
// what is wrong with it.
func FuzzOrders(f *testing.F) {
	f.Add(`{"item":"kettle","quantity":2}`)
	f.Add(`{"item":"kettle","quantity":1e99}`)
	f.Add(`[{"item":`)
	s, err := newShop(config{addr: "127.0.0.1:0", dsn: "none.db"}, zerolog.Nop())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.close)
	f.Fuzz(func(t *testing.T, body string) {
		w := httptest.NewRecorder()
		s.api().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/orders", strings.NewReader(body)))
		if w.Code != http.StatusBadRequest && w.Code != http.StatusServiceUnavailable || strings.TrimSpace(w.Body.String()) == "" {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
