package health

import (
	"context"
	"net/http"
	"strconv"
	"time"

	sundheit "github.com/AppsFlyer/go-sundheit"
	sundheithttp "github.com/AppsFlyer/go-sundheit/http"
	lies "github.com/alexliesenfeld/health"
	hello "github.com/hellofresh/health-go/v5"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/supervisor"
)

// A check is what all of them are given, and call as they like.
type check = func(context.Context) error

// Every is how long those that ask by themselves rest between two checks, and
// patience how long a check may take. All else is as it comes.
const (
	every    = time.Second
	patience = 500 * time.Millisecond
)

// A checker is a library that answers for checks.
type checker struct {
	called string
	open   func([]check) (answers http.Handler, stop func())
}

// checkers are all there are, the product first.
var checkers = []checker{
	{"coppice", openCoppice},
	{"alexliesenfeld/health 0.8.0, periodic checks", openLiesenfeld(func(c lies.Check) lies.CheckerOption { return lies.WithPeriodicCheck(every, 0, c) })},
	{"alexliesenfeld/health 0.8.0, checks at each request", openLiesenfeld(lies.WithCheck)},
	{"hellofresh/health-go 5.5.4", openHello},
	{"AppsFlyer/go-sundheit 0.6.0", openSundheit},
}

// Names are those of the checkers.
func Names() (names []string) {
	for _, c := range checkers {
		names = append(names, c.called)
	}
	return names
}

func name(i int) string { return "check" + strconv.Itoa(i) }

// openCoppice has one worker for each check, which is ready once the check was
// good, and is probed with it from then on.
func openCoppice(checks []check) (http.Handler, func()) {
	spec := supervisor.Spec{Name: "app"}
	for i, c := range checks {
		spec.Children = append(spec.Children, supervisor.Spec{
			Name:  name(i),
			Run:   reaches(c),
			Probe: &supervisor.Probe{Check: c, Interval: every, Timeout: patience},
		})
	}
	sup, err := supervisor.New(spec, supervisor.Options{})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sup.Run(ctx) // which may name a check that still hangs
	}()
	return health.Handler(sup), func() { cancel(); <-ended }
}

func reaches(c check) supervisor.RunFunc {
	return func(ctx context.Context, ready func()) error {
		if err := c(ctx); err != nil {
			return err
		}
		ready()
		<-ctx.Done()
		return nil
	}
}

func openLiesenfeld(option func(lies.Check) lies.CheckerOption) func([]check) (http.Handler, func()) {
	return func(checks []check) (http.Handler, func()) {
		var options []lies.CheckerOption
		for i, c := range checks {
			options = append(options, option(lies.Check{Name: name(i), Check: c, Timeout: patience}))
		}
		checker := lies.NewChecker(options...)
		return lies.NewHandler(checker), checker.Stop
	}
}

func openHello(checks []check) (http.Handler, func()) {
	h, err := hello.New()
	if err != nil {
		panic(err)
	}
	for i, c := range checks {
		if err := h.Register(hello.Config{Name: name(i), Check: c, Timeout: patience}); err != nil {
			panic(err)
		}
	}
	return h.Handler(), func() {}
}

func openSundheit(checks []check) (http.Handler, func()) {
	h := sundheit.New()
	for i, c := range checks {
		if err := h.RegisterCheck(&checked{name(i), c}, sundheit.ExecutionPeriod(every), sundheit.ExecutionTimeout(patience)); err != nil {
			panic(err)
		}
	}
	return sundheithttp.HandleHealthJSON(h), h.DeregisterAll
}

// checked is a check as go-sundheit wants it.
type checked struct {
	name  string
	check check
}

func (c *checked) Name() string                             { return c.name }
func (c *checked) Execute(ctx context.Context) (any, error) { return nil, c.check(ctx) }
