package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/coppice-go/coppice/docs/benchmarks/page"
)

// A nap is a tree of idle children that is watched for a while.
type nap struct {
	Host     string
	Children int
	For      time.Duration
}

// A doze is what the process used meanwhile.
type doze struct {
	Nap      nap
	CPU      time.Duration // user and system
	Switches int64         // of threads, of their own will: each time one had nothing to do
}

func doNap(n nap) (d doze, err error) {
	children, up, _ := idlers(n.Children)
	t := hostNamed(n.Host).start(children)
	defer t.stop()
	up.wait()
	t.settle()
	runtime.GC() // or else it comes meanwhile
	time.Sleep(n.For / 5)
	before := usage()
	time.Sleep(n.For)
	after := usage()
	spent := func(of func(syscall.Rusage) int64) int64 { return of(after) - of(before) }
	cpu := spent(func(u syscall.Rusage) int64 { return u.Utime.Nano() + u.Stime.Nano() })
	return doze{n, time.Duration(cpu), spent(func(u syscall.Rusage) int64 { return u.Nvcsw })}, nil
}

// usage is of the whole process.
func usage() (u syscall.Rusage) {
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u
}

// A night is all naps of one run.
type night struct {
	Setting page.Setting
	Dozes   []doze
}

func restCommand(args []string) error {
	flags := flag.NewFlagSet("rest", flag.ExitOnError)
	each := flags.Duration("for", 30*time.Second, "how long each tree is watched")
	children := flags.Int("children", 100_000, "how many children idle")
	save := flags.Bool("save", false, "write results/rest.json and the section in docs/performance.md")
	_ = flags.Parse(args)
	var n night
	for _, host := range []*host{coppice, raw, bare} {
		for _, many := range []int{0, *children} {
			fmt.Fprintln(os.Stderr, host.called, many)
			var d doze
			if err := fresh("nap", nap{host.called, many, *each}, &d); err != nil {
				return err
			}
			n.Dozes = append(n.Dozes, d)
		}
	}
	n.Setting = page.Here(page.Again("."))
	fmt.Print(n.report())
	if !*save {
		return nil
	}
	return keep("rest", &n)
}

func (n *night) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s\n\n%s.\n\n| at rest for %v | children | CPU time | of one core | waits of threads |\n|---|---|---|---|---|\n",
		n.Setting.Command, n.Setting, n.Dozes[0].Nap.For)
	for _, d := range n.Dozes {
		fmt.Fprintf(&b, "| %s | %s | %s | %.4f %% | %d |\n", d.Nap.Host, page.Count(d.Nap.Children),
			page.Nanoseconds(float64(d.CPU)), 100*d.CPU.Seconds()/d.Nap.For.Seconds(), d.Switches)
	}
	return b.String()
}
