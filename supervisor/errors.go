package supervisor

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
)

// What a worker returns to say more than that it failed.
var (
	// ErrUnavailable says that something outside the process is down. Wrap it
	// (fmt.Errorf("connect: %w: %w", ErrUnavailable, err)): such a failure is
	// restarted with backoff but never counts against the Intensity, since an
	// outage is no reason to tear down the tree.
	ErrUnavailable = errors.New("unavailable")

	// ErrIgnore, returned before ready, says that there is nothing to run: the
	// child is skipped, and that is no failure. OTP's ignore.
	ErrIgnore = errors.New("supervisor: ignore")

	// ErrEscalate says that restarting this worker would not help: its
	// supervisor fails at once.
	ErrEscalate = errors.New("supervisor: escalate")
)

// Why a worker's context ended, from context.Cause. A worker below a
// supervisor that is stopped is told the supervisor's cause.
var (
	ErrShutdown     = errors.New("supervisor: shutting down")
	ErrSibling      = errors.New("supervisor: a sibling failed")
	ErrRestart      = errors.New("supervisor: restart requested")
	ErrRemoved      = errors.New("supervisor: removed")
	ErrStopped      = errors.New("supervisor: stopped on request")
	ErrUnhealthy    = errors.New("supervisor: unhealthy")
	ErrStartTimeout = errors.New("supervisor: not ready in time")
	ErrReplaced     = errors.New("supervisor: incarnation ended")
)

// What the methods of Supervisor return. Those about a path wrap these with it.
var (
	ErrNotFound       = errors.New("supervisor: no such node")
	ErrRunning        = errors.New("supervisor: running")
	ErrRestarting     = errors.New("supervisor: restarting")
	ErrNeeded         = errors.New("supervisor: siblings depend on it")
	ErrAlreadyStarted = errors.New("supervisor: already started")
	ErrAlreadyPresent = errors.New("supervisor: already present")
	ErrNotSupervisor  = errors.New("supervisor: not a supervisor")
	ErrNotRunning     = errors.New("supervisor: not running")
	ErrRan            = errors.New("supervisor: a tree runs once")
	ErrInvalid        = errors.New("supervisor: invalid spec")
	ErrRoot           = errors.New("supervisor: not for the root; end Run's context instead")
)

// Why a supervisor ends, besides IntensityError.
var (
	// ErrAutoShutdown is how a supervisor ends by its AutoShutdown: normally.
	// Run returns nil for it.
	ErrAutoShutdown = errors.New("supervisor: auto shutdown")

	// ErrAbandoned is wrapped by what Run returns when goroutines outlived
	// their StopTimeout and still run.
	ErrAbandoned = errors.New("supervisor: abandoned incarnations")

	// ErrTooManyAbandoned: more than Options.MaxAbandoned of them.
	ErrTooManyAbandoned = errors.New("supervisor: too many abandoned incarnations")

	// ErrStuck is what Alive says of a loop of the tree that does not move.
	ErrStuck = errors.New("supervisor: stuck loops")

	// ErrAttempts: a child that is not Optional failed more often in a row than
	// its Backoff's Attempts allow.
	ErrAttempts = errors.New("supervisor: out of attempts")

	errReturned   = errors.New("returned, though it is to run for ever")
	errNeverReady = errors.New("returned before it was ready")
	errGoexit     = errors.New("called runtime.Goexit")
	errUnreadable = errors.New("its error's methods call runtime.Goexit")
)

// IntensityError is why a supervisor gave up: it had to restart children more
// often than its Intensity allows.
type IntensityError struct {
	Path      string // of the supervisor
	Intensity Intensity
	Err       error // the last failure; it names its path
}

// Error names the supervisor, its limit and the last failure.
func (e *IntensityError) Error() string {
	return fmt.Sprintf("%s: more than %d restarts in %v: %v", e.Path, e.Intensity.Restarts, e.Intensity.Within, e.Err)
}

// Unwrap returns the last failure.
func (e *IntensityError) Unwrap() error { return e.Err }

// StartError is why a Strict supervisor failed in its first start.
type StartError struct {
	Path string // of the child
	Err  error
}

// Error names the child and its failure.
func (e *StartError) Error() string { return fmt.Sprintf("%s: failed to start: %v", e.Path, e.Err) }

// Unwrap returns the child's failure.
func (e *StartError) Unwrap() error { return e.Err }

// remedyError is what came of a remedy: nil if it helped.
type remedyError struct {
	name string
	error
}

// attemptsError is ErrAttempts, of the child whose failure err names.
type attemptsError struct {
	attempts int
	err      error
}

func (e *attemptsError) Error() string {
	return fmt.Sprintf("out of %d attempts in a row: %s", e.attempts, textOf(e.err))
}

func (e *attemptsError) Unwrap() []error { return []error{ErrAttempts, e.err} }

// PanicError is the failure of a worker that panicked.
type PanicError struct {
	Value any // what it panicked with
	stack []uintptr
}

// Recovered returns the failure of a panic with value, as the tree does for its
// workers. It must be called by the deferred function that recovered value:
// there the panicking frames are still on the stack.
func Recovered(value any) *PanicError {
	var pcs [64]uintptr
	n := runtime.Callers(3, pcs[:]) // from the function that panicked
	return &PanicError{Value: value, stack: append([]uintptr(nil), pcs[:n]...)}
}

// Error prints the value.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Stack returns the worker's stack at the panic, innermost frame first, without
// the runtime's frames and those below the worker. It is symbolised when asked
// for, so that a restart after a panic stays cheap.
func (e *PanicError) Stack() string {
	var b strings.Builder
	frames := runtime.CallersFrames(e.stack)
	for {
		f, more := frames.Next()
		if callsWorkers(f.Function) {
			return b.String()
		}
		if !strings.HasPrefix(f.Function, "runtime.") && f.Function != "" {
			fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
		}
		if !more {
			return b.String()
		}
	}
}

// callsWorkers reports whether that is who calls workers.
func callsWorkers(function string) bool {
	of, found := strings.CutPrefix(function, here)
	return found && (of == ".(*slot).Serve" || of == ".(*slot).guarded")
}

// here is the path of this package.
var here = reflect.TypeFor[slot]().PkgPath()
