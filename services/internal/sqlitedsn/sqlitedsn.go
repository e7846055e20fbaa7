// Package sqlitedsn completes data source names of SQLite, as
// modernc.org/sqlite reads them, with what a service wants.
package sqlitedsn

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DSN says which database to open, and how.
type DSN struct {
	name   string
	params url.Values
}

// Parse reads a file name or URI and completes its parameters. Its errors say
// the mend. They do not repeat dsn: it may be meant for another driver, and
// hold a password.
func Parse(dsn string) (DSN, error) {
	name, query, _ := strings.Cut(dsn, "?")
	if isOthers(name) {
		return DSN{}, errors.New(`is of another database; set Config.Driver to "postgres" or "mysql", or give a file name`)
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return DSN{}, errors.New("has parameters that cannot be parsed; write name=value&… after '?', with %XX for special characters")
	}
	setDefaults(params)
	return DSN{name, params}, nil
}

// isOthers reports whether name looks like a server's URL, or a MySQL DSN: as
// a file it would have a password in its name.
func isOthers(name string) bool {
	url := strings.Contains(name, "://") && !strings.HasPrefix(name, "file://")
	return url || strings.Contains(name, "@tcp(") || strings.Contains(name, "@unix(")
}

// String returns what the driver is to open.
func (d DSN) String() string { return d.name + "?" + d.params.Encode() }

// InMemory reports whether the database is in memory: then each connection has
// one of its own.
func (d DSN) InMemory() bool {
	return strings.TrimPrefix(d.name, "file:") == ":memory:" || d.params.Get("mode") == "memory"
}

// WithBusyTimeout returns d with another busy timeout, whatever it said.
// SQLite waits it out even when nobody waits for the answer any more.
func (d DSN) WithBusyTimeout(timeout time.Duration) DSN {
	params := url.Values{"_busy_timeout": {strconv.FormatInt(timeout.Milliseconds(), 10)}}
	for name, values := range d.params {
		switch name {
		case "_busy_timeout", "_timeout":
		case "_pragma":
			params[name] = slices.DeleteFunc(slices.Clone(values), func(p string) bool { return isPragma(p, "busy_timeout") })
		default:
			params[name] = values
		}
	}
	return DSN{d.name, params}
}

// setDefaults adds what a service wants of SQLite, unless params say
// otherwise: readers that do not block the writer, writers that wait for each
// other, foreign keys that hold, and errors that do not say "out of memory"
// when a file is missing.
func setDefaults(params url.Values) {
	readOnly := params.Get("mode") == "ro" || params.Has("immutable")
	if !readOnly && !hasPragma(params, "journal_mode", "_journal") {
		params.Set("_journal_mode", "WAL")
	}
	if !hasPragma(params, "busy_timeout", "_timeout") {
		params.Set("_busy_timeout", "5000")
	}
	if !hasPragma(params, "foreign_keys", "_fk") {
		params.Set("_foreign_keys", "on")
	}
	if !params.Has("_error_rc") {
		params.Set("_error_rc", "1")
	}
}

// hasPragma reports whether params set a pragma, in any of the driver's ways.
func hasPragma(params url.Values, name, alias string) bool {
	return params.Has("_"+name) || params.Has(alias) ||
		slices.ContainsFunc(params["_pragma"], func(p string) bool { return isPragma(p, name) })
}

func isPragma(p, name string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(p)), name)
}
