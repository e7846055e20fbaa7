package supervisor

import (
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"sync"
	"time"
)

// A prober is the probe of one incarnation at work: one goroutine, from ready
// to the end of the incarnation's context. Checks and remedies run in others,
// so that none that hangs holds it up.
type prober struct {
	Probe // with its defaults
	inc   *incarnation
	care  *care
	newer <-chan struct{} // the Spec has changed

	err       error // of the last check
	is        marks // what err says besides
	took      time.Duration
	failures  int  // in a row
	successes int  // in a row
	impaired  bool // as the core was told
	rung      int  // the remedies before it have been tried, or may not be, since the threshold
	attempts  map[string]int
}

// A care is what outlives the incarnations of a probed child.
type care struct {
	attends uint64        // the incarnation that was probed last; of who drives, as is nudges
	nudges  chan struct{} // its: holds a token when its prober must look at the Spec anew

	mu    sync.Mutex           // guards all below
	tried map[string]time.Time // when each remedy was begun last
	state ProbeState
	of    uint64  // the incarnation that state is of
	said  []Event // since all was well, at most maxSaid, oldest first
}

// maxSaid is how much of what a probe found is kept for an Incident.
const maxSaid = 8

// note keeps what the probe has found or done.
func (c *care) note(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, e)
	if len(c.said) > maxSaid {
		c.said = c.said[1:]
	}
}

func (c *care) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = nil
}

// before returns what was noted; nothing without a probe.
func (c *care) before() []Event {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.said)
}

// attend probes the incarnation of ch that has just become ready.
func (r *runner) attend(ch *child) {
	c := ch.unit.care.Load()
	if c == nil {
		c = &care{tried: make(map[string]time.Time)}
		ch.unit.care.Store(c)
	}
	c.attends, c.nudges = ch.incarnation, make(chan struct{}, 1)
	p := &prober{inc: ch.unit.inc, care: c, newer: c.nudges, attempts: make(map[string]int)}
	r.probers.Go(p.run)
}

// nudge has the prober of that incarnation, if it has one, look at the Spec anew.
func (c *care) nudge(number uint64) bool {
	if c == nil || c.attends != number {
		return false
	}
	select {
	case c.nudges <- struct{}{}:
	default:
	}
	return true
}

// run climbs the ladder: check, remedies, restart.
func (p *prober) run() {
	pprof.SetGoroutineLabels(p.inc.tree.base) // not those of the worker in whose goroutine it was begun
	for p.pause() && p.check() {
		p.tell()
		for p.failures >= p.Failures {
			remedy := p.remedy()
			if remedy == nil {
				p.inc.unhealthy(ending{err: fmt.Errorf("%d checks in a row failed: %w", p.failures, p.err), is: p.is})
				return
			}
			if !p.try(remedy) {
				return
			}
		}
	}
}

// pause waits for the next check, by the Probe that is in the Spec meanwhile.
// Like all that takes time here it reports false once the worker is told to
// stop, or has ended.
func (p *prober) pause() bool {
	began := time.Now()
	for {
		due := p.renew(began)
		select {
		case <-due:
			return true
		case <-p.newer:
		case <-p.inc.ctx.Done():
			return false
		}
	}
}

// renew takes the Probe that is in the Spec now, and returns what tells when the
// next check is due in a pause that began then: never without a Probe, which
// has nothing to say.
func (p *prober) renew(began time.Time) <-chan time.Time {
	probe := p.inc.spec().Probe
	if probe == nil {
		p.failures, p.successes, p.impaired = 0, 0, false
		p.inc.impaired(byProbe, nil)
		return nil
	}
	p.Probe = probe.withDefaults()
	return time.After(p.spread() - time.Since(began))
}

// check makes one, and counts.
func (p *prober) check() bool {
	began := time.Now()
	end := p.inc.call("check", p.Timeout, p.Check)
	p.err, p.is, p.took = end.err, end.is, time.Since(began)
	if p.err != nil {
		p.failures, p.successes = p.failures+1, 0
	} else {
		p.failures, p.successes, p.rung = 0, p.successes+1, 0
	}
	return p.inc.ctx.Err() == nil
}

