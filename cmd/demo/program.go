package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/health"
	"github.com/coppice-go/coppice/health/systemd"
	"github.com/coppice-go/coppice/supervisor"
)

// program is the shop with what stands around its tree: the listeners of the
// platform and of the operator, systemd if it is there, and the customers.
type program struct {
	cfg       config
	shop      *shop
	sup       *supervisor.Supervisor
	customers *customers
	listeners []*health.Server
	notifier  *systemd.Notifier
}

// newProgram prepares everything and starts nothing but the two listeners:
// probes are answered before the first child starts. What fails here is the
// fault of whoever started it.
func newProgram(cfg config, log zerolog.Logger, observe func(supervisor.Event)) (p *program, err error) {
	p = &program{cfg: cfg}
	defer func() {
		if err != nil {
			p.close()
			err = usageError{err}
		}
	}()
	set, bad := readSettings(cfg.config)
	p.shop, err = newShop(cfg, log)
	if err = errors.Join(bad, err); err != nil {
		return p, err
	}
	recent := health.NewLog(0)
	p.sup, err = supervisor.New(p.shop.tree(set), supervisor.Options{
		DrainDelay: cfg.drain, GracePeriod: cfg.grace,
		Observer: func(e supervisor.Event) {
			recent.Observe(e)
			observe(e)
		},
	})
	if err != nil {
		return p, err
	}
	p.shop.sup = p.sup
	p.customers = newCustomers(cfg.load, p.shopURL)
	return p, p.listen(recent)
}

// listen opens the listeners of probes and admin side, and tells of each address
// that cannot be had.
func (p *program) listen(recent *health.Log) error {
	release, bad := p.shop.holdAddr()
	defer release()
	probes, err := health.Serve(p.cfg.probes, p.sup)
	bad = errors.Join(bad, p.opened("-probes", probes, err))
	admin, err := health.ServeAdmin(p.cfg.admin, p.sup, health.AdminOptions{
		Token: p.cfg.adminToken, Log: recent, Actions: p.shop.actions(),
	})
	bad = errors.Join(bad, p.opened("-admin", admin, err))
	if bad == nil {
		p.notifier, bad = systemd.Notify(p.sup)
	}
	return bad
}

// opened keeps a listener, or says which flag its fault is of.
func (p *program) opened(flag string, l *health.Server, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	p.listeners = append(p.listeners, l)
	return nil
}

// run runs the tree until ctx is done or its root gives up; see
// supervisor.Run. The customers leave when it drains, as a load balancer has
// them do.
func (p *program) run(ctx context.Context) error {
	visits, leave := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		p.customers.run(visits)
	}()
	err := p.sup.Run(ctx)
	leave()
	<-gone
	p.shop.workers.Close() // what it hands back is in the database, and found by the next sweep
	return err
}

// close ends what is not the tree's. The probes answer until here.
func (p *program) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	if p.notifier != nil {
		p.notifier.Stop()
	}
	for _, l := range p.listeners {
		_ = l.Shutdown(ctx) // answers cut off now are cut off for good reason
	}
	if p.shop != nil {
		p.shop.close()
	}
}

// shopURL is where customers find the shop, once it was open.
func (p *program) shopURL() string {
	if l := p.shop.faults.listener.Load(); l != nil {
		return "http://" + local((*l).Addr().String())
	}
	return "http://" + local(p.cfg.addr)
}
