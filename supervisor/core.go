package supervisor

import (
	"math/rand/v2"
	"slices"
	"time"
)

// core decides; it never acts. It is one supervisor's machine: step takes what
// happened and returns what to do. It has no goroutine, lock, channel or
// logger, and reads no clock, so that every rule of the tree can be tried by
// calling step.
//
// It compares where each child is (state) with where it should be (goal).
// Everything that can happen only marks children: with a goal, a wave, a place
// in a queue. proceed then makes the moves: stops first, from the last child
// backwards; then starts, from the first forwards. Start, restart, group
// restart, stop, shutdown and giving up are this one path.
type core struct {
	spec   *Spec
	path   string
	random func() float64   // in [0, 1)
	haunts func(*child) int // how many abandoned incarnations a new child finds at its path

	newIncident func() *trouble // never the same, over the whole tree; one is involved in it

	siblings
	stops  queue // running children that must stop, each once the one after it is gone
	starts queue // Pending children that start in order
	due    queue // children that wait for a time: to be ready, to have stopped, to start again
	again  queue // Strict: children whose failed start is tried again once all is quiet
	budget budget

	counts counts // over the children; kept by alter
	ill    ill

	ready    bool      // announced
	closing  bool      // all stop, none starts
	ended    bool      // done was returned
	cause    error     // why, for the children's contexts
	failure  error     // what the supervisor ends with
	incident *trouble  // what it is in as a whole: while it starts or stops because of one
	held     bool      // it gave up, and incident waits for the supervisor above
	deadline time.Time // by when all must have stopped; zero: as long as they need; set before toldStop

	deferred []*call   // Strict: calls that wait for the end of a start
	haunted  bool      // a child was abandoned in this step: who adds its path again must wait for the next
	epoch    time.Time // when it was made
	clock    time.Time // of this step
	now      instant   // the same
	out      []action
}

// input is one thing that happened. Those about a child say to which
// incarnation; the runner drops those of dead ones.
type input struct {
	child  *child
	number uint64   // of the incarnation
	err    error    // exited, unhealthy: how; impaired, mustFail: why; remedied: what came of it; toldStop: the cause
	call   *call    // asked
	from   *trouble // exited: the incident over which a supervisor gave up
	kind   inputKind
	is     marks  // exited, unhealthy: what err says besides
	status int8   // reported: the Status
	by     source // impaired: who says so
}

type inputKind uint8

const (
	woke      inputKind = iota // time passed
	began                      // the supervisor starts
	becameUp                   // a child called ready
	exited                     // a child ended
	impaired                   // a worker, or its probe, says how it is
	remedied                   // a worker's probe has tried a remedy
	unhealthy                  // a worker's probe, or its missing beat, says that it must be restarted
	reported                   // a supervisor below says how it is
	returned                   // an abandoned incarnation ended after all
	asked                      // somebody calls
	toldStop                   // the supervisor is told to stop
	mustFail                   // the supervisor must give up
	hurried                    // the deadline is nearer than it was
)

// action is one thing to do.
type action struct {
	do     verb
	child  *child
	number uint64 // of the child's incarnation then
	err    error
	until  time.Time // stop: a supervisor's deadline; emit: when the delay ends
	event  EventKind
	delay  time.Duration
	call   *call
	within *trouble // the incident that it belongs to; nil: to none
	above  bool     // the child is a supervisor, then
	failed bool     // emit: of a failure
	well   bool     // leave: it is ready again
}

type verb uint8

const (
	emit     verb = iota // tell the observers
	start                // run a new incarnation of child
	stop                 // end its context with cause err
	hurry                // a supervisor that stops has until then
	abandon              // give its incarnation up
	release              // it needs no goroutine any more
	announce             // the supervisor is ready
	reply                // answer call with err
	join                 // one more is involved in the incident
	leave                // one less
	respec               // the child has a new Spec
	handOn               // a supervisor that runs on has one: pass the call on
	finish               // the supervisor has ended, with err
)

