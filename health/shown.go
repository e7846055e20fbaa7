package health

import (
	"strings"
	"unicode/utf8"

	"github.com/coppice-go/coppice/supervisor/redact"
)

// How long a text, and a stack, may be.
const (
	maxText  = 8 << 10
	maxStack = 32 << 10
)

// shown is a text as it may be shown: without secrets, and not too long. One
// that is far too long is cut before it is searched, at a space, so that no half
// of a secret is left.
func shown(text string, most int) string {
	if len(text) > 2*most {
		text = text[:max(0, strings.LastIndexByte(text[:2*most], ' '))]
		return strings.TrimSuffix(clip(redact.Secrets(text), most), cut) + cut
	}
	return clip(redact.Secrets(text), most)
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
