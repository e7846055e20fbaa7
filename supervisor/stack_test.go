//go:build !race

package supervisor_test

import (
	"runtime"
	"testing"

	"github.com/coppice-go/coppice/supervisor"
)

// TestAnIdleWorkerFitsIntoTheFirstStack: a goroutine begins with 2 KiB, and what
// it does until it idles, saying that it is ready above all, needs no more. The
// race detector's frames are larger, so there is no such promise under it.
func TestAnIdleWorkerFitsIntoTheFirstStack(t *testing.T) {
	const n = 5_000
	before := stacks()
	sup, stop := run(t, flat(n), supervisor.Options{})
	if err := sup.WaitReady(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if each := (stacks() - before) / n; each > 2300 {
		t.Errorf("an idle worker's stack takes %d bytes, want 2048 and a share of its supervisor's", each)
	}
	_ = stop()
}

func stacks() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.StackInuse)
}
