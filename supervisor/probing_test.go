package supervisor

import "testing"

// TestResultsOfAnEarlierIncarnationAreNotShown: a check that was under way when
// its incarnation ended has nothing to say of the next.
func TestResultsOfAnEarlierIncarnationAreNotShown(t *testing.T) { // S33
	var c care
	c.show(1, ProbeState{Failures: 1})
	if c.shown(1) == nil || c.shown(2) != nil {
		t.Error("the first result is another incarnation's")
	}
	c.show(2, ProbeState{})
	c.show(1, ProbeState{Failures: 2})
	if got := c.shown(2); got == nil || got.Failures != 0 {
		t.Errorf("a late result has replaced the present one: %+v", got)
	}
}
