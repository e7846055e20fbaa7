package main

import "context"

// loop is one goroutine that is told of each end, and decides that the child
// is started again, in a goroutine of its own: a supervisor without anything
// that makes it a good one.
var loop = &host{called: "one loop", start: startLoop}

type decider struct {
	ctx     context.Context
	cancel  context.CancelFunc
	ends    chan *looped
	starts  chan *looped
	ended   chan struct{}
	running int
}

type looped struct {
	*child
	ctx  context.Context
	gone chan struct{}
}

func startLoop(children []*child) tree {
	d := &decider{ends: make(chan *looped), starts: make(chan *looped), ended: make(chan struct{})}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	for _, ch := range children {
		d.run(&looped{child: ch, ctx: d.ctx})
	}
	go d.decide()
	return d
}

func (d *decider) run(l *looped) {
	d.running++
	go func() {
		_ = l.caught(l.ctx)
		d.ends <- l
	}()
}

func (d *decider) decide() {
	defer close(d.ended)
	over := d.ctx.Done()
	for over != nil || d.running > 0 {
		select {
		case l := <-d.starts:
			d.run(l)
		case l := <-d.ends:
			d.after(l)
		case <-over:
			over = nil
		}
	}
}

// after starts the child again, unless it was told to end.
func (d *decider) after(l *looped) {
	d.running--
	if l.ctx.Err() == nil {
		d.run(l)
	} else if l.gone != nil {
		close(l.gone)
	}
}

func (d *decider) add(ch *child) (remove func()) {
	ctx, cancel := context.WithCancel(d.ctx)
	l := &looped{child: ch, ctx: ctx, gone: make(chan struct{})}
	d.starts <- l
	return func() { cancel(); <-l.gone }
}

func (d *decider) settle() {}
func (d *decider) stop()   { d.cancel(); <-d.ended }
