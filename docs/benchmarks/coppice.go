package main

import (
	"context"
	"net/http"
	"strconv"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

// coppice has all its semantics on: it starts in order, each child once the one
// before it is ready, numbers events, keeps states and counts, decides
// intensity and backoff, and stops in reverse order. Nobody observes.
var coppice = &host{called: "coppice", start: startCoppice, nest: nestCoppice, readyz: healthOf}

type grown struct {
	sup    *supervisor.Supervisor
	cancel context.CancelFunc
	ended  chan error
}

func startCoppice(children []*child) tree {
	specs := make([]supervisor.Spec, len(children))
	for i, ch := range children {
		specs[i] = leafSpec(strconv.Itoa(i), ch)
	}
	return grow(supervisor.Spec{Name: "app", Intensity: supervisor.Unlimited, Children: specs})
}

func leafSpec(name string, ch *child) supervisor.Spec {
	return supervisor.Spec{Name: name, Run: supervisor.Func(ch.serve), Backoff: supervisor.NoBackoff}
}

func nestCoppice(widths []int, leaf func() *child) tree {
	return grow(nestSpec("app", widths, leaf))
}

func nestSpec(name string, widths []int, leaf func() *child) supervisor.Spec {
	spec := supervisor.Spec{Name: name, Intensity: supervisor.Unlimited, Children: make([]supervisor.Spec, widths[0])}
	for i := range spec.Children {
		if name := strconv.Itoa(i); len(widths) > 1 {
			spec.Children[i] = nestSpec(name, widths[1:], leaf)
		} else {
			spec.Children[i] = leafSpec(name, leaf())
		}
	}
	return spec
}

func grow(spec supervisor.Spec) *grown {
	sup := must(supervisor.New(spec, supervisor.Options{}))
	ctx, cancel := context.WithCancel(context.Background())
	g := &grown{sup: sup, cancel: cancel, ended: make(chan error, 1)}
	go func() { g.ended <- sup.Run(ctx) }()
	return g
}

func (g *grown) add(ch *child) (remove func()) {
	path := must(g.sup.Add(context.Background(), "app", leafSpec("", ch)))
	return func() { check(g.sup.Remove(context.Background(), path)) }
}

func (g *grown) settle() { check(g.sup.WaitReady(context.Background(), "")) }
func (g *grown) stop()   { g.cancel(); check(<-g.ended) }

func healthOf(nodes int) (tree, http.Handler) {
	children, up, _ := idlers(nodes)
	t := startCoppice(children).(*grown)
	up.wait()
	t.settle()
	return t, health.Handler(t.sup)
}

// must and check end the program: a contestant that fails where it may not has
// nothing that could be compared.
func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
