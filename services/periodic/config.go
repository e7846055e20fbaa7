package periodic

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/coppice-go/coppice/services/internal/fault"
	"github.com/coppice-go/coppice/supervisor"
)

// Config describes a Task. Run and Every are needed; every other field has a
// useful zero value. Faults are reported by supervisor.New.
type Config struct {
	// Run is what is done each time. It should return soon after its context
	// is done: that ends with the worker's, and after Timeout.
	Run func(ctx context.Context) error

	// Every is the time from the beginning of one run to the beginning of the
	// next. A run that takes longer misses the beginnings that fall into it;
	// they are not made up for.
	Every time.Duration

	// Jitter is the share of Every by which each interval may differ, so that
	// the replicas of a service do not run in step: 0.2 spreads 1 min over
	// [48 s, 72 s]. Zero means 0.1; supervisor.NoJitter is none.
	Jitter float64

	// Immediately makes the first run of each incarnation, so also the one
	// after a restart, begin at once. Otherwise it begins after an interval:
	// then an Every that is longer than the process lives never runs.
	Immediately bool

	// Timeout bounds each run; what overruns it has failed. Zero means Every.
	Timeout time.Duration

	// FailuresToRestart is how many runs in a row fail the worker. Zero means
	// 3; 1 is the first one.
	FailuresToRestart int
}

// validate returns every fault of c's fields, each with its mend.
func (c Config) validate() error {
	faults := fault.Of("periodic")
	faults.Check(c.Run == nil, "Run is nil; set the function to run")
	faults.Check(c.Every <= 0, "Every is %v; set the time from one run to the next", c.Every)
	faults.Check(c.Jitter > 1 || c.Jitter < 0 && c.Jitter != supervisor.NoJitter, "Jitter is %v; use a share from 0 to 1, or supervisor.NoJitter", c.Jitter)
	faults.Check(c.Timeout < 0, "Timeout is negative (%v); zero means Every", c.Timeout)
	faults.Check(c.FailuresToRestart < 0, "FailuresToRestart is negative (%d); zero means 3", c.FailuresToRestart)
	return faults.Err()
}

func (c Config) withDefaults() Config {
	if c.Jitter == 0 {
		c.Jitter = 0.1
	}
	c.Jitter = max(0, c.Jitter)
	if c.Timeout == 0 {
		c.Timeout = c.Every
	}
	if c.FailuresToRestart == 0 {
		c.FailuresToRestart = 3
	}
	return c
}

// interval returns the time from one beginning to the next.
func (c *Config) interval() time.Duration {
	spread := float64(c.Every) * c.Jitter * (2*rand.Float64() - 1)
	if d := c.Every + time.Duration(spread); d > 0 {
		return d
	}
	return c.Every // where there is nothing left, or more than a Duration holds
}
