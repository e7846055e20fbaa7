package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// vitals is how large a process is.
type vitals struct {
	goroutines int
	liveHeap   int // bytes that the last collection left
	files      int // open
	resident   int // bytes
}

func (v vitals) String() string {
	return fmt.Sprintf("%d goroutines, %.1f MB live heap, %d open files, %.0f MB resident",
		v.goroutines, float64(v.liveHeap)/1e6, v.files, float64(v.resident)/1e6)
}

// vitals measures a calm shop. Its pools are new, and so as large each time: the
// network was away just before.
func (c *chaos) vitals() vitals {
	c.t.Helper()
	c.dbNet.Refuse()
	c.redisNet.Refuse()
	c.until("the database is missed", func() bool { return !c.ready() })
	c.until("the cache is missed", func() bool { return c.get(c.probes+"/readyz/shop/storage/cache").code != 200 })
	c.dbNet.Pass()
	c.redisNet.Pass()
	c.until("all is ready", c.allReady)
	begin := time.Now()
	for time.Since(begin) < 2*time.Second { // makes garbage, so that it is collected
		c.tree()
	}
	return c.demo.vitals()
}

// vitals measures the running process now; goroutines and heap are as it last
// said, twice a second in a demo with such a report.
func (d *demo) vitals() (v vitals) {
	d.t.Helper()
	v.goroutines, v.liveHeap = d.said()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.process.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	v.files = len(files)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.process.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(text)[0])
	if err != nil {
		d.t.Fatal(err)
	}
	v.resident = kib << 10
	return v
}

// said is what the demo last said of itself.
func (d *demo) said() (goroutines, liveHeap int) {
	d.t.Helper()
	log := d.out.String()
	at := strings.LastIndex(log, `{"level":"info","goroutines":`)
	if at < 0 {
		d.t.Fatal("the demo does not say how many goroutines it has")
	}
	var line struct {
		Goroutines int `json:"goroutines"`
		LiveHeap   int `json:"live_heap_bytes"`
	}
	if err := json.NewDecoder(strings.NewReader(log[at:])).Decode(&line); err != nil {
		d.t.Fatal(err)
	}
	return line.Goroutines, line.LiveHeap
}

// leaksNothing compares the same process before and after. One with too many
// goroutines ends with that, to tell which.
func (c *chaos) leaksNothing(before, after, slack vitals) {
	c.t.Helper()
	if more := after.files - before.files; more > slack.files {
		c.t.Errorf("%d open files more than at the start", more)
	}
	if more := after.liveHeap - before.liveHeap; more > slack.liveHeap {
		c.t.Errorf("%d bytes of live heap more than at the start", more)
	}
	if slices.Contains(buildFlags, "-race") {
		slack.resident = 512 << 20 // what the detector keeps itself grew by half of that
	}
	if more := after.resident - before.resident; more > slack.resident {
		c.t.Errorf("%d bytes of resident memory more than at the start", more)
	}
	if more := after.goroutines - before.goroutines; more > slack.goroutines {
		c.t.Fatalf("%d goroutines more than at the start; it has\n%s", more, c.goroutines())
	}
}

// goroutines ends the demo, and tells how many goroutines it had, by where they
// were and who began them.
func (c *chaos) goroutines() string {
	c.t.Helper()
	c.signal(syscall.SIGQUIT)
	c.exit(10 * time.Second)
	_, dump, _ := strings.Cut(c.out.String(), "SIGQUIT: quit")
	count := map[string]int{}
	for stack := range strings.SplitSeq(dump, "\n\n") {
		if strings.HasPrefix(stack, "goroutine ") {
			_, by, _ := strings.Cut(stack, "\ncreated by ")
			by, _, _ = strings.Cut(by, " in goroutine ")
			count[top(stack)+", by "+by]++
		}
	}
	var all []string
	for where, n := range count {
		all = append(all, fmt.Sprintf("%4d × %s\n", n, where))
	}
	slices.Sort(all)
	slices.Reverse(all)
	return strings.Join(all, "")
}

// top is the function at the top of a stack that is not the runtime's own.
func top(stack string) string {
	for line := range strings.SplitSeq(stack, "\n") {
		if at := strings.LastIndex(line, "("); at > 0 && !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "runtime.") {
			return line[:at]
		}
	}
	return "runtime"
}
