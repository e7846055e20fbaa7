package health

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxExcluded is how many nodes one question may leave out.
const maxExcluded = 50

// queryOf returns what follows the path's "?". The error is for who asked.
func queryOf(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	switch {
	case err != nil: // it quotes what was sent, which we do not send back
		return nil, errors.New("the query cannot be read: escape %, & and ; in it")
	case len(query["exclude"]) > maxExcluded:
		return nil, fmt.Errorf("%d nodes are excluded; at most %d can be: exclude what is above them", len(query["exclude"]), maxExcluded)
	}
	return query, nil
}

// exclude judges anew as if the nodes at paths were up.
func (p *probes) exclude(v verdict, paths []string) verdict {
	for _, path := range paths {
		switch why := p.cannotExclude(v, path); {
		case why != "":
			v.warnings = append(v.warnings, fmt.Sprintf("warn: cannot exclude %q: %s", path, why))
		case !slices.Contains(v.excluded, path):
			v.excluded = append(v.excluded, path)
		}
	}
	if len(v.excluded) > 0 && v.note == "" {
		if status, err := p.sup.StatusOf(v.path, v.excluded...); err == nil {
			v.status = status
		}
	}
	return v
}

// cannotExclude says why not; "" if it can.
func (p *probes) cannotExclude(v verdict, path string) string {
	if !v.below {
		return "the tree cannot be asked"
	}
	if !strings.HasPrefix(path, v.path+"/") {
		return "it is not below " + v.path
	}
	if _, err := p.sup.Find(path); err != nil {
		return "there is no such node"
	}
	return ""
}

// under reports whether a path is one of paths, or below one.
func under(path string, paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		rest, ok := strings.CutPrefix(path, p)
		return ok && (rest == "" || rest[0] == '/')
	})
}
