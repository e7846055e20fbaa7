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
		l.note(first, &Event{Path: "app/a", Kind: EventExited, Err: errors.New("crash")}, &child{}, true)
		l.note(first, &Event{Path: "app/a", Kind: EventBackingOff}, &child{}, false)
		l.note(first, &Event{Path: "app/b", Kind: EventStopping}, ch, false)
	}
	happen()
	if i := first.now(); len(i.Decisions) != 1 || len(i.Down) != 1 {
		t.Errorf("listed it has %d decisions and took down %d", len(i.Decisions), len(i.Down))
	}
	for range maxIncidents {
		l.list(l.begin())
	}
	if first.story.Load() != nil {
		t.Error("unlisted it keeps its story")
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
	lapped := l.begin()
	l.note(lapped, &Event{Path: "app/a", Kind: EventStopping}, &child{}, false)
	l.note(lapped, &Event{Path: "app/a", Kind: EventBackingOff}, &child{}, false)
	if len(lapped.now().Decisions) > 0 || l.place(lapped).Load() != later {
		t.Error("it took the place of a later one")
	}
}

// TestIncidentNotedWhileItIsUnlistedIsSmall, whichever of both comes first.
func TestIncidentNotedWhileItIsUnlistedIsSmall(t *testing.T) { // S35
	for range 200 {
		var l incidents
		first, done := l.begin(), make(chan struct{})
		l.note(first, &Event{Path: "app/a", Kind: EventExited}, &child{}, true)
		go func() {
			defer close(done)
			for range 20 {
				l.note(first, &Event{Path: "app/a", Kind: EventBackingOff}, &child{}, false)
			}
		}()
		for range maxIncidents {
			l.list(l.begin())
		}
		<-done
		if n := len(first.now().Decisions); n > 0 {
			t.Fatalf("unlisted it has %d decisions", n)
		}
	}
}
