package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/coppice-go/coppice/docs/benchmarks/health"
	"github.com/coppice-go/coppice/docs/benchmarks/page"
)

// A checkup is what came of each library's jobs.
type checkup struct {
	Setting page.Setting
	Jobs    []health.Job // of the first library; those of the others are alike
	Found   []found
}

type found struct {
	Checker  string
	Outcomes []health.Outcome // of each job
}

func healthCommand(args []string) error {
	flags := flag.NewFlagSet("health", flag.ExitOnError)
	hang := flags.Duration("hang", 20*time.Second, "how long a check hangs")
	save := flags.Bool("save", false, "write results/health.json and the section of docs/performance.md")
	_ = flags.Parse(args)
	c := checkup{Jobs: jobs(400*time.Millisecond, *hang)}
	if err := c.examine(); err != nil {
		return err
	}
	fmt.Print(c.report())
	if !*save {
		return nil
	}
	return keep("health", &c)
}

func jobs(slow, hang time.Duration) []health.Job {
	return []health.Job{
		{Work: "answer", Checks: 10}, {Work: "answer", Checks: 1_000},
		{Work: "slow", Checks: 10, For: slow}, {Work: "hang", Checks: 10, For: hang},
	}
}

func (c *checkup) examine() error {
	for _, name := range health.Names() {
		f := found{Checker: name, Outcomes: make([]health.Outcome, len(c.Jobs))}
		for i, job := range c.Jobs {
			fmt.Fprintln(os.Stderr, name, job.Work, job.Checks)
			job.Checker = name
			if err := fresh("health", job, &f.Outcomes[i]); err != nil {
				return err
			}
		}
		c.Found = append(c.Found, f)
	}
	c.Setting = page.Here(page.Again("."))
	return nil
}

func (c *checkup) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s\n\n%s.\n\n| |", c.Setting.Command, c.Setting)
	for _, job := range c.Jobs {
		b.WriteString(heading(job))
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", strings.Count(heading(c.Jobs[3]), "|")+3) + "\n")
	for _, f := range c.Found {
		fmt.Fprintf(&b, "| %s |", f.Checker)
		for i, job := range c.Jobs {
			b.WriteString(cells(job, f.Outcomes[i]))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// heading is those of the job's columns.
func heading(job health.Job) string {
	switch job.Work {
	case "answer":
		return fmt.Sprintf(" answer, %s checks: p50 (p99) |", page.Count(job.Checks))
	case "slow":
		return fmt.Sprintf(" slowest of %d at once, one check takes %v |", health.Burst, job.For)
	}
	return fmt.Sprintf(" a check hangs: goroutines more after %v | first answer that is not yes | yes within %v | no answer within 1 s |", job.For/4, job.For)
}

func cells(job health.Job, o health.Outcome) string {
	switch job.Work {
	case "answer":
		return fmt.Sprintf(" %s (%s) |", took(o.P50), took(o.P99))
	case "slow":
		return fmt.Sprintf(" %s |", took(o.Slowest))
	}
	first := "never"
	if o.Yes < o.Asked {
		first = fmt.Sprintf("after %.1f s", o.Red.Seconds())
	}
	return fmt.Sprintf(" %d | %s | %s | %s |", o.Goroutines, first, share(o.Yes, o.Asked), share(o.Silent, o.Asked))
}

func share(n, of int) string { return fmt.Sprintf("%.0f %%", 100*float64(n)/float64(of)) }
