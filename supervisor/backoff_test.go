package supervisor

import (
	"testing"
	"time"
)

func TestBackoffStaysWithinItsBounds(t *testing.T) { // S15
	for _, b := range []Backoff{
		{},
		{Min: time.Second},
		{Max: time.Millisecond},
		{Min: time.Minute},
		{Min: 1, Max: 1<<63 - 1},
		{Jitter: 1},
		{Jitter: NoJitter},
	} {
		r := b.withDefaults()
		for attempt := 1; attempt < 200; attempt++ {
			for _, random := range []float64{0, 0.25, 0.5, 0.999999} {
				if d := b.delay(attempt, random); d < 0 || d > r.Max {
					t.Errorf("%+v: attempt %d waits %v, want within [0, %v]", b, attempt, d, r.Max)
				}
			}
		}
	}
}

func TestBackoffJitterSpreads(t *testing.T) { // S15
	b := Backoff{Min: time.Second, Max: time.Minute, Jitter: 0.5}
	if low, high := b.delay(1, 0), b.delay(1, 0.9999999); low != 500*time.Millisecond || high < 1490*time.Millisecond {
		t.Errorf("1s ± 50%% is spread over [%v, %v]", low, high)
	}
	if d := b.delay(20, 0.9999999); d != time.Minute {
		t.Errorf("the longest delay is %v, want Max", d)
	}
}

func TestBackoffZeroFieldsTakeDefaults(t *testing.T) { // S15
	if got, want := (Backoff{}).withDefaults(), (Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second, Jitter: 0.2, Settle: 30 * time.Second}); got != want {
		t.Errorf("the defaults are %+v, want %+v", got, want)
	}
	if got := NoBackoff.delay(5, 0.9); got != 0 {
		t.Errorf("NoBackoff waits %v", got)
	}
}
