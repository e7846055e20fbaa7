package health

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// The page is rendered here, so that it can be read without JavaScript; the
// module only fetches its fragment again when something has happened.

//go:embed web
var web embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"stamp": stamp, "brief": brief}).ParseFS(web, "web/*.html"))

// assets are the page's files, by path.
var assets = map[string]answer{
	"style.css": asset("web/style.css", "text/css; charset=utf-8"),
	"icon.svg":  asset("web/icon.svg", "image/svg+xml"),
	"page.js":   asset("web/page.js", "text/javascript; charset=utf-8"),
}

func asset(file, kind string) answer {
	body, err := web.ReadFile(file)
	if err != nil {
		panic("bug: " + err.Error())
	}
	return newAnswer(http.StatusOK, kind, body)
}

// How much the page shows. What is left out is counted on it.
const (
	maxProblems = 30
	maxChildren = 200   // of one supervisor
	maxRows     = 500   // of the tree
	maxAskedFor = 2_000 // of it, where large supervisors were unfolded
	maxEvents   = 30
	maxOpen     = 30 // children of one that are shown unasked
	maxRowError = 1 << 10
)

// brief is an error in the tree, where there may be hundreds: cards and /tree
// tell more of it.
func brief(text string) string { return clip(text, maxRowError) }

// pageView is what the template gets. All text in it is escaped there.
type pageView struct {
	Name     string
	Now      time.Time
	Look     look
	Headline string
	Detail   string
	Calm     *incidentView // the last, while nothing is wrong
	Probes   []probeView
	Counts   []countView
	Cards    []cardView
	Hidden   int // problems that are not shown

	Timeline        *timelineView
	Past            []incidentView
	HiddenIncidents int

	Ask     question
	Tree    []rowView
	None    string // why there is no row
	Log     bool   // there is one
	Events  []eventView
	Dropped uint64
	Actions []Action
	Operate []operation
	Outcome *outcome
}

type probeView struct {
	Name, Word string
	Look       look
}

type countView struct {
	Count int
	Look  look
}

func (a *admin) page(q question) answer { return render("page.html", a.see(clock{now: time.Now()}, q)) }

func (a *admin) fragment(q question) answer {
	return render("fragment.html", a.see(clock{now: time.Now(), quiet: true}, q))
}

func render(name string, v pageView) answer {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, v); err != nil {
		panic("bug: " + err.Error())
	}
	return newAnswer(http.StatusOK, typeHTML, b.Bytes())
}

// see makes the view of the tree.
func (a *admin) see(c clock, q question) pageView {
	v := pageView{
		Name: a.probes.root, Now: c.now, Probes: a.probes.view(), Ask: q, Dropped: a.sup.Dropped(),
		Actions: a.actions.list, Outcome: a.actions.latest(),
	}
	if a.operable {
		v.Operate = operations
	}
	open := a.seePast(&v, c)
	if snap, ok := a.look(); ok {
		a.seeNodes(&v, c, snap, open)
	} else {
		v.Look, v.Headline, v.Detail = lookBad, "No answer", tooSlow
		v.Cards = viewCards(nil, open, c)
	}
	return v
}

// seePast views what happened, and returns the incidents that are not over.
func (a *admin) seePast(v *pageView, c clock) []supervisor.Incident {
	incidents := a.newestFirst()
	open, past, hidden := openOf(incidents)
	v.Past, v.HiddenIncidents = viewIncidents(past, c), hidden
	if a.log != nil {
		v.Log, v.Events = true, viewEvents(a.log.Recent(maxEvents))
		events, forgot := a.log.all()
		t := viewTimeline(events, forgot, incidents, c.now)
		v.Timeline = &t
	}
	return open
}

// seeNodes views what is, and sums it up.
func (a *admin) seeNodes(v *pageView, c clock, snap supervisor.Snapshot, open []supervisor.Incident) {
	worst, total := problems(snap, maxProblems)
	v.Look, v.Headline, v.Detail = a.headline(snap, total)
	v.Cards, v.Hidden = viewCards(worst, open, c), total-len(worst)
	for _, p := range worst {
		v.Hidden -= len(p.alike)
	}
	v.Counts = count(snap)
	if v.Look == lookFine && len(v.Past) > 0 {
		v.Calm = &v.Past[0]
	}
	if v.Ask.filters() && !v.Ask.finds(&snap) {
		v.None = "No node is like that."
		return
	}
	b := builder{clock: c, ask: v.Ask, left: maxRows}
	if len(v.Ask.open) > 0 && !v.Ask.filters() {
		b.left = maxAskedFor
	}
	v.Tree = []rowView{b.row(snap)}
}

// headline sums the tree up in a word and a sentence.
func (a *admin) headline(root supervisor.Snapshot, problems int) (l look, word, sentence string) {
	err := a.sup.Alive()
	switch {
	case root.State == supervisor.Failed:
		return lookBad, "Gave up", textOf(root.LastErr)
	case root.State == supervisor.Stopped:
		return lookOff, "Stopped", "The tree has ended."
	case err != nil:
		return lookBad, "Cannot heal itself", textOf(err)
	case a.sup.Draining():
		return lookWait, "Draining", "It takes no new work, and stops."
	case root.State == supervisor.Pending:
		return lookWait, "Not started", "Run was not called yet."
	case !a.sup.Started():
		return lookWait, "Starting", whyTree(root)
	case root.Status == supervisor.Down:
		return lookBad, "Down", "Not ready, " + number(problems, "problem") + "."
	case root.Status == supervisor.Degraded:
		return lookWarn, "Degraded", "Ready, but " + number(problems, "problem") + "."
	case problems > 0:
		return lookUnknown, "Ready", "But " + number(problems, "probe") + " did not answer lately."
	}
	return lookFine, "All is well", "Every part is up."
}

// view shows the answers as a platform gets them.
func (p *probes) view() []probeView {
	var views []probeView
	for _, v := range []verdict{p.livez(), p.readyz("readyz"), p.startupz()} {
		view := probeView{Name: v.check, Word: "ok", Look: lookFine}
		if v.status == supervisor.Down {
			view.Word, view.Look = "no", lookBad
		}
		views = append(views, view)
	}
	return views
}

// count counts the tree's nodes by how they look, worst first.
func count(root supervisor.Snapshot) []countView {
	var counts [lookOff + 1]int
	for node := range root.All() {
		counts[lookOf(node)]++
	}
	var views []countView
	for l, n := range counts {
		if n > 0 {
			views = append(views, countView{Count: n, Look: look(l)})
		}
	}
	return views
}
