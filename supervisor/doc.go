// Package supervisor runs the long-lived parts of a service as an Erlang-style
// supervision tree: database pools, cache clients, worker pools, listeners are
// supervised children; what fails is started again with backoff, in order, with
// what depends on it; what cannot be healed inside escalates, up to Run's error
// and so the process's exit code.
//
// # The model
//
// A tree is data: a Spec with Children is a supervisor, one with Run a worker.
//
//	tree := supervisor.Spec{Name: "shop", Strategy: supervisor.RestForOne, Children: []supervisor.Spec{
//		{Name: "storage", Children: []supervisor.Spec{
//			{Name: "db", Run: db.Run(serveDB)},
//			{Name: "cache", Run: cache.Run(serveCache)},
//		}},
//		{Name: "http", Run: serveHTTP},
//	}}
//	sup, err := supervisor.New(tree, supervisor.Options{})
//	err = sup.Run(ctx)
//
// A worker is one function, top to bottom (RunFunc). Each time it runs it is a
// new incarnation, with a context and values of its own; what others need of
// it they take from a Ref, which follows the live incarnation.
//
// # The life of a node
//
// See State. In short: it starts once those before it are ready; it is ready
// when it says so; when it fails it backs off and starts again; when it must
// stop its context ends, with a cause, and it has StopTimeout to return.
//
// How it ended decides what follows. A normal end (nil) is restarted if the
// child is Permanent, a failure also if it is Transient, a Temporary child is
// forgotten. A restart counts against the supervisor's Intensity, unless the
// failure wraps ErrUnavailable (the world outside is down) or the child could
// not start. More restarts than the Intensity allows, and the supervisor fails
// itself: then its own supervisor decides likewise. What the root returns,
// Run returns.
//
// A goroutine cannot be killed. What outlives its StopTimeout is abandoned: an
// event says so, the snapshot lists it, its Ref has no value any more, and a
// new incarnation takes its place; an Exclusive child, and any that was
// abandoned twice, waits instead until the old one has ended. With too many of
// them the tree gives up, so that the platform replaces the process.
//
// # The repair ladder
//
// What can be mended short of a restart is. A Probe checks a worker while it is
// ready; the first check that fails makes it impaired (Degraded, not Down), its
// remedies are tried in order, and only if none helps is it restarted: alone or
// with what the Strategy groups with it, then its supervisor, and so on up to
// Run's error, the process's exit code and the liveness probe. A worker that
// hangs where no check looks is seen by a missing Beat. One that fails too
// often in a row (Backoff.Attempts) and is Optional is parked: the tree goes on
// without it, and tries it now and then.
//
// Each rung is an Event. A failure with all that follows from it, upwards and
// sideways, until everybody involved is ready again, is an Incident.
//
// # Changing a running tree
//
// Add, Start, Stop, Restart, Remove and Delete change one node; Apply makes the
// whole tree what a new Spec says, and leaves running what has not changed.
//
// # Ordering
//
// In a supervisor's first start, and in a group restart, a child starts once
// the one before it is ready. Children stop in reverse order, each once the one
// after it is gone. Everything that must stop has stopped before anything
// starts. A child that restarts alone, Add and Start wait for no sibling.
//
// Under DependentsForOne that holds along DependsOn, and nowhere else: a child
// starts once all that it needs is ready, and stops once all that needs it has
// gone; those that do not need each other wait for nobody.
//
// Events are numbered before their effects can be seen: causes first.
//
// # Concurrency
//
// Formally: all methods of Supervisor and Ref may be called at any time from
// any goroutine. What a worker does before ready happens before WaitReady
// returns, and before a later sibling starts. What an incarnation does before
// it returns happens before the next one starts, unless it was abandoned.
//
// Less formally: each supervisor has one loop that decides, and nothing it does
// waits for your code. Your Run may block as long as it likes; your Observer is
// called by a goroutine of its own and may be slow. Values behind a Ref are
// used by many goroutines at once and must bear that.
//
// # Limits
//
// A worker that ignores its context cannot be stopped, only replaced. The order
// of events of different supervisors that do not depend on each other is that
// of their numbers, and no promise. A tree runs once.
package supervisor
