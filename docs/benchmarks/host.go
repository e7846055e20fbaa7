package main

import "net/http"

// A host is how a contestant written in Go supervises. What it has not is nil.
type host struct {
	called string

	// start starts the children under one supervisor.
	start func([]*child) tree

	// nest starts as many levels of supervisors as depth says, ten below each,
	// the lowest with ten children each.
	nest func(depth int, leaf *child) tree

	// readyz returns a tree of so many nodes, and what answers for it.
	readyz func(nodes int) (tree, http.Handler)
}

// A tree is what a host has started. Its children may still be starting.
type tree interface {
	// add starts one more child; remove returns when it has gone.
	add(*child) (remove func())

	// settle returns once the supervisor knows that everything runs.
	settle()

	// stop returns when everything has gone.
	stop()
}

// A teller's children cannot wait for a channel: it tells them to fail.
type teller interface{ tell() }

func (h *host) name() string { return h.called }

func (h *host) measure(w *work, s size) (sample, error) { return w.measure(h, s) }

// contestants returns who takes part, the product first, and who cannot.
func contestants() (present []contestant, absent []string) {
	present = []contestant{coppice, bare, loop, raw, proto}
	if otp, err := findOTP(); err != nil {
		absent = append(absent, err.Error())
	} else {
		present = append(present, otp)
	}
	return present, absent
}