// surroundings are what a core needs of the tree around it.
type surroundings struct {
	haunts      func(*child) int
	newIncident func() *trouble
	incident    *trouble // in which it is started; nil: in none
}

func newCore(now time.Time, spec *Spec, path string, in surroundings) *core {
	c := &core{spec: spec, path: path, random: rand.Float64, haunts: in.haunts, newIncident: in.newIncident, incident: in.incident, epoch: now}
	c.clock, c.now = now, c.at(now)
	c.budget.limit = spec.Intensity.withDefaults()
	c.stops.key, c.starts.key, c.again.key, c.due.key = lastFirst, firstFirst, firstFirst, soonest
	c.adoptAll(spec.Children)
	for ch := c.first; ch != nil; ch = ch.next {
		c.link(ch)
	}
	return c
}

// adoptAll adopts the first children, some at a time: who is removed later
// keeps no more than these in memory.
func (c *core) adoptAll(specs []Spec) {
	if len(specs) > few {
		c.index(len(specs))
	}
	for chunk := range slices.Chunk(specs, few) {
		children := make([]child, len(chunk))
		for i := range chunk {
			c.adopt(&children[i], &chunk[i])
		}
	}
}

// adopt appends ch, which is new.
func (c *core) adopt(ch *child, spec *Spec) *child {
	ch.spec, ch.path, ch.since, ch.incident = spec, pathOf(c.path, spec.Name), c.now, c.incident
	ch.bonds = c.newBonds()
	ch.ghosts = uint16(c.haunts(ch))
	c.add(ch)
	c.recount(ch)
	return ch
}

// step takes one input and returns what to do, in order. The slice is good
// until the next step.
func (c *core) step(now time.Time, in input) []action {
	c.clock, c.now, c.out, c.haunted = now, c.at(now), emptied(c.out), false
	c.take(in)
	c.proceed()
	return c.out
}

// burst is for how many of a kind room is kept. Who makes room for one of many
// children that fail at once holds a lock, and may have to wait for the collector.
const burst = 4096

// emptied returns s to be filled anew. Room for more than a burst is not kept: a
// supervisor can have had a moment for which it never needs it again.
func emptied[T any](s []T) []T {
	if cap(s) > burst {
		return nil
	}
	return s[:0]
}

// wake returns when step must be called if nothing else happens; zero: never.
func (c *core) wake() time.Time {
	if len(c.deferred) > 0 && c.quiet() {
		return c.clock
	}
	if ch := c.due.peek(); ch != nil {
		return c.time(ch.due, c.clock)
	}
	return time.Time{}
}

func (c *core) take(in input) {
	switch in.kind {
	case began:
		c.begin()
	case becameUp:
		c.becameUp(in.child)
	case exited:
		c.exited(in.child, ending{in.err, in.is, in.from})
		if in.from != nil {
			c.act(leave, in.child).within = in.from
		}
	case impaired:
		c.impaired(in.child, in.by, in.err)
	case remedied:
		c.emit(in.child, EventRemedy, in.err)
	case unhealthy:
		c.unhealthy(in.child, ending{err: in.err, is: in.is})
	case reported:
		c.reported(in.child, Status(in.status))
	case returned:
		c.returned(in.child, in.number)
	case asked:
		c.ask(in.call)
	case toldStop:
		c.close(in.err, nil)
		c.hasten()
	case mustFail:
		c.giveUp(in.err)
	case hurried:
		c.hasten()
	}
}

// proceed makes every move that can be made now.
func (c *core) proceed() {
	for c.move() {
	}
	if c.counts[awaited] == 0 && !c.ready && !c.closing {
		c.ready, c.incident = true, nil
		c.act(announce, nil)
	}
	if c.closing && c.counts[running] == 0 && !c.ended {
		c.ended = true
		c.act(finish, nil).err = c.failure
	}
}

