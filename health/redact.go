package health

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// This file keeps secrets, and what is too long, out of what is shown. Text of
// errors and stacks is others': it may quote a DSN, a URL or a header. Who makes
// an error should leave secrets out of it; this is for those who did not.

// mask stands for a secret; it is that of url.URL.Redacted.
const mask = "xxxxx"

// How long a text, and a stack, may be.
const (
	maxText  = 8 << 10
	maxStack = 32 << 10
)

// A rule finds secrets of one kind. Most texts have none of its hints, and cost
// no more than the search for them.
type rule struct {
	hints   []string
	pattern *regexp.Regexp
	put     string // instead; ${1} is what may stay
	spare   *regexp.Regexp
}

const secretNames = `pass|passwd|password|passphrase|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?|signature|sig`

var rules = []rule{
	{ // postgres://app:hunter2@db/shop; not http://proxy:8080/@scope
		hints:   []string{"://"},
		pattern: regexp.MustCompile(`(\w://[^\s:/?#@"']*):([^\s"'<>]*)@`),
		put:     "${1}:" + mask + "@",
		spare:   regexp.MustCompile(`^\w://[^:]*:\d{1,5}[/?#]`),
	},
	{ // https://ghp_0123456789abcdefghij@github.com
		hints:   []string{"://"},
		pattern: regexp.MustCompile(`(\w://)[^\s:/?#@"'.]{16,}@`),
		put:     "${1}" + mask + "@",
	},
	{ // app:hunter2@tcp(db:3306)/shop
		hints:   []string{"@tcp(", "@tcp6(", "@unix(", "@udp(", "@("},
		pattern: regexp.MustCompile(`([^\s:/"'@]*):[^\s"']*@(\w*\()`),
		put:     "${1}:" + mask + "@${2}",
	},
	{ // password=hunter2, PGPASSWORD='hunter 2', "client_secret":"hunter2", api_key:hunter2
		hints:   []string{"="},
		pattern: regexp.MustCompile(`(?i)((?:\b|[\w-])(?:` + secretNames + `)\s*=\s*)("[^"]*"?|'[^']*'?|\\"[^"]*"?|[^\s&;,"')]+)`),
		put:     "${1}" + mask,
	},
	{
		hints:   []string{`":`, `':`, ":"},
		pattern: regexp.MustCompile(`(?i)((?:\b|[\w-])(?:` + secretNames + `)(?:\\?["']\s*:\s*|:))("[^"]*"?|'[^']*'?|\\"[^"]*"?|[^\s&;,"')]+)`),
		put:     "${1}" + mask,
	},
	{ // Authorization: Bearer eyJ…
		hints:   []string{"earer ", "EARER ", "asic ", "ASIC "},
		pattern: regexp.MustCompile(`(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}`),
		put:     "${1} " + mask,
	},
	{ // a JSON web token by itself
		hints:   []string{"eyJ"},
		pattern: regexp.MustCompile(`\beyJ[\w-]{8,}\.[\w-]*\.?[\w-]*`),
		put:     mask,
	},
	{
		hints:   []string{"PRIVATE KEY-----"},
		pattern: regexp.MustCompile(`(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END|$)`),
		put:     "${1}" + mask + "${2}",
	},
}

// redact masks the secrets in a text.
func redact(text string) string {
	for _, r := range rules {
		if r.hinted(text) {
			text = r.pattern.ReplaceAllStringFunc(text, r.masked)
		}
	}
	return text
}

func (r rule) hinted(text string) bool {
	for _, hint := range r.hints {
		if strings.Contains(text, hint) {
			return true
		}
	}
	return false
}

func (r rule) masked(found string) string {
	if r.spare != nil && r.spare.MatchString(found) {
		return found
	}
	return r.pattern.ReplaceAllString(found, r.put)
}

// shown is a text as it may be shown: without secrets, and not too long. One
// that is far too long is cut before it is searched, at a space, so that no half
// of a secret is left.
func shown(text string, most int) string {
	if len(text) > 2*most {
		text = text[:max(0, strings.LastIndexByte(text[:2*most], ' '))]
		return strings.TrimSuffix(clip(redact(text), most), cut) + cut
	}
	return clip(redact(text), most)
}

const cut = " … (cut)"

// clip cuts a text that is too long, and says so.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + cut
}
