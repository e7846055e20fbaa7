package sqlitedsn

import (
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, dsn string) DSN {
	t.Helper()
	d, err := Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The pragmas that result are seen in sqldb's tests, from SQLite itself.
func TestDefaultsGiveWay(t *testing.T) {
	for dsn, want := range map[string]string{
		"shop.db":                   "shop.db?_busy_timeout=5000&_error_rc=1&_foreign_keys=on&_journal_mode=WAL",
		"file:shop.db?mode=ro":      "file:shop.db?_busy_timeout=5000&_error_rc=1&_foreign_keys=on&mode=ro",
		"shop.db?immutable=1":       "shop.db?_busy_timeout=5000&_error_rc=1&_foreign_keys=on&immutable=1",
		"a?_fk=0&_timeout=7":        "a?_error_rc=1&_fk=0&_journal_mode=WAL&_timeout=7",
		"a?_journal=off&_error_rc=": "a?_busy_timeout=5000&_error_rc=&_foreign_keys=on&_journal=off",
		"a?_pragma=+Journal_Mode(delete)&_pragma=busy_timeout(8)&_pragma=foreign_keys(0)": "a?_error_rc=1&_pragma=+Journal_Mode%28delete%29&_pragma=busy_timeout%288%29&_pragma=foreign_keys%280%29",
	} {
		if got := parse(t, dsn).String(); got != want {
			t.Errorf("%s became %s, want %s", dsn, got, want)
		}
	}
}

func TestABusyTimeoutOverridesInAllWaysAndLeavesTheOriginal(t *testing.T) {
	for _, dsn := range []string{"a", "a?_busy_timeout=1", "a?_timeout=1", "a?_pragma=busy_timeout(1)", "a?_pragma=BUSY_TIMEOUT(1)&_fk=on"} {
		d := parse(t, dsn)
		before := d.String()
		got := strings.ToLower(d.WithBusyTimeout(1500 * time.Millisecond).String())
		if strings.Count(got, "timeout") != 1 || !strings.Contains(got, "_busy_timeout=1500") {
			t.Errorf("%s became %s", dsn, got)
		}
		if after := d.String(); after != before {
			t.Errorf("%s was changed to %s", before, after)
		}
	}
	if got := parse(t, "a?_pragma=cache_size(9)&vfs=x").WithBusyTimeout(0).String(); !strings.Contains(got, "cache_size") || !strings.Contains(got, "vfs=x") {
		t.Errorf("more than the busy timeout is gone: %s", got)
	}
}

func TestInMemory(t *testing.T) {
	for dsn, want := range map[string]bool{
		":memory:": true, "file::memory:": true, "file:shop?mode=memory": true,
		"shop.db": false, "memory": false, "file:memory?mode=rw": false,
	} {
		if got := parse(t, dsn).InMemory(); got != want {
			t.Errorf("%s is in memory: %v", dsn, got)
		}
	}
}

func TestFaultsSayTheMendAndNoSecret(t *testing.T) {
	const hunter2 = "s3cret-hunter2"
	for dsn, mend := range map[string]string{
		"postgres://app:" + hunter2 + "@db/shop": `Config.Driver to "postgres"`,
		"shop.db?a=%zz" + hunter2:                "name=value",
	} {
		if _, err := Parse(dsn); err == nil || !strings.Contains(err.Error(), mend) || strings.Contains(err.Error(), hunter2) {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

// FuzzParse: no error repeats the DSN, which may be meant for another driver; what
// is completed once stays as it is, and the file is the one that was named.
func FuzzParse(f *testing.F) {
	for _, dsn := range []string{"shop.db", "file:a?mode=ro", ":memory:", "a?_pragma=x&_fk=0", "app:xyzzy42@tcp(db)/x", "postgres://app:xyzzy42@db/x", "?", "a?%zz", "a;b?c;d=1"} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		d, err := Parse(dsn)
		if err != nil {
			if strings.Contains(err.Error(), "xyzzy42") {
				t.Errorf("%q: %v", dsn, err)
			}
			return
		}
		if again := parse(t, d.String()); again.String() != d.String() || again.InMemory() != d.InMemory() {
			t.Errorf("%q became %q, and then %q", dsn, d, again)
		}
		if named, _, _ := strings.Cut(dsn, "?"); !strings.HasPrefix(d.String(), named+"?") {
			t.Errorf("%q became %q", dsn, d)
		}
		if slow := d.WithBusyTimeout(7 * time.Millisecond); !strings.Contains(slow.String(), "_busy_timeout=7") {
			t.Errorf("%q became %q", dsn, slow)
		}
	})
}
