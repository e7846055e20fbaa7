package main

import (
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// proto is protoactor-go: supervised actors, not functions. An actor is not
// blocked in its work, and it fails by a panic, always.
var proto = &host{called: "protoactor-go", start: startProto, nest: nestProto}

type acting struct {
	system *actor.ActorSystem
	root   *actor.PID
	fails  []*actor.PID // those that fail when told to
}

// spawn asks a branch for one more child below it.
type spawn struct {
	props *actor.Props
	pid   chan *actor.PID
}

// fail asks a leaf to.
type fail struct{}

func startProto(children []*child) tree {
	a := newActing(func(ctx actor.Context) {
		if ask, ok := ctx.Message().(spawn); ok {
			ask.pid <- ctx.Spawn(ask.props)
		}
	})
	for _, ch := range children {
		if pid := a.spawn(ch); ch.goOn != nil {
			a.fails = append(a.fails, pid)
		}
	}
	return a
}

func newActing(root actor.ReceiveFunc) *acting {
	quiet := actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) })
	system := actor.NewActorSystem(quiet)
	return &acting{system: system, root: system.Root.Spawn(supervising(root))}
}

// supervising are the props of an actor that restarts whatever fails below it.
func supervising(receive actor.ReceiveFunc) *actor.Props {
	return actor.PropsFromFunc(receive, actor.WithSupervisor(actor.RestartingSupervisorStrategy()))
}

func nestProto(widths []int, leaf func() *child) tree { return newActing(branch(widths, leaf)) }

func branch(widths []int, leaf func() *child) actor.ReceiveFunc {
	return func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); !ok {
			return
		}
		for range widths[0] {
			if len(widths) > 1 {
				ctx.Spawn(supervising(branch(widths[1:], leaf)))
			} else {
				ctx.Spawn(leaf().props())
			}
		}
	}
}

func (c *child) props() *actor.Props { return actor.PropsFromFunc(c.receive) }

// receive is the child as an actor: see serve.
func (c *child) receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		if c.began() {
			panic(c.fails())
		}
	case fail:
		panic(c.fails())
	case *actor.Stopped:
		c.gone.pass()
	}
}

func (a *acting) spawn(ch *child) *actor.PID {
	ask := spawn{props: ch.props(), pid: make(chan *actor.PID, 1)}
	a.system.Root.Send(a.root, ask)
	return <-ask.pid
}

func (a *acting) add(ch *child) (remove func()) {
	pid := a.spawn(ch)
	return func() { check(a.system.Root.StopFuture(pid).Wait()) }
}

func (a *acting) tell() {
	for _, pid := range a.fails {
		a.system.Root.Send(pid, fail{})
	}
}

func (a *acting) settle() {}

// stop asks again: a future waits ten seconds, which not every tree needs.
func (a *acting) stop() {
	for a.system.Root.StopFuture(a.root).Wait() != nil {
		time.Sleep(time.Millisecond)
	}
	a.system.Shutdown()
}
