package health

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// DefaultAdminAddr is where ServeAdmin listens unless it is told.
const DefaultAdminAddr = "127.0.0.1:8082"

// AdminOptions configure the admin side. The zero value is useful on loopback.
type AdminOptions struct {
	// Token, if set, is asked of every request, as "Authorization: Bearer
	// <token>", or, for browsers, as the password of any user (HTTP basic
	// authentication). It is compared in constant time. Without one, only
	// requests that reach a loopback address, by a loopback name, are answered.
	Token string

	// Log, if set, holds the recent events for the page and /events.
	Log *Log

	// Actions are the buttons on the page. There are none by default. Each is
	// an event (supervisor.EventOperated), or without an observer a line in
	// slog's default log, as those are that were refused to another site.
	Actions []Action

	// Operate lets people restart, stop and start nodes, on the page and by
	// POST /nodes/restart, /nodes/stop and /nodes/start with the form value
	// path. They are actions as others are. Off by default.
	Operate bool
}

// Admin returns the admin side of sup: the page at /; as JSON the tree at
// /tree, the recent events at /events, the last incidents at /incidents and one
// of them in full at /incidents/<number>; the probes with reasons, and POST
// /actions/<name>. Who accepts text/event-stream gets /events as they happen,
// with what came after Last-Event-ID first. Incidents are text for who accepts text/plain, and for curl
// and Wget, unless application/json is asked for. It can be mounted under any
// prefix that ends in "/", with http.StripPrefix. Answers tell reasons, which
// can hold addresses.
//
// Without a Token a request must have come in on a loopback address and name a
// loopback host, so that neither a listener that is open by mistake nor a web
// page whose name was rebound to 127.0.0.1 (DNS rebinding) gets at it.
//
// A nil sup, or options that ServeAdmin would return an error for, panic.
func Admin(sup *supervisor.Supervisor, opts AdminOptions) http.Handler {
	if err := opts.validate(); err != nil {
		panic(err)
	}
	return guarded(newAdmin(sup, opts), opts.Token)
}

func newAdmin(sup *supervisor.Supervisor, opts AdminOptions) *admin {
	return &admin{
		sup: sup, probes: newProbes(sup, true), log: opts.Log, actions: newActions(sup, opts.Actions),
		operable: opts.Operate, looking: make(chan struct{}, 1), patience: patience, takes: streamTakes,
	}
}

// ServeAdmin serves Admin on a listener of its own, outside of the tree, with
// timeouts and limits like those of Serve. The default for addr "" is
// DefaultAdminAddr. Anything but loopback needs a Token.
func ServeAdmin(addr string, sup *supervisor.Supervisor, opts AdminOptions) (*Server, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if addr == "" {
		addr = DefaultAdminAddr
	}
	h := Admin(sup, opts)
	listener, err := listen(addr)
	if err != nil {
		return nil, err
	}
	if opts.Token == "" && !loopback(listener.Addr()) {
		return nil, errors.Join(openWide(addr), listener.Close()) // nothing was accepted
	}
	return start(listener, h, adminLimits), nil
}

// openWide tells how to mend an address that needs a token.
func openWide(addr string) error {
	mend := "a loopback address"
	if _, port, err := net.SplitHostPort(addr); err == nil {
		mend = net.JoinHostPort("127.0.0.1", port)
	}
	return fmt.Errorf("health: the admin address %q can be reached from other hosts: set AdminOptions.Token, or use %s", addr, mend)
}

// validate returns every fault, each with its mend.
func (o AdminOptions) validate() error {
	faults := checkActions(o.Actions)
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		faults = append(faults, errors.New("health: AdminOptions.Token holds white space, or other than printable ASCII: trim it (a file's last line end?)"))
	}
	return errors.Join(faults...)
}

// admin is the handler behind the guard.
type admin struct {
	sup     *supervisor.Supervisor
	probes  *probes
	log     *Log
	actions *actions
	streams atomic.Int64

	operable bool
	looking  chan struct{} // holds one while a snapshot is taken

	patience time.Duration // for one
	takes    time.Duration // for a client to take a batch of events
}

// ServeHTTP answers who was let in.
func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if name, ok := strings.CutPrefix(path, "actions/"); ok {
		a.actions.serve(w, r, name)
		return
	}
	if name, ok := strings.CutPrefix(path, "nodes/"); ok {
		a.operate(w, r, name)
		return
	}
	if path == "events" && r.Method == http.MethodGet && accepts(r, typeStream) {
		a.stream(w, r)
		return
	}
	a.answer(r, path).write(w, r)
}

func (a *admin) answer(r *http.Request, path string) answer {
	query := r.URL.Query() // what cannot be read in it is not there
	get, ok := a.view(path, query, wantsText(r) || query.Has("text"))
	switch {
	case !ok:
		return a.probes.answer(r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return notAllowed
	}
	return get()
}

// view returns what makes the answer for a path, if it is none of the probes'.
func (a *admin) view(path string, query url.Values, text bool) (get func() answer, ok bool) {
	switch path {
	case "":
		return func() answer { return a.page(questionOf(query)) }, true
	case "fragment":
		return func() answer { return a.fragment(questionOf(query)) }, true
	case "tree":
		return a.tree, true
	case "events":
		return a.events, true
	case "incidents":
		return func() answer { return a.incidents(text) }, true
	}
	if number, ok := strings.CutPrefix(path, "incidents/"); ok {
		return func() answer { return a.incident(number, text) }, true
	}
	asset, ok := assets[path]
	return func() answer { return asset }, ok
}
