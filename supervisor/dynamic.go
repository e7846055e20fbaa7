package supervisor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// The methods in this file change the running tree, by path. Each waits for
// its outcome until ctx is done; the request stands even then. A worker may
// call them about itself with its own context: that ends before the outcome.
// Their errors wrap OTP's results (ErrNotFound, ErrRunning, …) with the path.

// Add starts a new child of the supervisor at path parent, last in start
// order, and returns its path once it is ready. With Name "" it gets a number
// for a name. A child that fails to start is not kept and its error returned;
// ErrIgnore if it said so. ErrAlreadyStarted and ErrAlreadyPresent say that
// the name is taken. It is gone when its supervisor restarts.
func (s *Supervisor) Add(ctx context.Context, parent string, spec Spec) (path string, err error) {
	r, err := s.runnerAt(parent)
	if err != nil {
		return "", err
	}
	spec = spec.clone()
	above := r.named(&spec)
	if err := spec.validateBelow(parent, above); err != nil {
		return "", err
	}
	c := s.newCall(opAdd, spec.Name)
	c.spec = &spec
	return pathOf(parent, spec.Name), r.do(ctx, c)
}

// Start starts the stopped child at path and returns once it is ready. If it
// fails to start it stays stopped and its error is returned; ErrIgnore if it
// said so. ErrRunning and ErrRestarting say that it is not stopped.
func (s *Supervisor) Start(ctx context.Context, path string) error { return s.ask(ctx, opStart, path) }

// Stop stops the node at path, and what is below it, and keeps its Spec. One
// that is stopped already, or waits to be restarted, stays stopped. A
// Temporary child is forgotten. An error wrapping ErrAbandoned says that its
// goroutine did not end in time.
func (s *Supervisor) Stop(ctx context.Context, path string) error { return s.ask(ctx, opStop, path) }

// Restart stops and starts the node at path with what its supervisor's
// strategy groups with it, at once and without counting, and returns once it
// is ready. If it fails to start its error is returned, and it is restarted
// with backoff as ever.
func (s *Supervisor) Restart(ctx context.Context, path string) error {
	return s.ask(ctx, opRestart, path)
}

// Remove stops the node at path, whatever it is doing, and forgets it.
func (s *Supervisor) Remove(ctx context.Context, path string) error {
	return s.ask(ctx, opRemove, path)
}

// Delete forgets the stopped child at path. ErrRunning and ErrRestarting say
// that it is not stopped.
func (s *Supervisor) Delete(ctx context.Context, path string) error {
	return s.ask(ctx, opDelete, path)
}

// Children returns the children of the supervisor at path, in start order,
// between two of its moves: OTP's which_children. Unlike Snapshot it waits its
// turn among the other calls, and holds the loop up for all of them.
func (s *Supervisor) Children(ctx context.Context, path string) ([]Snapshot, error) {
	r, err := s.runnerAt(path)
	if err != nil {
		return nil, err
	}
	c := s.newCall(opChildren, "")
	if err := r.do(ctx, c); err != nil {
		return nil, err
	}
	return c.children, nil
}

func (s *Supervisor) ask(ctx context.Context, op operation, path string) error {
	if path == s.root.path {
		return fmt.Errorf("%s: %w", path, ErrRoot)
	}
	parent, name := split(path)
	r, err := s.runnerAt(parent)
	if err != nil {
		return err
	}
	return r.do(ctx, s.newCall(op, name))
}

// newCall makes a call of somebody outside, to be done once.
func (s *Supervisor) newCall(op operation, name string) *call {
	answer, ok := s.answers.Get().(chan error)
	if !ok {
		answer = make(chan error, 1)
	}
	return newCallFor(answer, op, name)
}

// do hands the call over and waits for the answer.
func (r *runner) do(ctx context.Context, c *call) error {
	if !r.see(&input{kind: asked, call: c}, nil) {
		return fmt.Errorf("%s: %w", r.core.path, ErrNotRunning)
	}
	select {
	case err := <-c.answer:
		r.tree.answers.Put(c.answer)
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", pathOf(r.core.path, c.name), context.Cause(ctx))
	}
}

// named gives a newcomer without a name a number for one, which no child has. It
// returns the supervisor's own Spec.
func (r *runner) named(newcomer *Spec) *Spec {
	r.access.read()
	defer r.access.done()
	for newcomer.Name == "" {
		r.numbered++
		if name := strconv.FormatUint(r.numbered, 10); r.core.named(name) == nil {
			newcomer.Name = name
		}
	}
	return r.core.spec
}

// runnerAt returns the last incarnation of the supervisor at path.
func (s *Supervisor) runnerAt(path string) (*runner, error) {
	r, _, err := s.walk(path)
	if err == nil && r == nil {
		err = fmt.Errorf("%s: %w", path, ErrNotRunning)
	}
	return r, err
}

// split returns a path's parent and its last name.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}
