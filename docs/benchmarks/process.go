package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/coppice-go/coppice/docs/benchmarks/health"
)

// Whatever is measured runs in a process of its own, as a service does that
// starts its tree once. In one process for all, who comes later finds memory
// that the kernel has given already, goroutines' descriptors that were made for
// others, and a garbage collector that has another goal: the second start of
// the same tree takes 60 % of the first.

// patience is how long a process may take: a million children need a minute.
const patience = 10 * time.Minute

// tasks are what a process can be asked for.
var tasks map[string]func(task []byte) (any, error)

func init() { // by hand: a task may lead here
	tasks = map[string]func([]byte) (any, error){
		"work":    asTask(doWork),
		"shape":   asTask(doShape),
		"climb":   asTask(doClimb),
		"contend": asTask(doContend),
		"nap":     asTask(doNap),
		"health":  asTask(health.Do),
	}
}

func asTask[In, Out any](do func(In) (Out, error)) func([]byte) (any, error) {
	return func(text []byte) (any, error) {
		var in In
		if err := json.Unmarshal(text, &in); err != nil {
			return nil, err
		}
		return do(in)
	}
}

// outcome is what a process prints.
type outcome struct {
	Answer any
	Dash   bool // it does not do this
}

// fresh has a new process do the task, and reads its answer.
func fresh(name string, task, answer any) error {
	text, err := json.Marshal(task)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, exe, "alone", name, string(text))
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, text, err, &said)
	}
	got := outcome{Answer: answer}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, text, err, &out)
	}
	if got.Dash {
		return errDash
	}
	return nil
}

// alone does one task, in the process that fresh has started for it.
func alone(args []string) error {
	if len(args) != 2 || tasks[args[0]] == nil {
		return fmt.Errorf("%q is no task", args)
	}
	answer, err := tasks[args[0]]([]byte(args[1]))
	if err != nil && !errors.Is(err, errDash) {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(outcome{answer, err != nil})
}
