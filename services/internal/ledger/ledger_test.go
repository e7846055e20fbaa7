package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

var errBroken = errors.New("broken")

func newLedger(t *testing.T, limits Limits, jobs ...int) *Ledger[int] {
	t.Helper()
	l := New[int](limits)
	for _, j := range jobs {
		if err := l.Submit(j); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// Whatever is done to it and in whichever order, each job is in one place, and
// comes to one end.
func TestEachJobComesToOneEnd(t *testing.T) {
	for seed := range uint64(1000) {
		w := &walk{t: t, rand: rand.New(rand.NewPCG(seed, 0)), done: map[int]int{}}
		w.limits = Limits{Waiting: 1 + w.rand.IntN(5), Attempts: 1 + w.rand.IntN(3), DeadLetters: 1e6}
		w.ledger = New[int](w.limits)
		for range 200 {
			w.step()
			w.wantBalance()
		}
		w.wantOneEndEach()
	}
}

// walk is a random series of calls, and what it knows of the jobs.
type walk struct {
	t          *testing.T
	rand       *rand.Rand
	limits     Limits
	ledger     *Ledger[int]
	jobs       int
	closed     bool
	held, late []*Entry[int]
	done       map[int]int
}

func (w *walk) step() {
	switch n := w.rand.IntN(100); {
	case n < 40:
		w.submit()
	case n < 60:
		if e := w.ledger.Take(); e != nil {
			w.held = append(w.held, e)
		}
	case n < 94:
		w.settle()
	case n < 95:
		w.cancel()
	case n < 99:
		if len(w.late) > 0 {
			w.ledger.Retry(w.pick(&w.late))
		}
	default:
		w.ledger.Close()
		w.closed = true
	}
}

func (w *walk) submit() {
	c := w.ledger.Counts()
	var want error
	switch {
	case w.closed:
		want = ErrClosed
	case c.Queued+c.Retrying >= w.limits.Waiting:
		want = ErrFull
	}
	if err := w.ledger.Submit(w.jobs); err != want {
		w.t.Errorf("Submit returned %v, want %v", err, want)
	} else if err == nil {
		w.jobs++
	}
}

func (w *walk) settle() {
	if len(w.held) == 0 {
		return
	}
	switch e := w.pick(&w.held); w.rand.IntN(3) {
	case 0:
		w.done[e.Job]++
		w.ledger.Done(e)
	case 1:
		w.ledger.Interrupted(e)
	default:
		if w.ledger.Failed(e, errBroken, "") {
			w.late = append(w.late, e)
		}
	}
}

// cancel cancels one job, wherever it is. Whoever holds it is told, also if he
// says only later how to tell him.
func (w *walk) cancel() {
	if w.jobs == 0 {
		return
	}
	told := 0
	early := w.rand.IntN(2) == 0
	tell := func() {
		for _, e := range w.held {
			w.ledger.Stoppable(e, func() { told++ })
		}
	}
	if early {
		tell()
		told = 0 // those canceled before
	}
	canceled := w.ledger.Cancel(func(j int) bool { return j == w.rand.IntN(w.jobs) })
	if !early {
		tell()
	}
	holds := 0
	for _, e := range w.held {
		if e.canceled {
			holds++
		}
	}
	if early && told > canceled || !early && told != holds {
		w.t.Errorf("%d of %d that were canceled were told; %d are held", told, canceled, holds)
	}
}

// pick takes one of entries.
func (w *walk) pick(entries *[]*Entry[int]) *Entry[int] {
	i := w.rand.IntN(len(*entries))
	e := (*entries)[i]
	*entries = slices.Delete(*entries, i, i+1)
	return e
}

func (w *walk) wantBalance() {
	w.t.Helper()
	c := w.ledger.Counts()
	if c.Submitted != w.jobs || c.Submitted != c.Done+c.Dead+c.HandedBack+c.Queued+c.Retrying+c.InFlight || c.InFlight != len(w.held) {
		w.t.Fatalf("of %d jobs %d are held; the counts say %+v", w.jobs, len(w.held), c)
	}
}

func (w *walk) wantOneEndEach() {
	w.t.Helper()
	w.ledger.Close()
	for len(w.held) > 0 {
		w.settle()
	}
	for _, e := range w.late {
		w.ledger.Retry(e) // late
	}
	ends := w.done
	for _, j := range w.ledger.Close() {
		ends[j]++
	}
	for _, e := range w.ledger.Dead() {
		ends[e.Job]++
		if e.Attempts != w.limits.Attempts && !errors.Is(e.Err, ErrCanceled) {
			w.t.Errorf("job %d died after %d attempts, want %d", e.Job, e.Attempts, w.limits.Attempts)
		}
	}
	for j := range w.jobs {
		if ends[j] != 1 {
			w.t.Fatalf("job %d came to %d ends, want 1", j, ends[j])
		}
	}
	if c := w.ledger.Counts(); c.Queued+c.Retrying+c.InFlight != 0 || len(ends) != w.jobs {
		w.t.Errorf("%d jobs, %d ended; the counts say %+v", w.jobs, len(ends), c)
	}
}

func TestTheQueueIsFirstInFirstOutButForWhatWasInterrupted(t *testing.T) {
	l := newLedger(t, Limits{Waiting: 9, Attempts: 2, DeadLetters: 9}, 1, 2, 3)
	first, second := l.Take(), l.Take()
	if l.Failed(second, errBroken, "") {
		l.Retry(second)
	}
	l.Interrupted(first)
	var order []int
	for e := l.Take(); e != nil; e = l.Take() {
		order = append(order, e.Job)
	}
	if want := []int{1, 3, 2}; !slices.Equal(order, want) {
		t.Errorf("taken in the order %v, want %v", order, want)
	}
	if first.Attempts != 0 || second.Attempts != 1 {
		t.Errorf("an interruption counts as %d attempts, a failure as %d; want 0 and 1", first.Attempts, second.Attempts)
	}
}

func TestTheLastFailureIsKeptAndTheOldestDeadForgotten(t *testing.T) {
	l := newLedger(t, Limits{Waiting: 9, Attempts: 2, DeadLetters: 2}, 1, 2, 3)
	for n := 1; n <= 2; n++ {
		var failed []*Entry[int]
		for e := l.Take(); e != nil; e = l.Take() {
			if again := l.Failed(e, fmt.Errorf("failure %d", n), fmt.Sprint("stack ", n)); again != (n == 1) {
				t.Errorf("attempt %d has another after it: %v", n, again)
			}
			failed = append(failed, e)
		}
		for _, e := range failed {
			l.Retry(e)
		}
	}
	want := []string{"2: failure 2, stack 2, 2", "3: failure 2, stack 2, 2"}
	for range 2 { // Dead keeps them
		if got := texts(l.Dead()); !slices.Equal(got, want) {
			t.Errorf("the dead are %q, want %q", got, want)
		}
	}
	if got := texts(l.TakeDead()); !slices.Equal(got, want) || len(l.TakeDead()) != 0 {
		t.Errorf("took the dead %q, want %q once", got, want)
	}
	if got, want := l.Counts(), (Counts{Submitted: 3, Dead: 3, Forgotten: 1}); got != want {
		t.Errorf("the counts are %+v, want %+v", got, want)
	}
}

func texts(dead []Entry[int]) (s []string) {
	for _, e := range dead {
		s = append(s, fmt.Sprintf("%d: %v, %s, %d", e.Job, e.Err, e.Stack, e.Attempts))
	}
	return s
}

func TestCloseHandsBackWhatWaitsAndWhatComesBackLater(t *testing.T) {
	l := newLedger(t, Limits{Waiting: 9, Attempts: 2, DeadLetters: 9}, 1, 2, 3, 4, 5)
	retrying, interrupted, failing := l.Take(), l.Take(), l.Take()
	l.Failed(retrying, errBroken, "")
	if got, want := l.Close(), []int{4, 5, 1}; !slices.Equal(got, want) {
		t.Errorf("handed back %v, want %v", got, want)
	}
	l.Retry(retrying)
	l.Interrupted(interrupted)
	if l.Failed(failing, errBroken, "") {
		t.Error("a job is to be tried again after Close")
	}
	if got, want := l.Close(), []int{4, 5, 1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("handed back %v, want %v", got, want)
	}
	if err := l.Submit(6); err != ErrClosed {
		t.Errorf("Submit returned %v, want ErrClosed", err)
	}
}

func TestCancelEndsAJobWhereverItIs(t *testing.T) {
	l := newLedger(t, Limits{Waiting: 9, Attempts: 9, DeadLetters: 9}, 1, 2, 3, 4, 5, 6, 7)
	retrying, failing, interrupted, done, left := l.Take(), l.Take(), l.Take(), l.Take(), l.Take()
	l.Failed(retrying, errBroken, "")
	stopped := 0
	for _, e := range []*Entry[int]{failing, interrupted, left} {
		l.Stoppable(e, func() { stopped++ })
	}
	odd := func(j int) bool { return j != 5 && j != 7 }
	if n := l.Cancel(odd); n != 5 || stopped != 2 {
		t.Errorf("%d jobs were canceled and %d attempts stopped, want 5 and 2", n, stopped)
	}
	if n := l.Cancel(odd); n != 0 {
		t.Errorf("%d jobs were canceled twice", n)
	}
	l.Stoppable(done, func() { stopped++ })
	if stopped != 3 {
		t.Error("an attempt that became stoppable later was not stopped")
	}
	l.Done(done)
	l.Interrupted(interrupted)
	if l.Failed(failing, errBroken, "stack") {
		t.Error("a canceled job is to be tried again")
	}
	l.Retry(retrying) // its time comes, and it is dead
	want := []string{
		"6: workerpool: canceled, , 0", "1: workerpool: canceled, , 1", "3: workerpool: canceled, , 0",
		"2: workerpool: canceled: broken, stack, 1",
	}
	if got := texts(l.Dead()); !slices.Equal(got, want) {
		t.Errorf("the dead are %q, want %q", got, want)
	}
	got := l.Counts()
	got.QueueAge = 0
	if want := (Counts{Submitted: 7, Done: 1, Dead: 4, Queued: 1, InFlight: 1}); got != want {
		t.Errorf("the counts are %+v, want %+v", got, want)
	}
}

// Each time a job is queued it waits anew. Those that were interrupted come
// first, and may have waited less than those behind them.
func TestTheQueuesAgeIsThatOfItsOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(t, Limits{Waiting: 9, Attempts: 9, DeadLetters: 9}, 1)
		want := func(want time.Duration) {
			t.Helper()
			if got := l.Counts().QueueAge; got != want {
				t.Errorf("the queue's age is %v, want %v", got, want)
			}
		}
		time.Sleep(time.Second)
		want(time.Second)
		_ = l.Submit(2)
		time.Sleep(time.Second)
		want(2 * time.Second)
		first := l.Take()
		want(time.Second)
		second := l.Take()
		want(0)
		l.Interrupted(second)
		time.Sleep(time.Second)
		want(time.Second)
		l.Take()
		l.Failed(first, errBroken, "")
		want(0)
		l.Retry(first)
		want(0)
		time.Sleep(time.Second)
		want(time.Second)
		_, _ = l.Submit(3), l.Submit(4)
		interrupted := []*Entry[int]{l.Take(), l.Take()} // 4 is left
		for i := range 3 {
			time.Sleep(time.Second)
			if i < len(interrupted) {
				l.Interrupted(interrupted[i])
			}
			want(time.Duration(i+1) * time.Second)
		}
		l.Cancel(func(j int) bool { return j == 4 })
		want(2 * time.Second) // the one that was interrupted first, and is not the first
	})
}

// Whoever asks may fail in the middle.
func TestAMatchThatPanicsCancelsNothing(t *testing.T) {
	l := newLedger(t, Limits{Waiting: 9, Attempts: 9, DeadLetters: 9}, 1, 2, 3)
	func() {
		defer func() { _ = recover() }()
		l.Cancel(func(j int) bool {
			if j == 3 {
				panic("oops")
			}
			return true
		})
	}()
	if c := l.Counts(); c.Queued != 3 || c.Dead != 0 {
		t.Errorf("the counts are %+v", c)
	}
}
