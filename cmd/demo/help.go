package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

const helpHead = `demo is a small shop that heals in front of you: orders, a database, a cache,
workers and an HTTP server, as one supervision tree. It needs no set-up.

Usage:
  demo [flags]                  run the shop, until Ctrl-C or SIGTERM
  demo tour [flags]             break it in every way and watch it heal (a minute or two)
  demo chaos [flags] [fault]    break a running shop; without a fault, list them
  demo healthcheck [flags]      ask a running shop how it is: exit code 0 or 1
  demo manifest [flags]         what a Kubernetes manifest, or a systemd unit, must give it
  demo help                     this text

Flags, the environment variables that stand for them, and their defaults:
`

const helpTail = `
Exit codes: 0 it ended as it was told to; 1 it gave up (or a check says no);
2 it was not started: bad flags, or an address in use. A second Ctrl-C or
SIGTERM ends it at once, with 130 or 143.

Examples:
  demo                                          everything in this process
  demo -dsn postgres://app@db/shop -redis redis:6379
  demo -log json -addr :8080 -probes :8081 -drain 5s      as in a container
  demo -config shop.json                        and kill -HUP it when that has changed
  demo chaos db                                 take its database away for 5 s
  curl -d '{"item":"kettle","quantity":2}' http://127.0.0.1:8080/orders
`

// groups are the flags in the order of the help.
var groups = []struct {
	title string
	flags []string
}{
	{"Where it listens", []string{"addr", "probes", "admin", "admin-token"}},
	{"What it works with", []string{"db", "dsn", "redis", "load", "config"}},
	{"How it runs and ends", []string{"log", "drain", "grace", "termination-log"}},
	{"Of healthcheck", []string{"readyz", "livez"}},
}

func help(w io.Writer) {
	fmt.Fprint(w, helpHead)
	fs := new(config).flags()
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s:\n", g.title)
		for _, name := range g.flags {
			helpFlag(w, fs.Lookup(name))
		}
	}
	fmt.Fprint(w, helpTail)
}

func helpFlag(w io.Writer, f *flag.Flag) {
	value, text := flag.UnquoteUsage(f)
	fmt.Fprint(w, strings.TrimRight("  -"+f.Name+" "+value, " "))
	if variable := environment(f.Name); variable != "" {
		fmt.Fprintf(w, "  ($%s)", variable)
	}
	if f.DefValue != "" && f.DefValue != "false" {
		fmt.Fprintf(w, "  default %s", f.DefValue)
	}
	fmt.Fprintf(w, "\n      %s\n", text)
}
