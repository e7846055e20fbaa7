package supervisor

import "strings"

// This file judges supervisors as if some of the nodes below them were well.

// without is a tree of names that are left out, by the name of the child; an
// empty one is left out with all that is below it.
type without map[string]without

// leftOut returns the paths that are below the node at path.
func leftOut(path string, paths []string) without {
	w := without{}
	for _, p := range paths {
		if name, ok := strings.CutPrefix(p, path+"/"); ok {
			w.add(strings.Split(name, "/"))
		}
	}
	return w
}

func (w without) add(names []string) {
	below, known := w[names[0]]
	switch {
	case len(names) == 1:
		w[names[0]] = without{}
	case known && len(below) == 0: // with all that is below it
	default:
		if !known {
			below = without{}
			w[names[0]] = below
		}
		below.add(names[1:])
	}
}

// whole reports whether the child of that name is left out itself.
func (w without) whole(name string) bool {
	below, ok := w[name]
	return ok && len(below) == 0
}

// statusWithout returns the status of the supervisor, as if what is left out
// were Up: from the counts, so that siblings cost nothing.
func (r *runner) statusWithout(w without) Status {
	counts, quorum, below := r.countsWithout(w)
	for _, ch := range below {
		counts.move(0, standing(ch.runner.statusWithout(ch.without), ch.optional))
	}
	return counts.status(quorum)
}

// A partly is a supervisor below which something is left out.
type partly struct {
	runner   *runner
	without  without
	optional bool
}

// countsWithout returns the counts with what is left out as Up. The supervisors
// that it returns are not in them: no lock is held while another is taken.
func (r *runner) countsWithout(w without) (c counts, quorum int, below []partly) {
	r.access.read()
	defer r.access.done()
	c = r.core.counts
	for name, inner := range w {
		ch, in := r.core.named(name), (*runner)(nil)
		if ch == nil {
			continue
		}
		if ch.state == Ready && ch.spec.isSupervisor() {
			in = ch.unit.below.Load()
		}
		switch {
		case len(inner) == 0:
			c.move(standing(ch.status(), ch.spec.Optional), standing(Up, ch.spec.Optional))
		case in != nil:
			c.move(standing(ch.status(), ch.spec.Optional), 0)
			below = append(below, partly{in, inner, ch.spec.Optional})
		}
	}
	return c, r.core.spec.Quorum, below
}
