// Package health shows a supervision tree over HTTP: to a container platform
// as probes, to people as a page, to programs as JSON.
//
// There is one model, the tree. Nothing is registered here, no check runs
// because somebody asked, and no answer does I/O: a dependency that must be
// watched is a child that watches it.
//
// # Two sides
//
// The public side, Handler and Serve, answers probes:
//
//	path                  says no (503) when                           else
//	/livez                the tree can no longer heal itself           200
//	/startupz             the tree was never fully ready               200, for ever after
//	/readyz               its root is down, not ready yet or draining  200
//	/healthz              as /readyz                                   200
//	/readyz/shop/http     that node is down; 404 if there is none      200
//
// Liveness never depends on a dependency: a process whose database is gone is
// not mended by killing it. Degraded is ready. These answers name paths, never
// reasons, since a reason can hold addresses. Do not use /healthz as a
// livenessProbe: it is readiness, for those who have one path to ask.
//
// What the probe of a node found more than three of its intervals ago says
// nothing of now. A node that is up by nothing newer is told as "unknown", with
// the age of the result ("warn" as health+json), where the answer is about that
// node, or lists it (?verbose). That is a 200, and the root's answers ignore it:
// they are what the tree keeps, and a late check is no reason to take traffic
// away, least of all since what makes checks late is often load. A check that
// hangs has failed after its Timeout, so nothing stays unknown for longer than
// that; what is known to be degraded or down stays so.
//
// The admin side, Admin and ServeAdmin, tells reasons: a page for people (/),
// the tree (/tree), the latest events (/events, or as they happen) and the last
// incidents (/incidents, /incidents/7) as JSON, the same probes with reasons,
// and, if they are switched on, actions. What looks like a secret in a reason is
// masked. It is meant for loopback, where
// "kubectl port-forward" finds it; elsewhere it needs a token.
//
// Neither listener is a node of the tree. One that were would be absent while
// a database is down at boot, and the first to stop on drain, and a refused
// connection is a failed liveness probe. Open it before Run and close it after:
//
//	probes, err := health.Serve(":8081", sup)
//	…
//	err = sup.Run(ctx)
//	probes.Shutdown(context.Background())
//
// # Concurrency
//
// Handlers and the methods of Server and Log may be called concurrently. Green
// answers read a few atomics of the tree and write prepared text: they cost
// the same whatever its size, and no loop of the tree is asked or waited for.
// Answers that name nodes hold one supervisor's lock at a time, as
// supervisor.Snapshot does.
package health
