package health

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// Handler returns the probes of sup: /livez, /readyz, /startupz, /healthz and,
// for every node, /readyz/<path>. It can be mounted under any prefix with
// http.StripPrefix, and answers before Run, while it runs and after.
//
// Answers are text in the manner of kube-apiserver: "ok", or a line for each of
// at most 20 failing nodes and how many more there are, with the age of what a
// probe found. With ?verbose they list the nodes, at most 1,000. Who accepts
// application/health+json gets that (draft-inadarei-api-health-check). GET and
// HEAD are allowed.
//
// /readyz?exclude=shop/cache, repeatable, answers as if that node, and all below
// it, were up. One that cannot be excluded, since there is none or it is not
// below the node that was asked about, is told in the answer, and changes
// nothing else. What was never ready, or drains, stays so. /livez and /startupz
// rest on no node: they refuse it (400), so that nobody believes in it.
//
// A nil sup panics.
func Handler(sup *supervisor.Supervisor) http.Handler { return newProbes(sup, false) }

// probes answer what a platform asks.
type probes struct {
	sup     *supervisor.Supervisor
	root    string       // its path
	alive   func() error // sup.Alive
	reasons bool         // for the admin side
}

func newProbes(sup *supervisor.Supervisor, reasons bool) *probes {
	if sup == nil {
		panic("health: the supervisor is nil")
	}
	root, err := sup.Find("")
	if err != nil {
		panic("bug: a tree without a root: " + err.Error())
	}
	return &probes{sup: sup, root: root.Path, alive: sup.Alive, reasons: reasons}
}

// ServeHTTP answers one probe. What platforms ask all day, and hear "ok", takes
// the short way; it must say what answer would.
func (p *probes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.RawQuery == "" && p.green(r.URL.Path) && !wantsJSON(r) {
		writeOK(w)
		return
	}
	p.answer(r).write(w, r)
}

// green reports whether a probe of the tree, not of a node, says yes.
func (p *probes) green(path string) bool {
	switch path {
	case "/readyz", "/healthz":
		return p.alive() == nil && !p.sup.Draining() && p.sup.Status() != supervisor.Down
	case "/livez":
		return p.alive() == nil
	case "/startupz":
		return p.sup.Started()
	}
	return false
}

func (p *probes) answer(r *http.Request) answer {
	v := p.judge(strings.TrimPrefix(r.URL.Path, "/"))
	switch {
	case v.check == "":
		return notFound
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return notAllowed
	}
	verbose := false
	if r.URL.RawQuery != "" { // parsing it allocates
		query, err := queryOf(r)
		switch {
		case err != nil:
			return say(http.StatusBadRequest, err.Error())
		case query.Has("exclude") && !v.ready:
			return noExclude
		}
		verbose = query.Has("verbose")
		v = p.exclude(v, query["exclude"])
	}
	return p.word(v, verbose, wantsJSON(r))
}

// word puts the verdict into words. What is prepared costs nothing.
func (p *probes) word(v verdict, verbose, json bool) answer {
	plain := !verbose && len(v.warnings) == 0
	switch {
	case v.status == supervisor.Up && plain && json:
		return passJSON
	case v.status != supervisor.Down && !v.unknown && plain && !json:
		return okText
	case json:
		return p.report(v, verbose).json()
	}
	return p.report(v, verbose).text()
}

// A verdict is what a probe has found, before any node is named.
type verdict struct {
	check   string            // "readyz"; "" if there is no such probe, or node
	path    string            // of the node that was asked about
	status  supervisor.Status // Down is a no
	unknown bool              // nothing but a result that is too old says yes
	note    string            // why, in words that are safe to publish
	at      time.Time         // of the probe's result; zero is now
	below   bool              // nodes may be asked for more
	ready   bool              // it is about nodes, and some can be left out

	excluded []string // paths that are
	warnings []string // what cannot be, and why
}

// judge answers the probe at a path without its leading slash.
func (p *probes) judge(path string) verdict {
	switch path {
	case "livez":
		return p.livez()
	case "startupz":
		return p.startupz()
	case "readyz", "healthz":
		return p.readyz(path)
	}
	if node, ok := strings.CutPrefix(path, "readyz/"); ok && node != "" {
		return p.node(node)
	}
	return verdict{}
}

func (p *probes) livez() verdict {
	v := verdict{check: "livez", path: p.root, status: supervisor.Up}
	if err := p.alive(); err != nil {
		v.status, v.note = supervisor.Down, "cannot heal itself"
		if p.reasons {
			v.note += ": " + textOf(err)
		}
	}
	return v
}

func (p *probes) startupz() verdict {
	v := verdict{check: "startupz", path: p.root, status: supervisor.Up}
	if !p.sup.Started() {
		v.status, v.note, v.below = supervisor.Down, notReady, p.mayAsk()
	}
	return v
}

// What readiness lacks, besides nodes.
const (
	notReady   = "not ready yet"
	draining   = "draining"
	notRunning = "not running"
)

func (p *probes) readyz(check string) verdict {
	v := verdict{check: check, path: p.root, status: supervisor.Down, below: p.mayAsk(), ready: true}
	switch {
	case errors.Is(p.alive(), supervisor.ErrNotRunning):
		v.note = notRunning
	case p.sup.Draining():
		v.note = draining
	case !p.sup.Started():
		v.note = notReady
	default:
		v.status = p.sup.Status()
	}
	return v
}

func (p *probes) node(path string) verdict {
	v := verdict{check: "readyz", path: path, below: p.mayAsk(), ready: true}
	if err := p.alive(); !v.below && !errors.Is(err, supervisor.ErrNotRunning) {
		v.note = "the tree cannot heal itself"
		return v
	}
	node, err := p.sup.Find(path)
	switch {
	case err != nil:
		return verdict{}
	case !v.below: // the tree has ended, and everything is Down
	case node.Status == supervisor.Up && stale(node):
		v.status, v.unknown, v.note = supervisor.Degraded, true, ageOf(node)
	default:
		v.status = node.Status
	}
	v.at = checkedAt(node)
	return v
}

// mayAsk reports whether nodes can be asked: a loop that is stuck may hold
// their lock, and those of a tree that has ended have nothing to say.
func (p *probes) mayAsk() bool {
	err := p.alive()
	return err == nil || errors.Is(err, supervisor.ErrTooManyAbandoned)
}
