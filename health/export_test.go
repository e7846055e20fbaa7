package health

import (
	"net/http"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// ServeWithTimeouts serves h with every timeout d.
func ServeWithTimeouts(addr string, h http.Handler, d time.Duration) (*Server, error) {
	l := probeLimits
	l.header, l.read, l.write, l.idle = d, d, d, d
	return serve(addr, h, l)
}

// ServeWithOne serves h with one timeout of d, and otherwise none.
func ServeWithOne(timeout string, h http.Handler, d time.Duration) (*Server, error) {
	l := limits{headerBytes: probeLimits.headerBytes, bodyBytes: probeLimits.bodyBytes}
	*map[string]*time.Duration{"header": &l.header, "read": &l.read, "write": &l.write, "idle": &l.idle}[timeout] = d
	return serve("127.0.0.1:0", h, l)
}

// LimitsOf are a server's: the timeouts for header, request, answer and idling.
func LimitsOf(s *Server) [4]time.Duration {
	return [4]time.Duration{s.http.ReadHeaderTimeout, s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout}
}

// BusyAdmin is Admin while a snapshot is taken that does not end.
func BusyAdmin(sup *supervisor.Supervisor, opts AdminOptions) http.Handler {
	a := newAdmin(sup, opts)
	a.patience = time.Millisecond
	a.looking <- struct{}{}
	return guarded(a, opts.Token)
}

// HandlersWith are the probes, without reasons and with them, of a tree that
// is as alive as alive says.
func HandlersWith(sup *supervisor.Supervisor, alive func() error) (public, admin http.Handler) {
	p, a := newProbes(sup, false), newProbes(sup, true)
	p.alive, a.alive = alive, alive
	return p, a
}

// ImpatientAdmin is Admin for clients that take events within d.
func ImpatientAdmin(sup *supervisor.Supervisor, opts AdminOptions, d time.Duration) http.Handler {
	a := newAdmin(sup, opts)
	a.takes = d
	return guarded(a, opts.Token)
}

// CrowdedAdmin is Admin with as many streams open as may be.
func CrowdedAdmin(sup *supervisor.Supervisor, opts AdminOptions) http.Handler {
	a := newAdmin(sup, opts)
	a.streams.Store(maxStreams)
	return guarded(a, opts.Token)
}
