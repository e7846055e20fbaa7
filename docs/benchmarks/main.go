// Command benchmarks measures what supervision costs: coppice beside bare
// goroutines, beside one plain loop, and beside other supervisors, all doing
// the same work in turns, each in a fresh process; how that grows with the
// tree; and what it costs at rest and while many ask; and libraries that answer
// a platform's probes, coppice among them. With -save a command also
// writes what it has measured into results, and its section of
// docs/performance.md. Run it in its own folder.
package main

import (
	"flag"
	"fmt"
	"os"
)

// A command is one thing to be measured. It gets the words after its name.
type command struct {
	name, does string
	run        func(args []string) error
}

func commands() []command {
	return []command{
		{"race", "coppice beside others, as a table", raceCommand},
		{"compare", "the race again; fails if coppice is more than 30 % worse than in results/race.json", compareCommand},
		{"grow", "how cost grows with the tree, as plots: to a million children, 1,000 levels", growCommand},
		{"contend", "how long restarts stall while many ask", contendCommand},
		{"rest", "what a tree costs in which nothing happens", restCommand},
		{"health", "libraries that answer a platform's probes", healthCommand},
		{"page", "the sections of docs/performance.md again, from results", pageCommand},
		{"alone", "(one task of the others, in a process of its own)", alone},
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	for _, c := range commands() {
		if len(args) > 0 && c.name == args[0] {
			return c.run(args[1:])
		}
	}
	for _, c := range commands() {
		fmt.Fprintf(os.Stderr, "go run . %-8s  %s\n", c.name, c.does)
	}
	return flag.ErrHelp
}
