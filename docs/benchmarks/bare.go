package main

import (
	"context"
	"net/http"
	"sync"
)

// bare is the least that heals: each child is a goroutine that runs it again
// and again. Nobody knows how it is.
var bare = &host{called: "bare goroutines", start: startBare, readyz: preparedText}

type goroutines struct {
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup
}

func startBare(children []*child) tree {
	g := &goroutines{}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	for _, ch := range children {
		g.all.Go(func() { forEver(g.ctx, ch) })
	}
	return g
}

func forEver(ctx context.Context, ch *child) {
	for ctx.Err() == nil {
		_ = ch.caught(ctx) // it is run again whatever it was
	}
}

func (g *goroutines) add(ch *child) (remove func()) {
	ctx, cancel := context.WithCancel(g.ctx)
	gone := make(chan struct{})
	g.all.Go(func() {
		defer close(gone)
		forEver(ctx, ch)
	})
	return func() { cancel(); <-gone }
}

func (g *goroutines) settle() {}
func (g *goroutines) stop()   { g.cancel(); g.all.Wait() }

// preparedText answers the same whatever is: no truth could be cheaper.
func preparedText(nodes int) (tree, http.Handler) {
	text, kind := []byte("ok\n"), []string{"text/plain; charset=utf-8"}
	children, up, _ := idlers(nodes)
	t := startBare(children)
	up.wait()
	return t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = kind
		_, _ = w.Write(text)
	})
}