// tell says what the last check has shown.
func (p *prober) tell() {
	p.care.show(p.inc.number, ProbeState{At: time.Now(), Took: p.took, Err: p.err,
		Failures: p.failures, Threshold: p.Failures, Interval: p.Interval, Next: p.next()})
	switch {
	case p.err != nil:
		p.impaired = true
		p.care.note(Event{Time: time.Now(), Path: p.inc.path(), Kind: EventImpaired, Incarnation: p.inc.number, Err: p.err})
		p.inc.impaired(byProbe, p.err)
	case p.successes >= p.Successes:
		p.care.forget() // also what an incarnation before this one has found
		p.recovered()
	}
}

func (p *prober) recovered() {
	if p.impaired {
		p.impaired = false
		p.inc.impaired(byProbe, nil)
	}
}

func (p *prober) next() string {
	if p.failures < p.Failures {
		return "check"
	}
	if remedy := p.remedy(); remedy != nil {
		return "remedy " + remedy.Name
	}
	return "restart"
}

// remedy returns the next that may be tried, nil if there is none.
func (p *prober) remedy() *Remedy {
	for ; p.rung < len(p.Remedies); p.rung++ {
		remedy := &p.Remedies[p.rung]
		if p.attempts[remedy.Name] < remedy.Attempts && p.care.rested(remedy) {
			return remedy
		}
	}
	return nil
}

// try tries a remedy, and has a check say whether it helped.
func (p *prober) try(remedy *Remedy) bool {
	p.rung++
	p.attempts[remedy.Name]++
	p.care.try(remedy)
	why := p.inc.call("remedy "+remedy.Name, remedy.Timeout, remedy.Do).err
	if p.inc.ctx.Err() != nil || !p.check() {
		return false
	}
	if why == nil || p.err == nil {
		why = p.err
	}
	p.care.note(Event{Time: time.Now(), Path: p.inc.path(), Kind: EventRemedy, Incarnation: p.inc.number, Remedy: remedy.Name, Err: why})
	p.inc.tell(&input{kind: remedied, err: &remedyError{remedy.Name, why}}) // by way of the loop, as all else that it is told: in order
	p.tell()
	return true
}

// rested reports whether the remedy has cooled down.
func (c *care) rested(remedy *Remedy) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.tried[remedy.Name]
	return last.IsZero() || time.Since(last) >= remedy.Cooldown
}

func (c *care) try(remedy *Remedy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried[remedy.Name] = time.Now()
}

// show leaves what the probe of an incarnation has found, unless a later one
// has already.
func (c *care) show(number uint64, state ProbeState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number >= c.of {
		c.of, c.state = number, state
	}
}

// shown returns what the probe of an incarnation found last, nil if it found
// nothing yet.
func (c *care) shown(number uint64) *ProbeState {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of != number || number == 0 {
		return nil
	}
	state := c.state
	return &state
}

// call runs f, a check or a remedy, in its turn and in a goroutine of its own,
// and waits no longer than timeout for it. What f says after that, and after
// the worker was told to stop, counts for nothing.
func (inc *incarnation) call(what string, timeout time.Duration, f func(context.Context) error) ending {
	deadline := time.Now().Add(timeout)
	ctx, cancel := context.WithDeadline(inc.ctx, deadline)
	defer cancel()
	turn := fmt.Sprintf("%s (%s)", inc.path(), what)
	if err := inc.tree.turns.take(ctx, turn); err != nil {
		return ending{err: err, is: unavailable}
	}
	result := make(chan ending, 1)
	go inc.answer(ctx, turn, f, result)
	select {
	case end := <-result:
		if time.Now().Before(deadline) {
			return end
		}
	case <-ctx.Done():
	}
	return ending{err: fmt.Errorf("%w: no answer within %v", ErrUnavailable, timeout), is: unavailable}
}

// answer gives the turn back before the result, so that nothing is found to
// run any more that is known to have ended. The error is judged and put into
// words here: its methods take their time from the check's.
func (inc *incarnation) answer(ctx context.Context, turn string, f func(context.Context) error, result chan<- ending) {
	err := errGoexit
	defer func() {
		if value := recover(); value != nil {
			err = Recovered(value)
		}
		end := ending{err: errUnreadable}
		defer func() {
			inc.tree.turns.giveBack(turn)
			result <- end
		}()
		judged := judge(inc, err)
		if err != nil {
			judged.err = &worded{err, textOf(err)}
		}
		end = judged
	}()
	err = f(ctx)
}
