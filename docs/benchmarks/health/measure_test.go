package health

import (
	"sync"
	"testing"
	"time"
)

// TestEveryLibraryIsMeasured, briefly and all at once: each says yes while all
// is well, and is asked while a check hangs.
func TestEveryLibraryIsMeasured(t *testing.T) {
	var all sync.WaitGroup
	for _, checker := range Names() {
		all.Go(func() {
			o, err := Do(Job{Checker: checker, Work: "answer", Checks: 2})
			if err != nil || o.P50 <= 0 || o.P99 < o.P50 {
				t.Errorf("%s: answer: %+v, %v", checker, o, err)
			}
			o, err = Do(Job{Checker: checker, Work: "slow", Checks: 2, For: 10 * time.Millisecond})
			if err != nil || o.Slowest <= 0 {
				t.Errorf("%s: slow: %+v, %v", checker, o, err)
			}
			o, err = Do(Job{Checker: checker, Work: "hang", Checks: 2, For: 300 * time.Millisecond})
			if err != nil || o.Asked != 3 {
				t.Errorf("%s: hang: %+v, %v", checker, o, err)
			}
		})
	}
	all.Wait()
}

func TestWhatThereIsNotIsAnError(t *testing.T) {
	for _, j := range []Job{{Checker: "nobody", Work: "answer"}, {Checker: "coppice", Work: "nothing"}} {
		if _, err := Do(j); err == nil {
			t.Errorf("%+v: no error", j)
		}
	}
}

// TestAQuestionWaitsForASecond: an answer that comes later is none.
func TestAQuestionWaitsForASecond(t *testing.T) {
	q := &question{time.Now(), make(chan bool, 1)}
	if yes, said := q.answer(); yes || said {
		t.Error("an answer that nobody gave")
	}
	q.yes <- true
	if yes, said := q.answer(); !yes || !said {
		t.Error("the answer was lost")
	}
}

func TestTheFirstThatIsNotYesCounts(t *testing.T) {
	var o Outcome
	o.count(true, true, 1)
	o.count(false, true, 2)
	o.count(false, false, 3)
	o.count(true, true, 4)
	if want := (Outcome{Asked: 4, Yes: 2, Silent: 1, Red: 2}); o != want {
		t.Errorf("%+v, want %+v", o, want)
	}
}
