package supervisor_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// The traces in testdata/otp were recorded from Erlang/OTP's own supervisor.
// A scenario is a tree and a list of actions; its trace holds, for the start
// of the tree and for each action, the result and the events, in order.

type otpScenario struct {
	ID      string
	Spec    otpSup
	Actions []otpAction
	Trace   []otpStep
}

type otpSup struct {
	Strategy     string
	Intensity    int
	Period       int
	AutoShutdown string `json:"auto_shutdown"`
	Children     []otpChild
}

type otpChild struct {
	ID, Type, Restart string
	Significant       bool
	Starts            []string
	Spec              *otpSup
}

type otpAction struct {
	Crash, Reason string
	StartChild    string `json:"start_child"`
	Child         *otpChild
	Terminate     string `json:"terminate_child"`
	Restart       string `json:"restart_child"`
	Delete        string `json:"delete_child"`
	Which         string `json:"which_children"`
	Count         string `json:"count_children"`
	Stop, ID      string
	During        *otpAction `json:"during_retry"`
}

type otpStep struct {
	Result   string          `json:"result"`
	Events   []otpEvent      `json:"events"`
	Children []otpChildState `json:"children,omitempty"`
	Counts   *otpCounts      `json:"counts,omitempty"`
	During   *otpStep        `json:"during_result,omitempty"`
}

type otpEvent map[string]any

type otpChildState struct{ ID, Type, State string }

type otpCounts struct{ Specs, Active, Supervisors, Workers int }

// TestConformsToOTP replays every recorded scenario through the public API,
// under Strict, and compares everything that can be seen, in order. One
// normalisation, on both sides: a goroutine cannot be killed, so "killed"
// reads "terminated". More files, separated by ':', can be named in the
// environment variable OTP_TRACES.
func TestConformsToOTP(t *testing.T) { // S3, S13, S22, S30
	files, _ := filepath.Glob("testdata/otp/*.jsonl")
	files = append(files, strings.FieldsFunc(os.Getenv("OTP_TRACES"), func(r rune) bool { return r == ':' })...)
	scenarios, replayed, identical := 0, 0, 0
	for _, file := range files {
		if testing.Short() && filepath.Base(file) == "otp-random.jsonl" {
			continue
		}
		for _, sc := range readScenarios(t, file) {
			scenarios++
			seen := sc.replay(t)
			replayed++
			if diff := seen.diff(sc.Trace); diff == "" {
				identical++
			} else {
				t.Errorf("%s: %s: %s", file, sc.ID, diff)
			}
		}
	}
	fmt.Printf("OTP: %d scenarios, %d identical, %d skipped (killed reads terminated on both sides)\n", scenarios, identical, scenarios-replayed)
	if scenarios < 50 {
		t.Errorf("only %d scenarios were found", scenarios)
	}
}

// TestConformanceCheckerCanFail shows that no difference goes unnoticed.
func TestConformanceCheckerCanFail(t *testing.T) {
	sc := readScenarios(t, "testdata/otp/otp-sample.jsonl")[0]
	seen := sc.replay(t)
	mutate := func(name string, change func(trace []otpStep) []otpStep) {
		data, _ := json.Marshal(sc.Trace)
		var trace []otpStep
		if err := json.Unmarshal(data, &trace); err != nil {
			t.Fatal(err)
		}
		if seen.diff(change(trace)) == "" {
			t.Errorf("%s: not noticed", name)
		}
	}
	mutate("an event swapped", func(s []otpStep) []otpStep {
		s[0].Events[0], s[0].Events[1] = s[0].Events[1], s[0].Events[0]
		return s
	})
	mutate("an event dropped", func(s []otpStep) []otpStep { s[1].Events = s[1].Events[1:]; return s })
	mutate("an event added", func(s []otpStep) []otpStep { s[1].Events = append(s[1].Events, s[1].Events[0]); return s })
	mutate("a result", func(s []otpStep) []otpStep { s[1].Result = "error:running"; return s })
	mutate("a number", func(s []otpStep) []otpStep { s[0].Events[0]["n"] = 2.0; return s })
	mutate("a child's state", func(s []otpStep) []otpStep { s[5].Children[0].State = "stopped"; return s })
	mutate("counts", func(s []otpStep) []otpStep { s[5].Counts = &otpCounts{}; return s })
	mutate("a step", func(s []otpStep) []otpStep { return s[1:] })
}

