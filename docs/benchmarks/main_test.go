package main

import (
	"errors"
	"flag"
	"os"
	"testing"
)

// TestMain lets this program be the fresh process, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "alone" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestWithoutACommandAllAreListed(t *testing.T) {
	for _, args := range [][]string{nil, {"nothing"}} {
		if err := run(args); !errors.Is(err, flag.ErrHelp) {
			t.Error(err)
		}
	}
}

func TestAFreshProcessAnswersOrSaysWhy(t *testing.T) {
	var got sample
	if err := fresh("work", job{"coppice", "stop", newSize(10, true)}, &got); err != nil || got.Did != 10 || got.Cost <= 0 {
		t.Error(got, err)
	}
	if err := fresh("work", job{"one loop", "nested stop", newSize(10, true)}, &got); !errors.Is(err, errDash) {
		t.Error(err)
	}
	if err := fresh("nothing", nil, &got); err == nil {
		t.Error("no error from a task that there is not")
	}
}
