package supervisor

// A child is what the core knows of one node. Only the core changes it, and
// only through alter, become and the queues, so that the counts stay true.
type child struct {
	spec      *Spec
	successor *Spec // takes spec's place once no incarnation lives; nil for none
	path      string
	unit      unit // the runner's side; the core never looks at it

	prev, next *child // siblings in start order
	rank       uint64 // ascending in start order

	prevIll, nextIll *child // in the list of children that are not Up

	*bonds

	queue *queue  // the one it waits in, or nil
	due   instant // when the wait in core.due is over
	index int32   // its place in queue

	attempt     int32           // consecutive failures that count for the backoff
	incarnation uint64          // number of the last start; counts over the tree's life
	since       instant         // when it entered state
	readyAt     instant         // when the incarnation became ready; zero before
	unwell      instant         // since when it is impaired, or must be restarted; zero: it is well
	lastErr     error           // of its last failure or unclean stop
	impairments *[sources]error // while Ready; nil: none
	incident    *trouble        // its last
	cause       error           // why it is told to stop
	verdict     *ending         // it is being stopped because it failed so; nil: it is not
	manual      *call           // the Add or Start that started it, until it is ready
	waiting     *call           // the first of the calls that wait for what becomes of it

	counted  stake // what it is counted for
	state    State
	reported Status // of a supervisor, by itself
	goal     goal
	wave     wave
	ghosts   uint16 // abandoned incarnations that still run
	dynamic  bool   // added by a call; not the supervisor's Spec's
	ran      bool   // in this incarnation of its supervisor
	doomed   bool   // it runs, and waits for its turn to stop
	involved bool   // in its incident, now
	over     bool   // Stopped because it ended by itself without failing
	open     bool   // a Strict failed start whose retry is not decided yet
}

// bonds tie a child to its neighbours: those that it depends on, and that depend
// on it. Children that can have none share loose, which nobody changes.
type bonds struct {
	needs    []*child        // what it depends on
	neededBy map[*child]bool // what depends on it
	gated    int32           // of needs: those that are to be ready first
	leanedOn int32           // of neededBy: those that must go first
}

var loose bonds

// A source says how a worker is while it runs.
type source uint8

const (
	byProbe source = iota
	byItself
	sources
)

// impairment is what is said of the child; its probe has the first word.
func (ch *child) impairment() error {
	if ch.impairments == nil {
		return nil
	}
	for _, err := range ch.impairments {
		if err != nil {
			return err
		}
	}
	return nil
}

func (ch *child) impair(by source, reason error) {
	if ch.impairments == nil {
		ch.impairments = new([sources]error)
	}
	ch.impairments[by] = reason
}

// goal is where a child should be.
type goal uint8

const (
	up   goal = iota // running
	down             // stopped on request
	gone             // forgotten
)

// wave says whether a child moves in order with its siblings, or alone.
type wave uint8

const (
	alone      wave = iota // waits for nobody, and nobody waits for it
	firstStart             // in its supervisor's first start
	groupMove              // in a group restart, or the supervisor's stop
)

// status is what the child contributes to its supervisor's.
func (ch *child) status() Status {
	switch {
	case ch.state == Ready && ch.spec.isSupervisor():
		return ch.reported
	case ch.state == Ready && ch.impairment() != nil:
		return Degraded
	case ch.state == Ready, ch.over:
		return Up
	}
	return Down
}

// awaited reports whether the supervisor's readiness waits for the child.
func (ch *child) awaited() bool {
	return !ch.spec.Optional && ch.goal == up && !ch.atRest()
}

// atRest reports whether the child is where it will stay for now: nobody waits
// for it.
func (ch *child) atRest() bool {
	return ch.state == Ready || ch.state == Stopped || ch.state == Failed || ch.state == Parked
}

// fenced reports whether abandoned incarnations keep it from starting.
func (ch *child) fenced() bool {
	return ch.ghosts > 0 && (ch.spec.Exclusive || ch.ghosts >= maxGhosts)
}

// live reports whether it has an incarnation that was not abandoned.
func (ch *child) live() bool { return ch.state.running() || ch.state == Stopping }

// maxGhosts abandoned incarnations fence any path: what hangs hangs again.
const maxGhosts = 2

func (ch *child) temporary() bool { return ch.spec.Restart == Temporary }

// siblings is the list of children in start order.
type siblings struct {
	first, last *child
	byName      map[string]*child // nil while they are few
	size        int
	ranks       uint64
}

// few children are looked through for a name: the map would be most of what a
// small supervisor costs, and is hardly asked.
const few = 16

// named returns the child of that name, nil if there is none.
func (s *siblings) named(name string) *child {
	if s.byName != nil {
		return s.byName[name]
	}
	ch := s.first
	for ch != nil && ch.spec.Name != name {
		ch = ch.next
	}
	return ch
}

// add takes ch in, as the last.
func (s *siblings) add(ch *child) {
	s.append(ch)
	s.size++
	switch {
	case s.byName != nil:
		s.byName[ch.spec.Name] = ch
	case s.size > few:
		s.index(2 * s.size)
	}
}

// index makes the map, with room for n.
func (s *siblings) index(n int) {
	s.byName = make(map[string]*child, n)
	for ch := s.first; ch != nil; ch = ch.next {
		s.byName[ch.spec.Name] = ch
	}
}

func (s *siblings) append(ch *child) {
	s.ranks++
	ch.rank, ch.prev, ch.next = s.ranks, s.last, nil
	if s.last == nil {
		s.first = ch
	} else {
		s.last.next = ch
	}
	s.last = ch
}

// line puts the children, all of them, into a new order.
func (s *siblings) line(order []*child) {
	s.first, s.last = nil, nil
	for _, ch := range order {
		s.append(ch)
	}
}

// remove takes ch out, and lets go of its neighbours.
func (s *siblings) remove(ch *child) {
	delete(s.byName, ch.spec.Name)
	s.size--
	if ch.prev == nil {
		s.first = ch.next
	} else {
		ch.prev.next = ch.next
	}
	if ch.next == nil {
		s.last = ch.prev
	} else {
		ch.next.prev = ch.prev
	}
	ch.prev, ch.next = nil, nil
}

// after returns the child that follows ch in start order, the first for nil. If
// ch was removed it is looked for.
func (s *siblings) after(ch *child) *child {
	switch {
	case ch == nil:
		return s.first
	case s.named(ch.spec.Name) == ch:
		return ch.next
	}
	next := s.first
	for next != nil && next.rank < ch.rank {
		next = next.next
	}
	return next
}

// each calls f with the child from and those after it. f may remove its own.
func (s *siblings) each(from *child, f func(*child)) {
	for ch := from; ch != nil; {
		after := ch.next
		f(ch)
		ch = after
	}
}
