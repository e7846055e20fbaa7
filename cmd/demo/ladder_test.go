package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/supervisor"
)

func TestTheTreeIsBeyondDoubt(t *testing.T) {
	cfg, _, err := parse(nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	s, err := newShop(cfg, zerolog.Nop())
	defer s.close()
	if err != nil {
		t.Fatal(err)
	}
	set := defaultSettings
	set.report = time.Minute
	tree := s.tree(set)
	if err := errors.Join(tree.Validate(), errors.Join(tree.Warnings()...)); err != nil {
		t.Error(err)
	}
}

// stacks returns the stacks that the log tells with a message.
func (d *demo) stacks(message string) (stacks []string) {
	for line := range strings.Lines(d.out.String()) {
		var l struct{ Message, Stack string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Message == message {
			stacks = append(stacks, l.Stack)
		}
	}
	return stacks
}

func TestAStuckOrderIsSeenAndFulfilled(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0")
	d.chaos("stuck")
	id := d.buy()
	d.until("its worker is restarted", func() bool { return len(d.logged("exited")) == 1 })
	if stacks := d.stacks("exited"); !strings.Contains(stacks[0], "main.(*switchboard).strike") {
		t.Errorf("one does not see where it hung: %q", stacks[0])
	}
	d.until("its order is fulfilled", func() bool { return d.fulfilled(id) })
	if got := d.logged("abandoned"); len(got) > 0 {
		t.Errorf("%v did not listen", got)
	}
}

func TestAJobThatPanicsIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0")
	before := d.incarnations()
	d.chaos("panic")
	id := d.buy()
	d.until("its order is fulfilled", func() bool { return d.fulfilled(id) })
	for path, incarnation := range d.incarnations() {
		if incarnation != before[path] {
			t.Errorf("%s was restarted", path)
		}
	}
}

func TestACheckThatHangsIsNoRestart(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0")
	before := d.incarnations()
	d.chaos("check")
	d.until("it is seen", func() bool { return slices.Contains(d.logged("impaired"), "shop/storage/db") })
	if r := d.get(d.shop + "/orders/none"); r.code != http.StatusNotFound || !d.ready() {
		t.Errorf("the shop does not serve while a check hangs: %+v", r)
	}
	d.until("it recovers", func() bool { return slices.Contains(d.logged("recovered"), "shop/storage/db") })
	if after := d.incarnations(); after["shop/storage/db"] != before["shop/storage/db"] {
		t.Error("it was restarted")
	}
}

// The tour must notice what did not go as it should.
func TestTheTourTellsWhatWentWrong(t *testing.T) {
	poison := faults[slices.IndexFunc(faults, func(f fault) bool { return f.name == "poison" })]
	good := stop{fault: poison, healed: time.Second, went: poison.rungs}
	if !good.good() {
		t.Errorf("all is well, and the tour says %s", good)
	}
	for name, spoil := range map[string]func(*stop){
		"not healed":   func(s *stop) { s.healed = 0 },
		"no remedy":    func(s *stop) { s.went = rungs{impaired, recovered} },
		"a restart":    func(s *stop) { s.went = append(slices.Clone(s.went), exited) },
		"others fail":  func(s *stop) { s.others = []string{"shop/http"} },
		"order lost":   func(s *stop) { s.lost = 1 },
		"hung request": func(s *stop) { s.tally.requests[hung] = 1 },
		"odd answer":   func(s *stop) { s.tally.requests[odd] = 1 },
	} {
		bad := good
		if spoil(&bad); bad.good() {
			t.Errorf("%s passes as good", name)
		}
	}
}

// What is nice to have may fail more often than any limit allows.
func TestACacheThatKeepsCrashingTakesNobodyDown(t *testing.T) {
	t.Parallel()
	d := startReady(t, "-load", "0")
	before := d.incarnations()
	for crashes := 1; crashes <= 8; crashes++ {
		d.until("the server is up", func() bool { code, _ := d.run("chaos", "redis"); return code == exitOK })
		d.until("it has crashed", func() bool { return count(d.logged("exited"), "shop/storage/cache/server") >= crashes })
	}
	d.until("it is back", func() bool { return d.get(d.probes+"/readyz/shop/storage/cache/client").code == http.StatusOK })
	if got := d.logged("gave up"); len(got) > 0 || !d.ready() {
		t.Errorf("%v gave up", got)
	}
	for path, incarnation := range d.incarnations() {
		if !strings.HasPrefix(path, "shop/storage/cache/") && incarnation != before[path] {
			t.Errorf("%s was restarted", path)
		}
	}
}

func count(list []string, s string) (n int) {
	for _, l := range list {
		if l == s {
			n++
		}
	}
	return n
}

func TestWhichIncidentsWereToldIsRememberedNoLongerThanTheirList(t *testing.T) {
	var log output
	var told map[uint64]bool
	over := time.Now().Add(-time.Hour)
	for id := uint64(1); id <= 1000; id++ {
		list := []supervisor.Incident{{ID: id, Ended: over}, {ID: id + 1}}
		told = tellThose(list, told, zerolog.New(&log), time.Second)
		if len(told) != len(list) {
			t.Fatalf("of %d listed incidents %d are remembered", len(list), len(told))
		}
	}
	tellThose([]supervisor.Incident{{ID: 1000, Ended: over}, {ID: 1001}}, told, zerolog.New(&log), 0)
	for id := 1; id <= 1001; id++ {
		if n := strings.Count(log.String(), fmt.Sprintf(`"incident":%d,`, id)); n != 1 {
			t.Errorf("incident %d is told %d times, want once", id, n)
		}
	}
}

// What the platform is told is why the shop gave up, not what happened to fail
// after that.
func TestTheFatalIncidentIsTold(t *testing.T) {
	gaveUp := supervisor.Event{Kind: supervisor.EventGaveUp, Path: "shop"}
	below := supervisor.Event{Kind: supervisor.EventGaveUp, Path: "shop/storage"}
	all := []supervisor.Incident{
		{ID: 7, Decisions: []supervisor.Event{below}}, {ID: 8, Decisions: []supervisor.Event{below, gaveUp}}, {ID: 9},
	}
	for n, want := range map[int]uint64{0: 0, 1: 7, 2: 8, 3: 8} {
		if got := fatal(all[:n], "shop"); got.ID != want {
			t.Errorf("of %d incidents %d is told, want %d", n, got.ID, want)
		}
	}
}
