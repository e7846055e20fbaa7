// Command demo is a small shop that heals in front of you: an orders API over
// a database, with a cache in front and workers behind, as one supervision
// tree. See demo --help.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Exit codes. A second signal exits with 128 and its number, as shells do.
const (
	exitOK     = 0
	exitFailed = 1 // the tree gave up, or a check or the tour says no
	exitUsage  = 2 // nothing was started
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run runs a command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	cfg, rest, err := parse(args, os.Getenv)
	switch {
	case errors.Is(err, errHelp):
		help(stdout)
		return exitOK
	case err == nil:
		err = command(cfg, rest, stdout, stderr)
	}
	return exitCode(err, stderr)
}

// command runs the command that the arguments name.
func command(cfg config, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return serve(cfg, stdout, stderr)
	}
	name, args := args[0], args[1:]
	if len(args) > 0 && name != "chaos" {
		return usage("%s takes no argument %s", quoted(name), quoted(args[0]))
	}
	switch name {
	case "tour":
		return tour(cfg, stdout)
	case "chaos":
		return chaosCommand(cfg, args, stdout)
	case "healthcheck":
		return healthcheck(cfg, stdout)
	case "manifest":
		return manifest(cfg, stdout)
	case "help":
		help(stdout)
		return nil
	}
	return usage("there is no command %s; demo help lists them", quoted(name))
}

// quoted repeats an argument if it is a word, as commands and faults are. What
// stands where it does not belong may be half of an address, or the other half.
func quoted(arg string) string {
	if word.MatchString(arg) {
		return strconv.Quote(arg)
	}
	return "(an argument that is not repeated here: it may hold a password; put values with spaces into quotes)"
}

var word = regexp.MustCompile(`^[a-z-]{1,20}$`)

// usageError is what was wrong before anything was started.
type usageError struct{ error }

// Unwrap returns what it was.
func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported ends the program with exitFailed. What there is to say was said.
var errReported = errors.New("reported")

// exitCode says what went wrong, a line for each fault, and returns the code.
func exitCode(err error, stderr io.Writer) int {
	var bad usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailed
	case errors.As(err, &bad):
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(stderr, "demo: %s (see demo --help)\n", strings.TrimSpace(line))
		}
		return exitUsage
	}
	fmt.Fprintf(stderr, "demo: %v\n", err)
	return exitFailed
}
