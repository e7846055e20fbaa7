package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A unit says by what a cost is divided to be read, and what it is then.
type unit func(cost float64) (by float64, suffix string)

func nanos(cost float64) (float64, string) {
	if cost < 1e3 {
		return 1, " ns"
	}
	return 1e3, " µs"
}

func octets(float64) (float64, string) { return 1, " B" }
func times(float64) (float64, string)  { return 1, "" }

// digits are as many as there is sense in.
func digits(value float64) string {
	switch {
	case value < 10:
		return fmt.Sprintf("%.2f", value)
	case value < 100:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.0f", value)
	}
}

// report is the table, with what must be known to judge it.
func report(results []result, all []contestant, absent []string, rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %d cores; %s; %s; medians of %d rounds (least–most), → is coppice's cost by theirs.\n\n    %s\n\n",
		cpu(), runtime.NumCPU(), runtime.Version(), time.Now().Format(time.DateOnly), rounds, command())
	head, rule := "| work |", "|---|"
	for _, c := range all {
		head += " " + c.name() + " |"
		rule += "---|"
	}
	fmt.Fprintf(&b, "%s\n%s\n", head, rule)
	for _, r := range results {
		b.WriteString(r.row())
	}
	for _, who := range absent {
		fmt.Fprintf(&b, "\nNot measured: %s.\n", who)
	}
	return b.String()
}

func (r *result) row() string {
	row := "| " + r.work.name + " |"
	for i, costs := range r.costs {
		row += " " + r.cell(costs, i == 0) + " |"
	}
	return row + "\n"
}

func (r *result) cell(costs []float64, ours bool) string {
	if len(costs) == 0 {
		return "–"
	}
	by, suffix := r.work.unit(median(costs))
	cell := fmt.Sprintf("%s%s (%s–%s)", digits(median(costs)/by), suffix, digits(slices.Min(costs)/by), digits(slices.Max(costs)/by))
	if !ours && len(r.costs[0]) > 0 {
		cell += " → " + digits(ratio(r.costs[0], costs))
	}
	return cell
}

// command is what was run, in words that can be run again.
func command() string { return strings.Join(append([]string{"go run ."}, os.Args[1:]...), " ") }

// cpu returns the processor's name where the system tells it.
func cpu() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		out, _ := exec.Command("sysctl", "-n", "machdep.cpu.brand_string").Output()
		return strings.TrimSpace(string(out) + " " + runtime.GOARCH)
	}
	for line := range strings.Lines(string(info)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