func readScenarios(t *testing.T, file string) []otpScenario {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []otpScenario
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var sc otpScenario
		if err := json.Unmarshal(lines.Bytes(), &sc); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, sc)
	}
	return all
}

type otpTrace []otpStep

// diff names the first difference, "" if there is none.
func (seen otpTrace) diff(want []otpStep) string {
	for i := range max(len(seen), len(want)) {
		if i >= len(seen) || i >= len(want) {
			return fmt.Sprintf("%d steps, want %d", len(seen), len(want))
		}
		got, want := normal(seen[i]), normal(want[i])
		if !reflect.DeepEqual(got, want) {
			g, _ := json.Marshal(got)
			w, _ := json.Marshal(want)
			return fmt.Sprintf("step %d\n got %s\nwant %s", i, g, w)
		}
	}
	return ""
}

// normal makes two steps comparable: numbers as JSON has them, killed as
// terminated.
func normal(s otpStep) otpStep {
	data, _ := json.Marshal(s)
	var out otpStep
	_ = json.Unmarshal([]byte(strings.ReplaceAll(string(data), `"why":"killed"`, `"why":"terminated"`)), &out)
	return out
}

func (sc otpScenario) replay(t *testing.T) (trace otpTrace) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(sc.Spec)
		defer w.stop()
		trace = append(trace, w.begin())
		for _, a := range sc.Actions {
			trace = append(trace, w.do(a))
		}
	})
	return trace
}

// A world is one running scenario.
type world struct {
	sup    *supervisor.Supervisor
	cancel context.CancelFunc
	ended  chan error // Run's result
	dead   bool

	mu      sync.Mutex
	starts  map[string]int         // start calls per path, never reset
	current map[string]int         // of which start call the events speak that are translated now
	crash   map[string]chan string // running workers
	events  []supervisor.Event     // since the last step
	hold    chan struct{}          // the first start that fails waits for it
	holdIn  string                 // a direct worker of this supervisor
	ctx     context.Context

	lastReason map[string]string // of the last crash, per path
}

