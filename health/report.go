package health

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// How much an answer says, whatever the size of the tree.
const (
	maxFailing = 20    // nodes that a red answer names
	maxVerbose = 1_000 // nodes that a verbose answer lists
)

// A report is a verdict with the nodes that it rests on.
type report struct {
	check  string
	status supervisor.Status
	lines  []line
	notes  []string // what the lines leave out, and what cannot be excluded

	excluded []string // paths that are not judged
}

// A line says of one node how it is.
type line struct {
	path     string
	status   supervisor.Status
	unknown  bool // rather than what status says
	optional bool
	excluded bool
	note     string    // "" if there is nothing to say, or to publish
	at       time.Time // when it was found out; zero is now
	age      string    // of that, in words; "" if the note says it
}

// report names nodes: those that fail, or all if verbose.
func (p *probes) report(v verdict, verbose bool) report {
	rep := report{check: v.check, status: v.status, excluded: v.excluded, notes: v.warnings}
	if verbose && v.below {
		p.list(&rep, v)
		return rep
	}
	blame := v.below && v.path == p.root
	if v.note != "" || !blame { // otherwise those to blame say it all
		rep.lines = []line{{path: v.path, status: v.status, unknown: v.unknown, note: p.noteOf(v), at: v.at}}
	}
	if blame {
		p.blame(&rep)
	}
	return rep
}

// noteOf explains the line of the node that was asked about.
func (p *probes) noteOf(v verdict) string {
	if v.note != "" || !v.below || !p.reasons {
		return v.note
	}
	node, err := p.sup.Find(v.path)
	if err != nil { // it has just been removed
		return ""
	}
	return why(node)
}

// list adds the node that was asked about and all below it.
func (p *probes) list(rep *report, v verdict) {
	for node := range p.sup.All(v.path) {
		if len(rep.lines) == maxVerbose {
			rep.notes = append(rep.notes, fmt.Sprintf("only the first %d nodes are listed", maxVerbose))
			break
		}
		rep.add(p, node)
	}
	if len(rep.lines) > 0 { // what v knows of it is more than its own state
		rep.lines[0].status, rep.lines[0].unknown = v.status, v.unknown
		if v.note != "" {
			rep.lines[0].note = v.note
		}
	}
}

// blame adds the nodes that are to blame for a status that is not Up.
func (p *probes) blame(rep *report) {
	nodes, total := p.sup.Ailing(rep.status, maxFailing, rep.excluded...)
	for _, node := range nodes {
		rep.add(p, node)
	}
	if total > len(nodes) {
		rep.notes = append(rep.notes, fmt.Sprintf("and %d more", total-len(nodes)))
	}
}

func (rep *report) add(p *probes, node supervisor.Snapshot) {
	l := line{path: node.Path, status: node.Status, optional: node.Optional, at: checkedAt(node), excluded: under(node.Path, rep.excluded)}
	if p.reasons {
		l.note = why(node)
	}
	switch {
	case stale(node):
		l.unknown = node.Status == supervisor.Up
		l.note = strings.TrimPrefix(l.note+"; "+ageOf(node), "; ")
	case !l.at.IsZero():
		l.age = strings.TrimPrefix(ageOf(node), "last ")
	}
	rep.lines = append(rep.lines, l)
}

// text words the report as kube-apiserver does.
func (rep report) text() answer {
	var b strings.Builder
	for _, l := range rep.lines {
		l.text(&b)
	}
	for _, note := range rep.notes {
		b.WriteString(note + "\n")
	}
	end, code := "passed", http.StatusOK
	if rep.status == supervisor.Down {
		end, code = "failed", http.StatusServiceUnavailable
	}
	fmt.Fprintf(&b, "%s check %s\n", rep.check, end)
	return newAnswer(code, typeText, []byte(b.String()))
}

func (l line) text(b *strings.Builder) {
	mark, word := "[+]", "ok"
	switch {
	case l.excluded:
		word = "excluded: ok"
	case l.status == supervisor.Down:
		mark, word = "[-]", "failed"
	case l.unknown:
		mark, word = "[?]", "unknown"
	case l.status == supervisor.Degraded:
		word = "degraded"
	}
	b.WriteString(mark + l.path + " " + word)
	if l.optional && l.status == supervisor.Down && !l.excluded {
		b.WriteString(" (optional)")
	}
	if l.age != "" && !l.excluded {
		b.WriteString(" (" + l.age + ")")
	}
	if l.note != "" && !l.excluded {
		b.WriteString(": " + l.note)
	}
	b.WriteByte('\n')
}

// healthJSON is the response of draft-inadarei-api-health-check-06.
type healthJSON struct {
	Status string                 `json:"status"`
	Notes  []string               `json:"notes,omitempty"`
	Checks map[string][]checkJSON `json:"checks,omitempty"`
}

// checkJSON is one of its checks. The time is that of the last check of its
// probe; without one that of the answer: the tree is told of every change, so
// what it knows of a node is never older.
type checkJSON struct {
	Status string    `json:"status"`
	Time   time.Time `json:"time"`
	Output string    `json:"output,omitempty"`
}

func (rep report) json() answer {
	out := healthJSON{Status: grade(rep.status), Notes: rep.notes, Checks: make(map[string][]checkJSON, len(rep.lines))}
	for _, l := range rep.lines {
		out.Checks[l.path] = []checkJSON{l.json()}
	}
	code := http.StatusOK
	if rep.status == supervisor.Down {
		code = http.StatusServiceUnavailable
	}
	return marshal(code, typeHealth, out)
}

func (l line) json() checkJSON {
	c := checkJSON{Status: grade(l.status), Time: time.Now().UTC(), Output: l.note}
	switch {
	case l.excluded:
		c.Status, c.Output = grade(supervisor.Up), "excluded"
	case l.unknown:
		c.Status = grade(supervisor.Degraded)
	case l.status == supervisor.Up:
		c.Output = ""
	}
	if !l.at.IsZero() {
		c.Time = l.at.UTC()
	}
	return c
}

// grade is the draft's word for a status.
func grade(s supervisor.Status) string {
	switch s {
	case supervisor.Up:
		return "pass"
	case supervisor.Degraded:
		return "warn"
	}
	return "fail"
}

// marshal panics on what cannot be marshalled: our own structs can.
func marshal(code int, kind string, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic("bug: " + err.Error())
	}
	return newAnswer(code, kind, append(body, '\n'))
}
