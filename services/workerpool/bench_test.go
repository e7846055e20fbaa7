package workerpool

import (
	"context"
	"testing"

	"github.com/coppice-go/coppice/supervisor"
)

// One job through a queue that is always full, from Submit to done.
func BenchmarkThroughput(b *testing.B) {
	p := New(Config[int]{Run: func(context.Context, int) error { return nil }})
	sup, err := supervisor.New(supervisor.Spec{Name: "bench", Children: []supervisor.Spec{p.Spec("pool")}}, supervisor.Options{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- sup.Run(ctx) }()
	b.ReportAllocs()
	for j := 0; b.Loop(); j++ {
		if err := p.Submit(ctx, j); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	<-done
}