func newWorld(spec otpSup) *world {
	w := &world{starts: map[string]int{}, current: map[string]int{}, crash: map[string]chan string{}, lastReason: map[string]string{}, ended: make(chan error, 1)}
	root := otpChild{ID: "root", Type: "supervisor", Restart: "permanent", Spec: &spec}
	var err error
	w.sup, err = supervisor.New(w.spec("", root), supervisor.Options{Observer: w.observe, EventBuffer: 1 << 12})
	if err != nil {
		panic(err)
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

func (w *world) observe(e supervisor.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *world) spec(above string, c otpChild) supervisor.Spec {
	path := strings.TrimPrefix(above+"/"+c.ID, "/")
	s := supervisor.Spec{
		Name:        c.ID,
		Restart:     map[string]supervisor.Restart{"permanent": supervisor.Permanent, "transient": supervisor.Transient, "temporary": supervisor.Temporary}[c.Restart],
		Significant: c.Significant,
	}
	if c.Type == "worker" {
		s.Run = w.worker(path, c.Starts)
		return s
	}
	s.Strict = true
	s.Strategy = map[string]supervisor.Strategy{"one_for_one": supervisor.OneForOne, "one_for_all": supervisor.OneForAll, "rest_for_one": supervisor.RestForOne}[c.Spec.Strategy]
	s.AutoShutdown = map[string]supervisor.AutoShutdown{"never": supervisor.Never, "any_significant": supervisor.AnySignificant, "all_significant": supervisor.AllSignificant}[c.Spec.AutoShutdown]
	s.Intensity = supervisor.Intensity{Restarts: c.Spec.Intensity, Within: time.Duration(c.Spec.Period) * time.Second}
	s.Children = []supervisor.Spec{}
	for _, child := range c.Spec.Children {
		s.Children = append(s.Children, w.spec(path, child))
	}
	return s
}

// worker does what its path's plan says of this start.
func (w *world) worker(path string, plan []string) supervisor.RunFunc {
	return func(ctx context.Context, ready func()) error {
		what, crash, hold := w.call(path, plan)
		if hold != nil {
			<-hold
		}
		switch what {
		case "error":
			return errors.New("start failed")
		case "ignore":
			return supervisor.ErrIgnore
		}
		ready()
		select {
		case <-ctx.Done():
			return nil
		case reason := <-crash:
			if reason == "error" {
				return errors.New("crashed")
			}
			return nil
		}
	}
}

// call counts a start call, and says what it is to do.
func (w *world) call(path string, plan []string) (what string, crash chan string, hold chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.starts[path]++
	n := w.starts[path]
	what = plan[min(n, len(plan))-1]
	crash = make(chan string, 1)
	w.crash[path] = crash
	if what == "error" && w.hold != nil && w.holdIn == parentOf(path) {
		hold, w.hold = w.hold, nil
	}
	return what, crash, hold
}

func (w *world) begin() otpStep {
	go func() { w.ended <- w.sup.Run(w.ctx) }()
	synctest.Wait()
	step := w.step("ok")
	if w.dead {
		step.Result = "error:start_failed"
	}
	return step
}

// step ends a step: all is quiet.
func (w *world) step(result string) otpStep {
	synctest.Wait()
	select {
	case <-w.ended:
		w.dead = true
	default:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	step := otpStep{Result: result, Events: []otpEvent{}}
	for _, e := range w.events {
		if translated := w.translate(e); translated != nil {
			step.Events = append(step.Events, translated)
		}
	}
	w.events = nil
	return step
}

// translate words an event as the traces do; nil for those they do not have.
func (w *world) translate(e supervisor.Event) otpEvent {
	if e.Supervisor {
		return w.translateSup(e)
	}
	n := w.current[e.Path]
	switch e.Kind {
	case supervisor.EventStarted:
		w.current[e.Path]++
	case supervisor.EventReady:
		return otpEvent{"start": e.Path, "n": n}
	case supervisor.EventStartFailed:
		return otpEvent{"start_error": e.Path, "n": n}
	case supervisor.EventIgnored:
		return otpEvent{"start_ignored": e.Path, "n": n}
	case supervisor.EventStopped:
		return otpEvent{"stop": e.Path, "why": "terminated", "n": n}
	case supervisor.EventExited:
		return otpEvent{"stop": e.Path, "why": "exit:" + cmp.Or(w.reason(e), "?"), "n": n}
	}
	return nil
}

// reason is why a worker ended. To us, normal and shutdown are both a nil
// error; which of the two it was is kept by the scenario.
func (w *world) reason(e supervisor.Event) string {
	if e.Err != nil {
		return "error"
	}
	return w.lastReason[e.Path]
}

func (w *world) translateSup(e supervisor.Event) otpEvent {
	var intensity *supervisor.IntensityError
	var start *supervisor.StartError
	switch e.Kind {
	case supervisor.EventStarted:
		w.starts[e.Path]++
	case supervisor.EventReady:
		return otpEvent{"sup_start": e.Path, "n": w.starts[e.Path]}
	case supervisor.EventStopped:
		return w.down(e, "ordered")
	case supervisor.EventStartFailed:
		return otpEvent{"sup_start_error": e.Path, "n": w.starts[e.Path]}
	case supervisor.EventExited:
		switch {
		case errors.As(e.Err, &intensity):
			return w.down(e, "max_intensity")
		case errors.Is(e.Err, supervisor.ErrAutoShutdown):
			return w.down(e, "auto_shutdown")
		case errors.As(e.Err, &start):
			return otpEvent{"sup_start_error": e.Path, "n": w.starts[e.Path]}
		}
		return w.down(e, fmt.Sprint(e.Err))
	}
	return nil
}

func (w *world) down(e supervisor.Event, cause string) otpEvent {
	return otpEvent{"sup_down": e.Path, "reason": "shutdown", "cause": cause, "n": w.starts[e.Path]}
}

func (w *world) do(a otpAction) otpStep {
	if w.dead {
		return otpStep{Result: "dead", Events: []otpEvent{}}
	}
	if a.During != nil {
		return w.doDuring(a)
	}
	answer := w.perform(a)
	step := w.step(answer.Result)
	step.Children, step.Counts = answer.Children, answer.Counts
	return step
}

// doDuring issues a call while the first start after a crash still runs: it is
// served between that attempt and the next.
func (w *world) doDuring(a otpAction) otpStep {
	hold := make(chan struct{})
	w.mu.Lock()
	w.hold, w.holdIn = hold, parentOf(a.Crash)
	w.mu.Unlock()
	result := w.perform(otpAction{Crash: a.Crash, Reason: a.Reason}).Result
	synctest.Wait() // the start function blocks
	during := make(chan otpStep, 1)
	go func() { during <- w.perform(*a.During) }()
	synctest.Wait() // the call has been issued
	close(hold)
	step := w.step(result)
	answer := <-during
	step.During = &answer
	return step
}

// perform makes one call, and returns its answer without events.
func (w *world) perform(a otpAction) (answer otpStep) {
	switch {
	case a.Crash != "":
		w.mu.Lock()
		w.lastReason[a.Crash] = a.Reason
		w.mu.Unlock()
		w.crash[a.Crash] <- a.Reason
		return otpStep{Result: "ok"}
	case a.Stop != "":
		w.cancel()
		return otpStep{Result: "ok"}
	}
	sup := cmp.Or(a.StartChild, a.Terminate, a.Restart, a.Delete, a.Which, a.Count)
	if !w.runs(sup) {
		return otpStep{Result: "error:noproc"}
	}
	path := sup + "/" + a.ID
	switch {
	case a.StartChild != "":
		_, err := w.sup.Add(w.ctx, sup, w.spec(sup, *a.Child))
		return otpStep{Result: outcome(err, "error:start_failed")}
	case a.Terminate != "":
		return otpStep{Result: outcome(w.sup.Stop(w.ctx, path), "?")}
	case a.Restart != "":
		return otpStep{Result: outcome(w.sup.Start(w.ctx, path), "error:start_failed")}
	case a.Delete != "":
		return otpStep{Result: outcome(w.sup.Delete(w.ctx, path), "?")}
	}
	children, err := w.sup.Children(w.ctx, sup)
	answer.Result = outcome(err, "?")
	if a.Count != "" {
		answer.Counts = count(children)
	} else {
		answer.Children = states(children)
	}
	return answer
}

// runs reports whether a supervisor runs at path.
func (w *world) runs(path string) bool {
	snap, err := w.sup.Find(path)
	return err == nil && snap.Supervisor && (snap.State == supervisor.Ready || snap.State == supervisor.Starting)
}

func outcome(err error, other string) string {
	results := []struct {
		err  error
		word string
	}{
		{nil, "ok"},
		{supervisor.ErrIgnore, "ok:undefined"},
		{supervisor.ErrAlreadyStarted, "error:already_started"},
		{supervisor.ErrAlreadyPresent, "error:already_present"},
		{supervisor.ErrNotFound, "error:not_found"},
		{supervisor.ErrRunning, "error:running"},
		{supervisor.ErrRestarting, "error:restarting"},
		{supervisor.ErrInvalid, "error:bad_combination"},
	}
	i := slices.IndexFunc(results, func(r struct {
		err  error
		word string
	}) bool {
		return errors.Is(err, r.err)
	})
	if i < 0 {
		return other
	}
	return results[i].word
}

func count(children []supervisor.Snapshot) *otpCounts {
	c := &otpCounts{Specs: len(children)}
	for _, child := range children {
		if child.Supervisor {
			c.Supervisors++
		} else {
			c.Workers++
		}
		if child.State == supervisor.Ready {
			c.Active++
		}
	}
	return c
}

func states(children []supervisor.Snapshot) []otpChildState {
	words := map[supervisor.State]string{supervisor.Ready: "running", supervisor.Stopped: "stopped", supervisor.BackingOff: "restarting"}
	var out []otpChildState
	for _, child := range children {
		kind := "worker"
		if child.Supervisor {
			kind = "supervisor"
		}
		out = append(out, otpChildState{ID: child.Name(), Type: kind, State: cmp.Or(words[child.State], child.State.String())})
	}
	return out
}

// stop ends what still runs, so that the bubble can end.
func (w *world) stop() {
	w.cancel()
	if !w.dead {
		<-w.ended
	}
}

func parentOf(path string) string { return path[:strings.LastIndex(path, "/")] }
