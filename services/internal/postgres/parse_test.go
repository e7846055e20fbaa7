package postgres

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

const marker = "xyzzy42"

// FuzzParse: of a URL whose password is not escaped no part gets to where an
// error would tell it: it is taken for a password, or refused.
func FuzzParse(f *testing.F) {
	for _, around := range []string{"", "/", "#", "?", "@", "%zz", "%40", "[", "\\", ":", " ", ",", "@/", "1/", "1?host=", "@h/"} {
		f.Add(around, "")
		f.Add("", around)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		dsn := "postgres://app:" + before + marker + after + "@127.0.0.1:1/shop"
		s, _, err := Parse(dsn, time.Second, true)
		if err != nil {
			if strings.Contains(err.Error(), marker) {
				t.Errorf("%q: %v", dsn, err)
			}
			return
		}
		told := []string{s.conf.Host, s.conf.User, s.conf.Database}
		for _, fallback := range s.conf.Fallbacks {
			told = append(told, fallback.Host)
		}
		if strings.Contains(strings.Join(told, " "), marker) {
			t.Errorf("%q: host, user and database are %q", dsn, told)
		}
	})
}

func TestURLsThatAreRightAreTaken(t *testing.T) {
	for dsn, password := range map[string]string{
		"postgres://" + url.UserPassword("app", "p@ss/w?rd#").String() + "@db:5432/shop": "p@ss/w?rd#",
		"postgresql://app%40tenant:secret@db1,db2/shop":                                  "secret",
		"host=db user=app password=p@ss dbname=shop@home":                                "p@ss",
	} {
		if _, got, err := Parse(dsn, time.Second, false); err != nil || got != password {
			t.Errorf("%s: password %q (%v), want %q", dsn, got, err, password)
		}
	}
}
