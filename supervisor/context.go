package supervisor

import "context"

// PathFrom returns the path of the worker that ctx was given to, "" if it was
// given to none.
func PathFrom(ctx context.Context) string {
	if inc := incarnationFrom(ctx); inc != nil {
		return inc.path()
	}
	return ""
}

// IncarnationFrom returns the number of the incarnation that ctx was given to:
// it counts the starts of that child over the tree's life, from 1; a child that
// was removed and is added anew counts anew. It is 0 if ctx was given to none.
func IncarnationFrom(ctx context.Context) uint64 {
	if inc := incarnationFrom(ctx); inc != nil {
		return inc.number
	}
	return 0
}

// Impaired says that the worker that ctx was given to works, but badly: its
// status is Degraded, with reason to be read in snapshots, and it is not
// restarted. A nil reason says that it works well again. Saying the same again
// does nothing, nor does a call before ready or after the incarnation ended.
// It panics if ctx is no worker's.
func Impaired(ctx context.Context, reason error) {
	inc := incarnationFrom(ctx)
	if inc == nil {
		panic("supervisor: Impaired: ctx is no worker's")
	}
	inc.impaired(byItself, reason)
}

type incarnationKey struct{}

func incarnationFrom(ctx context.Context) *incarnation {
	inc, _ := ctx.Value(incarnationKey{}).(*incarnation)
	return inc
}
