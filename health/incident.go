package health

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// incidentJSON is a supervisor.Incident.
type incidentJSON struct {
	ID            uint64      `json:"id"`
	Path          string      `json:"path"` // of the node that failed first
	Incarnation   uint64      `json:"incarnation,omitempty"`
	Began         time.Time   `json:"began"`
	Ended         time.Time   `json:"ended,omitzero"` // left out while it is not over
	Healed        bool        `json:"healed"`
	LastedSeconds float64     `json:"lasted_seconds"` // until now, if it is not over
	Failures      int         `json:"failures"`
	Causes        []string    `json:"causes"` // the first failure, then what it wraps
	Stack         string      `json:"stack,omitempty"`
	Before        []eventJSON `json:"before,omitempty"`    // what its probe and remedies said
	Decisions     []eventJSON `json:"decisions,omitempty"` // of supervisors; the last ones
	Down          []string    `json:"down,omitempty"`      // went down with it; the first ones
	DownTotal     int         `json:"down_total,omitempty"`
	Report        string      `json:"report,omitempty"` // all of it for people; only where one is asked for
}

// newestFirst returns the incidents of the tree.
func (a *admin) newestFirst() []supervisor.Incident {
	list := a.sup.Incidents()
	slices.Reverse(list)
	return list
}

// incidents answers with all that the tree remembers, in text a line for each.
func (a *admin) incidents(text bool) answer {
	all, lines := []incidentJSON{}, ""
	for _, i := range a.newestFirst() {
		all = append(all, incidentOf(i))
		lines += fmt.Sprintf("%s %v\n", i.Began.UTC().Format(time.RFC3339), shown(i.String(), maxText))
	}
	switch {
	case !text:
		return marshal(http.StatusOK, typeJSON, all)
	case lines == "":
		lines = "no incidents\n"
	}
	return newAnswer(http.StatusOK, typeText, []byte(lines))
}

// incident answers with one, in full.
func (a *admin) incident(number string, text bool) answer {
	id, err := strconv.ParseUint(number, 10, 64)
	for _, i := range a.sup.Incidents() {
		switch {
		case err != nil || i.ID != id:
		case text:
			return newAnswer(http.StatusOK, typeText, []byte(reportOf(i)))
		default:
			one := incidentOf(i)
			one.Report = reportOf(i)
			return marshal(http.StatusOK, typeJSON, one)
		}
	}
	return notFound
}

func incidentOf(i supervisor.Incident) incidentJSON {
	stack, decisions := shown(i.Stack(), maxStack), eventsOf(i.Decisions)
	for n := range decisions {
		if decisions[n].Stack == stack { // once is enough
			decisions[n].Stack = ""
		}
	}
	return incidentJSON{
		ID: i.ID, Path: i.Path, Incarnation: i.Incarnation, Began: i.Began.UTC(), Ended: i.Ended.UTC(), Healed: i.Healed,
		LastedSeconds: i.Took().Seconds(), Failures: i.Failures, Causes: causesOf(i.Cause), Stack: stack,
		Before: eventsOf(i.Before), Decisions: decisions, Down: i.Down, DownTotal: i.DownTotal,
	}
}

// reportOf is an incident's report, in UTC, with its causes below its line.
func reportOf(i supervisor.Incident) string {
	i.Began = i.Began.UTC()
	line, rest, _ := strings.Cut(shown(i.Report(), 2*maxStack), "\n")
	if causes := causesOf(i.Cause); len(causes) > 1 {
		line += "\ncauses:\n  " + strings.ReplaceAll(strings.Join(causes, "\n"), "\n", "\n  ")
	}
	return strings.TrimSpace(line+"\n"+rest) + "\n"
}

// maxCauses is how many errors of a tree of them are looked at.
const maxCauses = 20

// causesOf returns the texts of an error and of those that it wraps, outermost
// first. One that says the same as another says nothing.
func causesOf(err error) (causes []string) {
	defer func() { _ = recover() }() // Unwrap is the worker's own
	left := []error{err}
	for n := 0; n < maxCauses && len(left) > 0; n++ {
		err, left = left[0], left[1:]
		if text := textOf(err); text != "" && !slices.Contains(causes, text) {
			causes = append(causes, text)
		}
		left = append(wrapped(err), left...)
	}
	return causes
}

func wrapped(err error) []error {
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return []error{err.Unwrap()}
	case interface{ Unwrap() []error }:
		return slices.Clone(err.Unwrap())
	}
	return nil
}
