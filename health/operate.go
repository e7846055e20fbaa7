package health

import (
	"context"
	"errors"
	"net/http"

	"github.com/coppice-go/coppice/supervisor"
)

// operation is what is done to a node, by its name in the path.
type operation struct {
	Name, Label string
	do          func(sup *supervisor.Supervisor, ctx context.Context, path string) error
}

var operations = []operation{
	{"restart", "Restart", (*supervisor.Supervisor).Restart},
	{"stop", "Stop", (*supervisor.Supervisor).Stop},
	{"start", "Start", (*supervisor.Supervisor).Start},
}

// operate restarts, stops or starts the node that the form names.
func (a *admin) operate(w http.ResponseWriter, r *http.Request, name string) {
	for _, op := range operations {
		if a.operable && op.Name == name {
			a.actions.guard(w, r, op.Name, func() {
				path := r.PostFormValue("path")
				a.actions.reply(w, r, a.actions.do(r, path, Action{Label: op.Label + " " + path, Do: func(ctx context.Context) error {
					return op.do(a.sup, ctx, path)
				}}))
			})
			return
		}
	}
	notFound.write(w, r)
}

// codeOf is the status code for the error of an action.
func codeOf(err error) int {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(err, supervisor.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, supervisor.ErrRunning), errors.Is(err, supervisor.ErrRestarting), errors.Is(err, supervisor.ErrRoot), errors.Is(err, supervisor.ErrNotRunning):
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}
