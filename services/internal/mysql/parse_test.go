package mysql

import (
	"strings"
	"testing"
	"time"
)

// FuzzParse: whatever stands around a password, no part of it gets to where an
// error would tell it, and what is taken can be opened.
func FuzzParse(f *testing.F) {
	const marker = "xyzzy42"
	for _, around := range []string{"", "/", "#", "?", "@", "%zz", "%40", "[", "\\", ":", " ", "@/", "@tcp(", ")/", "@h/"} {
		f.Add(around, "")
		f.Add("", around)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		dsn := "app:" + before + marker + after + "@tcp(127.0.0.1:1)/shop"
		s, _, err := Parse(dsn, time.Second, true)
		if err != nil {
			if strings.Contains(err.Error(), marker) {
				t.Errorf("%q: %v", dsn, err)
			}
			return
		}
		if told := s.conf.Addr + s.conf.User + s.conf.DBName; strings.Contains(told, marker) {
			t.Errorf("%q: address, user and database are %q", dsn, told)
		}
		_ = s.Open(t.Context()).Close()
	})
}
