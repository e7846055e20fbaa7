// Package redact masks secrets in text that is about to be shown: a log, a
// page, the message that a platform keeps. Text of errors and stacks is others',
// and may quote a DSN, a URL or a header. Who makes an error should leave secrets
// out of it; this is for those who did not. It knows what secrets look like, so
// it can miss one, and mask what is none.
//
// Package health, zlog and systemd use it in all that they tell. Use it for what
// you tell yourself:
//
//	log.Print(redact.Secrets(err.Error()))
package redact

import (
	"regexp"
	"strings"
)

// mask stands for a secret; it is that of url.URL.Redacted.
const mask = "xxxxx"

// A rule finds secrets of one kind. Most texts have none of its hints, and cost
// no more than the search for them.
type rule struct {
	hints   []string
	pattern *regexp.Regexp
	put     string // instead; ${1} is what may stay
	spare   *regexp.Regexp
}

// names are what secrets are called.
const names = `(?:\b|[\w-])(?:pass|passwd|password|passphrase|pwd|secret|token|api[-_]?key|access[-_]?key|account[-_]?key|shared[-_]?key|private[-_]?key|credentials?|signature|sig)`

// value is what may follow a name: quoted, quoted with escapes inside a quoted
// text, or a word.
const value = `("(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|\\"[^"]*"?|[^\s&,"')]+)`

// inURL are what a password in a URL may consist of: a quote in it is one of the
// text around unless more of the password follows.
const inURL = `(?:[^\s"'<>]|'[^\s"'<>,;:)\]}])*'?`

var rules = []rule{
	{ // postgres://app:hunter2@db/shop; not http://proxy:8080/@scope
		hints:   []string{"://"},
		pattern: regexp.MustCompile(`(\w://[^\s:/?#@"']*):` + inURL + `@`),
		put:     "${1}:" + mask + "@",
		spare:   regexp.MustCompile(`^\w://[^:]*:\d{1,5}[/?#]`),
	},
	{ // https://ghp_0123456789abcdefghij@github.com; a short name is only a name
		hints:   []string{"://"},
		pattern: regexp.MustCompile(`(\w://)[^\s:/?#@"'.]{16,}@`),
		put:     "${1}" + mask + "@",
	},
	{ // app:hunter2@tcp(db:3306)/shop, app:hunter2@db:5432/shop; not shop:1.2@sha256:0123
		hints:   []string{"@"},
		pattern: regexp.MustCompile(`(^|[^\w:/@.%-])([\w.%-]+):([^\s"'<>/]` + inURL + `)@(\w*\(|[\w.-]+:\d|[\w.-]*/)`),
		put:     "${1}${2}:" + mask + "@${4}",
		spare:   regexp.MustCompile(`@sha\d+:\d$`),
	},
	{ // password=hunter2, PGPASSWORD='hunter 2'
		hints:   []string{"="},
		pattern: regexp.MustCompile(`(?i)(` + names + `\s*=\s*)` + value),
		put:     "${1}" + mask,
	},
	{ // "client_secret":"hunter2", api_key:hunter2
		hints:   []string{":"},
		pattern: regexp.MustCompile(`(?i)(` + names + `(?:\\?["']\s*:\s*|:))` + value),
		put:     "${1}" + mask,
	},
	{ // /maps?key=hunter2
		hints:   []string{"key=", "auth=", "code="},
		pattern: regexp.MustCompile(`([?&](?:key|auth|code)=)[^\s&"'<>]+`),
		put:     "${1}" + mask,
	},
	{ // Authorization: Bearer eyJ…
		hints:   []string{"earer ", "EARER ", "asic ", "ASIC "},
		pattern: regexp.MustCompile(`(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}`),
		put:     "${1} " + mask,
	},
	{ // Set-Cookie: session=hunter2; Path=/
		hints:   []string{"ookie:", "OOKIE:"},
		pattern: regexp.MustCompile(`(?i)\b(cookie:[ \t]*)[^\s"'][^\r\n"']*`),
		put:     "${1}" + mask,
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

// Secrets returns text with "xxxxx" in place of each secret: passwords in URLs and
// DSNs, values that are called one (password=…, "api_key": …), what stands after
// Authorization and Cookie, JSON web tokens, private keys. It is safe for
// concurrent use.
func Secrets(text string) string {
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
