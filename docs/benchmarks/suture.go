package main

import (
	"context"
	"math"
	"time"

	"github.com/thejerf/suture/v4"
)

// raw is suture by itself, with its pause after failures switched off.
var raw = &host{called: "suture 4.0.6", start: startSuture, nest: nestSuture}

type sutured struct {
	sup    *suture.Supervisor
	cancel context.CancelFunc
	ended  <-chan error
}

// A service names itself, since suture would print all of it.
type service struct{ *child }

func (s service) Serve(ctx context.Context) error { return s.serve(ctx) }
func (service) String() string                    { return "service" }

func newSuture() *suture.Supervisor {
	return suture.New("app", suture.Spec{FailureThreshold: math.MaxFloat64, EventHook: func(suture.Event) {}, Timeout: time.Minute})
}

func startSuture(children []*child) tree {
	sup := newSuture()
	for _, ch := range children {
		sup.Add(service{ch})
	}
	return serveSuture(sup)
}

func serveSuture(sup *suture.Supervisor) tree {
	ctx, cancel := context.WithCancel(context.Background())
	return &sutured{sup: sup, cancel: cancel, ended: sup.ServeBackground(ctx)}
}

func nestSuture(widths []int, leaf func() *child) tree { return serveSuture(sutureNest(widths, leaf)) }

func sutureNest(widths []int, leaf func() *child) *suture.Supervisor {
	sup := newSuture()
	for range widths[0] {
		if len(widths) > 1 {
			sup.Add(sutureNest(widths[1:], leaf))
		} else {
			sup.Add(service{leaf()})
		}
	}
	return sup
}

func (s *sutured) add(ch *child) (remove func()) {
	token := s.sup.Add(service{ch})
	return func() {
		if err := s.sup.RemoveAndWait(token, 0); err != nil {
			panic(err)
		}
	}
}

func (s *sutured) settle() {}

func (s *sutured) stop() {
	s.cancel()
	if err := <-s.ended; err != context.Canceled {
		panic(err)
	}
}
