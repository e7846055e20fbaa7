package supervisor

import (
	"context"
	"strings"
	"time"
)

// Progress says in a line how far the worker that ctx was given to has got:
// "1,204 done, 12 queued, the oldest for 3s". Snapshots, and so pages, show what
// it said last and when, also once it has failed: what it was at is the first
// thing one asks then. The line is for people; of more than 200 bytes the rest
// is cut. It is no Beat, nor does it change any status. It costs one allocation
// and can be called concurrently. What an abandoned incarnation says is not
// heard. It panics if ctx is no worker's.
func Progress(ctx context.Context, line string) {
	inc := incarnationFrom(ctx)
	if inc == nil {
		panic("supervisor: Progress: ctx is no worker's")
	}
	if inc.fate.Load() == fateAbandoned {
		return
	}
	inc.child.unit.said.Store(&progress{cut(oneLine(line), 200), time.Now()})
}

// progress is what a worker said last. It outlives the incarnation.
type progress struct {
	line string
	at   time.Time
}

// shown returns what snapshots show; nothing for nil.
func (p *progress) shown() (line string, at time.Time) {
	if p == nil {
		return "", at
	}
	return p.line, p.at
}

// cut returns s, or its first n bytes without a broken character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
