// Command benchmarks measures what supervision costs: coppice beside bare
// goroutines, beside one plain loop, and beside other supervisors, all doing
// the same work in turns. It prints a Markdown table of medians and of the
// ratios between contestants: on a shared machine only the ratios are worth
// reading.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	quick := flag.Bool("quick", false, "fewer repeats of everything but the starts")
	rounds := flag.Int("rounds", 0, "rounds of each work; 0 is 7, 3 with -quick")
	children := flag.Int("children", 100_000, "how many children the large trees have")
	only := flag.String("only", "", "works to measure, by the start of their names, separated by commas")
	flag.Parse()

	if *rounds == 0 {
		*rounds = map[bool]int{true: 3, false: 7}[*quick]
	}
	chosen := choose(works, *only)
	everybody, absent := contestants()
	results, err := race(chosen, everybody, newSize(*children, *quick), *rounds, progress)
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
	fmt.Print(report(results, everybody, absent, *rounds))
}

func progress(w *work) { fmt.Fprintln(os.Stderr, w.name) }

// choose returns the works whose names start with one of the comma-separated
// words; all of them for "".
func choose(all []*work, words string) (chosen []*work) {
	for _, w := range all {
		for word := range strings.SplitSeq(words, ",") {
			if strings.HasPrefix(w.name, word) {
				chosen = append(chosen, w)
				break
			}
		}
	}
	return chosen
}
