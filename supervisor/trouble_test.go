package supervisor

import (
	"errors"
	"testing"
)

// TestUnlistedIncidentIsSmall: a child can hold on to it for as long as it
// lives, so it keeps only what is told when it is healed.
func TestUnlistedIncidentIsSmall(t *testing.T) { // S35
	var l incidents
	first, ch := l.begin(), &child{path: "app/b"}
	happen := func() {
		first.note(&Event{Path: "app/a", Kind: EventExited, Err: errors.New("crash")}, &child{}, true)
		first.note(&Event{Path: "app/a", Kind: EventBackingOff}, &child{}, false)
		first.note(&Event{Path: "app/b", Kind: EventStopping}, ch, false)
	}
	happen()
	if i := first.now(); len(i.Decisions) != 1 || len(i.Down) != 1 {
		t.Errorf("listed it has %d decisions and took down %d", len(i.Decisions), len(i.Down))
	}
	for range maxIncidents {
		l.begin()
	}
	happen()
	if i := first.now(); len(i.Decisions) > 0 || len(i.Down) > 0 || i.Failures != 2 || i.Path != "app/a" {
		t.Errorf("unlisted it is %+v", i)
	}
}

// TestLappedIncidentIsNotListed: a later one was faster.
func TestLappedIncidentIsNotListed(t *testing.T) { // S35
	var l incidents
	later := &trouble{id: 1 + maxIncidents}
	l.ring[later.id%maxIncidents].Store(later)
	if lapped := l.begin(); !lapped.bare || l.ring[lapped.id%maxIncidents].Load() != later {
		t.Error("it took the place of a later one")
	}
}
