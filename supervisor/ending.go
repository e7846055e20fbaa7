package supervisor

import (
	"context"
	"errors"
	"fmt"
)

// An ending is how an incarnation ended, or a check of one. It is judged by the
// goroutine that ended: the methods of its error are user code, which no loop
// may wait for.
type ending struct {
	err      error
	is       marks
	incident *trouble // over which a supervisor gave up; nil: over none
}

// marks are what an error says besides that something failed.
type marks uint8

const (
	ignored     marks = 1 << iota // wraps ErrIgnore
	escalated                     // wraps ErrEscalate, or suture's word for it
	unavailable                   // wraps ErrUnavailable
	overForGood                   // wraps suture's ErrDoNotRestart
	obedient                      // says only that its context ended
	panicked                      // is a panic
	exhausted                     // is a supervisor's giving up
	autoShut                      // is a supervisor's auto shutdown
)

func (e ending) has(m marks) bool { return e.is&m != 0 }

// judge looks at how an incarnation ended. An error whose methods panic says
// nothing more. What a supervisor's error wraps is the failure of somebody
// below, and was acted on there.
func judge(inc *incarnation, err error) (e ending) {
	e.err = err
	if err == nil {
		return e
	}
	defer func() { _ = recover() }()
	mark := func(m marks, holds bool) {
		if holds {
			e.is |= m
		}
	}
	if inc.spec().isSupervisor() {
		_, gaveUp := err.(*IntensityError)
		mark(exhausted, gaveUp)
		mark(autoShut, err == ErrAutoShutdown)
		return e
	}
	if plain(err) {
		e.is = meaningOf(err)
	} else {
		_, isPanic := err.(*PanicError)
		mark(panicked, isPanic)
		for _, m := range meanings {
			mark(m.is, errors.Is(err, m.err))
		}
	}
	if inc.told.Load() && !e.has(obedient) { // asking its context takes locks that stop may hold
		mark(obedient, errors.Is(err, context.Cause(inc.ctx)))
	}
	return e
}

// meanings are of the errors that say more than that something failed.
var meanings = [...]struct {
	err error
	is  marks
}{
	{ErrIgnore, ignored},
	{ErrEscalate, escalated},
	{errTerminateTree, escalated},
	{ErrUnavailable, unavailable},
	{errDoNotRestart, overForGood},
	{context.Canceled, obedient},
}

// plain reports whether err is all that it says: it wraps nothing, and has no
// say in what it is.
func plain(err error) bool {
	switch err.(type) {
	case interface{ Unwrap() error }, interface{ Unwrap() []error }, interface{ Is(error) bool }:
		return false
	}
	return true
}

// meaningOf is what a plain error says: errors.Is for each meaning, and faster.
func meaningOf(err error) marks {
	for i := range meanings {
		if err == meanings[i].err {
			return meanings[i].is
		}
	}
	return 0
}

// textOf is an error's text, whatever its method does: package fmt survives
// those that panic.
func textOf(err error) string { return fmt.Sprint(err) }

// worded is an error whose text is at hand.
type worded struct {
	error
	text string
}

func (e *worded) Error() string { return e.text }
func (e *worded) Unwrap() error { return e.error }

// A pathError says where err happened. It puts that into words when it is
// asked: the text of err is the worker's own.
type pathError struct {
	path string
	err  error
}

func (e *pathError) Error() string { return e.path + ": " + textOf(e.err) }
func (e *pathError) Unwrap() error { return e.err }
