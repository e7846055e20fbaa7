package health

import (
	"net/http"
	"strconv"
	"strings"
)

// An answer is a whole response, ready to be sent. Its header values are
// slices, so that sending a prepared one allocates nothing; they are shared
// and must not be changed.
type answer struct {
	code   int
	kind   []string // Content-Type
	length []string
	allow  []string
	body   []byte
}

const (
	typeText   = "text/plain; charset=utf-8"
	typeJSON   = "application/json"
	typeHealth = "application/health+json"
	typeHTML   = "text/html; charset=utf-8"
)

var (
	okText     = newAnswer(http.StatusOK, typeText, []byte("ok"))
	passJSON   = newAnswer(http.StatusOK, typeHealth, []byte(`{"status":"pass"}`))
	notFound   = newAnswer(http.StatusNotFound, typeText, []byte("not found\n"))
	notAllowed = newAnswer(http.StatusMethodNotAllowed, typeText, []byte("GET and HEAD are allowed\n")).allowing("GET, HEAD")
	noExclude  = newAnswer(http.StatusBadRequest, typeText, []byte("exclude is not supported: make the node Optional instead\n"))

	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

func newAnswer(code int, kind string, body []byte) answer {
	return answer{code: code, kind: []string{kind}, length: []string{strconv.Itoa(len(body))}, body: body}
}

func (a answer) allowing(methods string) answer {
	a.allow = []string{methods}
	return a
}

// write sends the answer. An error means that nobody listens any more.
func (a answer) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"] = a.kind
	h["Content-Length"] = a.length
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	if a.allow != nil {
		h["Allow"] = a.allow
	}
	w.WriteHeader(a.code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body)
	}
}

// wantsJSON reports whether the client names application/health+json.
func wantsJSON(r *http.Request) bool {
	for _, accept := range r.Header["Accept"] {
		for accept != "" {
			var kind string
			kind, accept, _ = strings.Cut(accept, ",")
			kind, _, _ = strings.Cut(kind, ";")
			if strings.EqualFold(strings.TrimSpace(kind), typeHealth) {
				return true
			}
		}
	}
	return false
}
