// Package zlog writes a tree's events to a zerolog.Logger:
//
//	sup, err := supervisor.New(spec, supervisor.Options{Observer: zlog.Observer(log)})
package zlog

import (
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/supervisor"
	"github.com/coppice-go/coppice/supervisor/redact"
)

// Observer returns an Options.Observer that logs each event as one line. The
// message is the event's own wording without path and error, which are fields:
// path, incarnation, seq, remedy, operation, delay, error, and the stack of a
// panic or of a goroutine that hangs. Secrets in them are masked, as package
// redact knows them. The time is the logger's own. See Level for the levels.
func Observer(log zerolog.Logger) func(supervisor.Event) {
	return func(e supervisor.Event) {
		line := log.WithLevel(Level(e))
		line.Str("path", e.Path)
		if e.Incarnation > 0 {
			line.Uint64("incarnation", e.Incarnation)
		}
		line.Uint64("seq", e.Seq)
		if e.Remedy != "" {
			line.Str("remedy", e.Remedy)
		}
		if e.Operation != "" {
			line.Str("operation", redact.Secrets(e.Operation))
		}
		if e.Delay > 0 {
			line.Dur("delay", e.Delay)
		}
		if e.Err != nil {
			line.Str("error", redact.Secrets(fmt.Sprint(e.Err))) // fmt survives errors whose methods panic
		}
		if stack := stack(e); stack != "" {
			line.Str("stack", redact.Secrets(stack))
		}
		line.Msg(string(e.Kind))
	}
}

// Level is Error for what a person should look into (a supervisor that gives
// up, an abandoned goroutine), Warn for failures that the tree takes care of,
// parking among them, Info for nodes that become ready or end, incidents that
// healed, remedies that helped and what is done by hand, and Debug for the steps
// between.
func Level(e supervisor.Event) zerolog.Level {
	switch e.Kind {
	case supervisor.EventRemedy, supervisor.EventOperated:
		if e.Err == nil {
			return zerolog.InfoLevel
		}
		return zerolog.WarnLevel
	case supervisor.EventGaveUp, supervisor.EventAbandoned:
		return zerolog.ErrorLevel
	case supervisor.EventExited, supervisor.EventStartFailed, supervisor.EventBackingOff, supervisor.EventParked,
		supervisor.EventImpaired, supervisor.EventFenced, supervisor.EventWarning:
		return zerolog.WarnLevel
	case supervisor.EventReady, supervisor.EventRecovered, supervisor.EventHealed, supervisor.EventStopped,
		supervisor.EventIgnored, supervisor.EventReturned:
		return zerolog.InfoLevel
	}
	return zerolog.DebugLevel
}

func stack(e supervisor.Event) (stack string) {
	defer func() { _ = recover() }() // the methods of the error are the worker's own
	stack = e.Stack
	var panicked *supervisor.PanicError
	if e.Kind == supervisor.EventExited || e.Kind == supervisor.EventStartFailed {
		if errors.As(e.Err, &panicked) {
			stack = panicked.Stack()
		}
	}
	return stack
}
