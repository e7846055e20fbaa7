package page

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// A Setting is what must be known of a measurement to judge it.
type Setting struct {
	Command string // that does it again
	CPU     string
	Cores   int
	Go      string
	Date    string
	Load    string // how many processes wanted the machine, at the end; "" where the system does not tell
}

// Here returns the setting of this process, which does what the words say.
func Here(command string) Setting {
	return Setting{
		Command: command, CPU: cpu(), Cores: runtime.NumCPU(), Go: runtime.Version(),
		Date: time.Now().Format(time.DateOnly), Load: load(),
	}
}

// Again is the command line of this process, in words that can be run again.
func Again(program string) string {
	return strings.Join(append([]string{"go run " + program}, os.Args[1:]...), " ")
}

func (s Setting) String() string {
	text := fmt.Sprintf("%s; %d cores; %s; %s", s.CPU, s.Cores, s.Go, s.Date)
	if s.Load != "" {
		text += "; load " + s.Load
	}
	return text
}

// load is the average over the last 15 minutes: of about the whole run.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(text)); len(fields) > 2 {
		return fields[2]
	}
	return ""
}

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
