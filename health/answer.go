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
	typeStream = "text/event-stream"
)

var (
	okText     = newAnswer(http.StatusOK, typeText, []byte("ok"))
	passJSON   = newAnswer(http.StatusOK, typeHealth, []byte(`{"status":"pass"}`))
	notFound   = newAnswer(http.StatusNotFound, typeText, []byte("not found\n"))
	notAllowed = newAnswer(http.StatusMethodNotAllowed, typeText, []byte("GET and HEAD are allowed\n")).allowing("GET, HEAD")
	noExclude  = newAnswer(http.StatusBadRequest, typeText, []byte("this rests on no node, so none can be excluded: exclude is for /readyz\n"))

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

// writeOK sends okText in as few words as a cache must hear: nobody mistakes it
// for a script, and net/http counts to two.
func writeOK(w http.ResponseWriter) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = okText.kind, noStore
	_, _ = w.Write(okText.body)
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

// wantsJSON reports whether a client of the probes wants JSON.
func wantsJSON(r *http.Request) bool { return accepts(r, typeHealth) }

// wantsText reports whether a client of the admin side reads with its own
// eyes: it names text/plain, or is a command line. Naming JSON as well, as some
// libraries do, is to want JSON.
func wantsText(r *http.Request) bool {
	agent := r.UserAgent()
	return !accepts(r, typeJSON) &&
		(accepts(r, "text/plain") || strings.HasPrefix(agent, "curl/") || strings.HasPrefix(agent, "Wget/"))
}

// accepts reports whether the client names a media type; "*/*" names none.
func accepts(r *http.Request, want string) bool {
	for _, accept := range r.Header["Accept"] {
		for accept != "" {
			var kind string
			kind, accept, _ = strings.Cut(accept, ",")
			kind, _, _ = strings.Cut(kind, ";")
			if strings.EqualFold(strings.TrimSpace(kind), want) {
				return true
			}
		}
	}
	return false
}
