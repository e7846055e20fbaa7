package health

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// Action is a button on the page, and POST /actions/<Name>.
type Action struct {
	// Name is the last part of its path: letters, digits, "-" and "_".
	Name string

	// Label is what the button says. Empty means Name.
	Label string

	// Do does it. Its context ends after 10 seconds, and not with the request:
	// who closes a page does not stop half an action. It may be called
	// concurrently. A panic counts as an error.
	Do func(ctx context.Context) error
}

// actionTimeout is less than the admin listener's write timeout.
const actionTimeout = 10 * time.Second

// checkActions returns every fault of a list of actions.
func checkActions(list []Action) (faults []error) {
	seen := make(map[string]bool)
	for i, a := range list {
		at := fmt.Sprintf("health: AdminOptions.Actions[%d]", i)
		switch {
		case !isWord(a.Name):
			faults = append(faults, fmt.Errorf("%s: Name is %q; use letters, digits, - and _", at, a.Name))
		case seen[a.Name]:
			faults = append(faults, fmt.Errorf("%s: Name %q was used before", at, a.Name))
		}
		if a.Do == nil {
			faults = append(faults, fmt.Errorf("%s: Do is nil", at))
		}
		seen[a.Name] = true
	}
	return faults
}

func isWord(s string) bool {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}
	return s != "" && !strings.ContainsFunc(s, odd)
}

// actions are what can be done, and what was done last.
type actions struct {
	sup    *supervisor.Supervisor
	list   []Action
	origin http.CrossOriginProtection

	mu   sync.Mutex // guards last
	last *outcome
}

// An outcome is how an action ended.
type outcome struct {
	Label string
	At    time.Time
	Err   string // "" if it worked
}

func newActions(sup *supervisor.Supervisor, list []Action) *actions {
	a := &actions{sup: sup, list: append([]Action(nil), list...)}
	for i := range a.list {
		if a.list[i].Label == "" {
			a.list[i].Label = a.list[i].Name
		}
	}
	return a
}

// serve does the action of that name.
func (a *actions) serve(w http.ResponseWriter, r *http.Request, name string) {
	act, ok := a.find(name)
	if !ok {
		notFound.write(w, r)
		return
	}
	a.guard(w, r, name, func() { a.reply(w, r, a.do(r, "", act)) })
}

// guard lets an action be done by POST only, and not by pages of other origins:
// browsers say where a request comes from (Sec-Fetch-Site, Origin).
func (a *actions) guard(w http.ResponseWriter, r *http.Request, name string, do func()) {
	switch err := a.origin.Check(r); {
	case r.Method != http.MethodPost:
		say(http.StatusMethodNotAllowed, "POST is allowed").allowing("POST").write(w, r)
	case err != nil:
		slog.Warn("health: an action of another site was refused", "action", name, "from", r.RemoteAddr, "origin", clip(r.Header.Get("Origin"), maxFind))
		say(http.StatusForbidden, "the request comes from another site").write(w, r)
	default:
		do()
	}
}

func (a *actions) find(name string) (Action, bool) {
	for _, act := range a.list {
		if act.Name == name {
			return act, true
		}
	}
	return Action{}, false
}

// do does the action to the node at path, and says so: for ever, and on the page.
func (a *actions) do(r *http.Request, path string, act Action) (err error) {
	what := clip(act.Label, maxFind) + ", from " + r.RemoteAddr
	a.audit(path, what, nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), actionTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
		a.note(act, err)
		if err != nil {
			a.audit(path, what, err)
		}
	}()
	return act.Do(ctx)
}

// audit tells who observes the tree, and slog's default log if nobody does.
func (a *actions) audit(path, what string, err error) {
	if !a.sup.Operated(path, what, err) {
		slog.Info("health: an operation", "path", clip(path, maxFind), "operation", what, "error", textOf(err))
	}
}

func (a *actions) note(act Action, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = &outcome{Label: act.Label, At: time.Now(), Err: textOf(err)}
}

// latest is how the last action ended, nil if there was none.
func (a *actions) latest() *outcome {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// reply sends a form back to the page, which shows the outcome, and tells
// everybody else in text. The page is one up from here, whatever the prefix.
func (a *actions) reply(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case strings.Contains(r.Header.Get("Accept"), "text/html"):
		w.Header().Set("Location", "../")
		say(http.StatusSeeOther, "back to the page").write(w, r)
	case err != nil:
		say(codeOf(err), textOf(err)).write(w, r)
	default:
		okText.write(w, r)
	}
}
