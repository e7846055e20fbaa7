package main

import (
	"net/http"
	"slices"
)

// A host is how a contestant written in Go supervises. What it has not is nil.
type host struct {
	called string

	// start starts the children under one supervisor.
	start func([]*child) tree

	// nest starts levels of supervisors, of which each has as many below it as
	// the widths say, from the root's down to the children's.
	nest func(widths []int, leaf func() *child) tree

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

// A job is what a host does in a process of its own.
type job struct {
	Host, Work string
	Size       size
}

func (h *host) measure(w *work, s size) (got sample, err error) {
	err = fresh("work", job{h.called, w.name, s}, &got)
	return got, err
}

// hosts are the contestants written in Go, the product first.
var hosts = []*host{coppice, bare, loop, raw, proto}

func doWork(j job) (sample, error) {
	return workNamed(j.Work).measure(hostNamed(j.Host), j.Size)
}

// hostNamed returns a host that there is.
func hostNamed(name string) *host {
	return hosts[slices.IndexFunc(hosts, func(h *host) bool { return h.called == name })]
}

// contestants returns who takes part, the product first, and who cannot.
func contestants() (present []contestant, absent []string) {
	for _, h := range hosts {
		present = append(present, h)
	}
	if otp, err := findOTP(); err != nil {
		absent = append(absent, err.Error())
	} else {
		present = append(present, otp)
	}
	return present, absent
}
