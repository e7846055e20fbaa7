package main

import (
	"bytes"
	"io"
	"runtime/trace"
	"slices"
	"strings"
	"time"

	read "golang.org/x/exp/trace"
)

// A wait is how often, and how long, the goroutines that run a tree's workers
// waited for something.
type wait struct {
	Times    int
	P99, Max time.Duration
}

// traced calls do, and returns how long those goroutines waited meanwhile: for
// a lock of coppice's, and, when they could go on, for a processor.
func traced(do func()) (locks, processors wait, err error) {
	var text bytes.Buffer
	if err := trace.Start(&text); err != nil {
		return wait{}, wait{}, err
	}
	do()
	trace.Stop()
	t := tracing{workers: map[read.GoID]spell{}}
	err = t.read(&text)
	return waitOf(t.locks), waitOf(t.processors), err
}

func waitOf(took []time.Duration) wait {
	if len(took) == 0 {
		return wait{}
	}
	slices.Sort(took)
	return wait{len(took), took[len(took)*99/100], took[len(took)-1]}
}

// A tracing follows the goroutines that run workers.
type tracing struct {
	workers           map[read.GoID]spell
	locks, processors []time.Duration
}

// A spell is what a goroutine waits for, and since when.
type spell struct {
	what  what
	since read.Time
}

type what int

const (
	nothing what = iota
	something
	aLock
	aProcessor
)

func (t *tracing) read(text io.Reader) error {
	reader, err := read.NewReader(text)
	if err != nil {
		return err
	}
	for {
		event, err := reader.ReadEvent()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case event.Kind() != read.EventStateTransition:
			continue
		}
		if s := event.StateTransition(); s.Resource.Kind == read.ResourceGoroutine {
			t.follow(s, event.Time())
		}
	}
}

// follow takes a goroutine's change of state.
func (t *tracing) follow(s read.StateTransition, at read.Time) {
	id := s.Resource.Goroutine()
	before, isWorker := t.workers[id]
	var now what
	switch _, to := s.Goroutine(); to {
	case read.GoWaiting:
		now, isWorker = blockedOn(s.Stack)
	case read.GoRunnable:
		now = aProcessor
	}
	if !isWorker {
		return
	}
	t.workers[id] = spell{now, at}
	switch took := at.Sub(before.since); before.what {
	case aLock:
		t.locks = append(t.locks, took)
	case aProcessor:
		t.processors = append(t.processors, took)
	}
}

// blockedOn says what the goroutine of that stack waits for, and whether it runs
// workers.
func blockedOn(s read.Stack) (w what, isWorker bool) {
	w = something
	locking, named := false, false
	for frame := range s.Frames() {
		name := frame.Func
		switch {
		case strings.HasSuffix(name, "supervisor.(*slot).Serve"):
			isWorker = true
		case strings.Contains(name, "sync.(*Mutex)"):
			locking = true
		case !named && !strings.HasPrefix(name, "runtime."): // who called for it
			named = true
			if locking && strings.Contains(name, "coppice/supervisor.") {
				w = aLock
			}
		}
	}
	return w, isWorker
}
