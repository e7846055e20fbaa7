package main

import "slices"

// works are all there is to measure, in the order of the table.
var works = []*work{
	{"start", nanos, func(s size) int { return s.Children }, start},
	{"add one by one", nanos, func(s size) int { return s.Children }, add},
	{"restart, p50", nanos, func(s size) int { return s.Restarts }, restart},
	{"restart in a large tree ÷ among 10", times, func(s size) int { return s.fewer() }, siblings},
	{"throughput of restarts", nanos, func(s size) int { return s.Crashers * s.Each }, throughput},
	{"panics", nanos, func(s size) int { return s.Crashers * s.Each }, panics},
	{"storm", nanos, func(s size) int { return s.Children }, storm},
	{"stop", nanos, func(s size) int { return s.Children }, stop},
	{"nested start", nanos, func(s size) int { return leaves(s.levels()) }, nestStart},
	{"nested stop", nanos, func(s size) int { return leaves(s.levels()) }, nestStop},
	{"pairs of add and remove, 1 caller", nanos, func(s size) int { return s.Pairs }, pairsBy(1)},
	{"pairs of add and remove, 8 callers", nanos, func(s size) int { return s.Pairs }, pairsBy(8)},
	{"memory", octets, func(s size) int { return s.Children }, memory},
	{"readyz, 10 nodes", nanos, func(s size) int { return s.Answers }, readyz(10)},
	{"readyz, 1,000 nodes", nanos, func(s size) int { return s.Answers }, readyz(1_000)},
	{"readyz, 100,000 nodes", nanos, func(s size) int { return s.Answers }, readyz(100_000)},
}

// workNamed returns a work that there is.
func workNamed(name string) *work {
	return works[slices.IndexFunc(works, func(w *work) bool { return w.name == name })]
}
