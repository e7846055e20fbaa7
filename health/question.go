package health

import (
	"net/url"
	"slices"
	"strings"

	"github.com/coppice-go/coppice/supervisor"
)

// A question is what a reader wants to see of the tree.
type question struct {
	Find string   // in paths, whatever the case; "" is all
	Only bool     // what is not well
	open []string // supervisors whose children are wanted though all is well
}

// Limits of what may be asked.
const (
	maxFind  = 200
	maxAsked = 50
)

// questionOf reads a query. What makes no sense there is not asked.
func questionOf(query url.Values) question {
	q := question{Find: strings.TrimSpace(query.Get("find")), Only: query.Get("only") == "problems"}
	if len(q.Find) > maxFind {
		q.Find = strings.ToValidUTF8(q.Find[:maxFind], "")
	}
	q.open = query["open"]
	q.open = q.open[:min(len(q.open), maxAsked)]
	return q
}

// filters reports whether the tree is not shown as a whole.
func (q question) filters() bool { return q.Find != "" || q.Only }

func (q question) opens(path string) bool { return slices.Contains(q.open, path) }

// opening is the query that also opens path.
func (q question) opening(path string) string {
	query := url.Values{"open": append(slices.Clone(q.open), path)}
	return "?" + query.Encode()
}

// finds reports whether a node, or one below it, is asked for.
func (q question) finds(s *supervisor.Snapshot) bool {
	if q.matches(s) {
		return true
	}
	for i := range s.Children {
		if q.finds(&s.Children[i]) {
			return true
		}
	}
	return false
}

func (q question) matches(s *supervisor.Snapshot) bool {
	if q.Only && isWell(s) {
		return false
	}
	return q.Find == "" || containsFold(s.Path, q.Find)
}

// containsFold reports whether s contains part, in whatever case.
func containsFold(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}