// move picks one move: what had to wait for quiet, then what is overdue, then
// stops from the last child backwards, then starts from the first forwards.
func (c *core) move() bool {
	overdue := c.due.peek()
	switch {
	case len(c.deferred) > 0 && c.quiet() && !c.haunted:
		c.serveDeferred()
	case len(c.deferred) == 0 && !c.again.empty() && c.quiet():
		c.retry(c.again.take())
	case overdue != nil && overdue.due <= c.now:
		c.overdue(c.due.take())
	case !c.stops.empty() && c.mayStop(c.stops.peek()):
		c.tell(c.stops.take())
	case !c.starts.empty() && c.mayStart(c.starts.peek()):
		c.start(c.starts.take())
	default:
		return false
	}
	return true
}

// mayStop reports whether it is the turn of ch, the first that waits to stop.
func (c *core) mayStop(ch *child) bool {
	if c.spec.Strategy == DependentsForOne {
		return ch.mayStop()
	}
	return c.counts[halting] == 0 || c.spec.Concurrent
}

// mayStart reports whether it is the turn of ch, the first that waits to start.
func (c *core) mayStart(ch *child) bool {
	if c.spec.Strategy == DependentsForOne {
		return ch.mayStart()
	}
	return c.stops.empty() && c.counts[halting]+c.counts[gating] == 0
}

// quiet reports whether nothing moves, nor is about to: what waits to start
// waits for something else.
//
// Only Strict supervisors wait for it; one that is not Strict any more does not.
func (c *core) quiet() bool {
	return !c.spec.Strict || c.counts[moving] == 0 && c.stops.empty() && (c.starts.empty() || c.counts[gating] > 0)
}

// become is the one place where a child's state changes.
func (c *core) become(ch *child, s State) {
	mustFollow(ch.path, ch.state, s)
	c.alter(ch, func(ch *child) {
		ch.state, ch.since, ch.impairments = s, c.now, nil
		ch.over, ch.doomed = false, false
		if ch.successor != nil && !ch.live() {
			ch.spec, ch.successor = ch.successor, nil
		}
		if s == Starting {
			ch.reported = Down
		}
	})
}

// join makes ch move in order with its siblings, or alone.
func (c *core) join(ch *child, w wave) {
	if ch.wave != w {
		c.alter(ch, func(ch *child) { ch.wave = w })
	}
}

// aim changes where ch should be.
func (c *core) aim(ch *child, g goal) {
	c.alter(ch, func(ch *child) { ch.goal = g })
}

// alter changes what the counts and its neighbours depend on, and keeps both
// true.
func (c *core) alter(ch *child, change func(*child)) {
	if !ch.linked() {
		change(ch)
		c.recount(ch)
		return
	}
	before := ch.stance()
	change(ch)
	c.recount(ch)
	ch.shift(before)
}

func (c *core) recount(ch *child) { c.countAs(ch, ch.worth()) }

func (c *core) countAs(ch *child, is stake) {
	was := ch.counted
	ch.counted = is
	c.counts.move(was, is)
	c.ill.move(ch, was, is)
}

// await makes the child overdue after d.
func (c *core) await(ch *child, d time.Duration) {
	ch.due = c.now.add(d)
	c.due.put(ch)
}

// act adds one thing to do, about ch, or about the supervisor itself for nil.
// What it returns, to be filled in, is good until the next.
func (c *core) act(do verb, ch *child) *action {
	n := len(c.out)
	c.out = slices.Grow(c.out, 1)[:n+1]
	a := &c.out[n]
	*a = action{do: do, child: ch, within: c.incidentNow(ch)}
	if ch != nil {
		a.number, a.above = ch.incarnation, ch.spec.isSupervisor()
	}
	return a
}

func (c *core) emit(ch *child, kind EventKind, err error) *action {
	a := c.act(emit, ch)
	a.event, a.err = kind, err
	return a
}

func (c *core) emitDelay(ch *child, kind EventKind, d time.Duration, err error) {
	a := c.emit(ch, kind, err)
	a.delay, a.until = d, c.time(ch.due, c.clock)
}
