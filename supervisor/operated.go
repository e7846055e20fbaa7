package supervisor

import "time"

// Operated tells the observer, for the record, that somebody does something to a
// node by hand: EventOperated. Call it before you do it, since a cause has a
// smaller number than its effects, and if that fails once more with the failure.
// Operation says what is done, and by whom. An unknown path is the root's; the
// tree's own methods do not call it. It reports whether there is an observer:
// none is told before Run, and after. It may be called concurrently.
func (s *Supervisor) Operated(path, operation string, failure error) (told bool) {
	if s.feed.seq.Load() == 0 || s.phase.Load() == phaseEnded || !s.feed.observed() { // seq: the feed has started
		return false
	}
	node, err := s.Find(path)
	if err != nil {
		node = s.rootSnapshot()
	}
	s.feed.emit(Event{
		Time: time.Now(), Path: node.Path, Supervisor: node.Supervisor, Kind: EventOperated,
		Incarnation: node.Incarnation, Operation: operation, Err: failure,
	})
	return true
}
