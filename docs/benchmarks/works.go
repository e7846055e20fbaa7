package main

// works are all there is to measure, in the order of the table.
var works = []*work{
	{"start", nanos, func(s size) int { return s.children }, start},
	{"add one by one", nanos, func(s size) int { return s.children }, add},
	{"restart, p50", nanos, func(s size) int { return s.restarts }, restart},
	{"restart in a large tree ÷ among 10", times, func(s size) int { return s.restarts }, siblings},
	{"throughput of restarts", nanos, func(s size) int { return s.crashers * s.each }, throughput},
	{"panics", nanos, func(s size) int { return s.crashers * s.each }, panics},
	{"storm", nanos, func(s size) int { return s.children }, storm},
	{"stop", nanos, func(s size) int { return s.children }, stop},
	{"nested start", nanos, func(s size) int { return leaves(s.depth()) }, nestStart},
	{"nested stop", nanos, func(s size) int { return leaves(s.depth()) }, nestStop},
	{"pairs of add and remove, 1 caller", nanos, func(s size) int { return s.pairs }, pairsBy(1)},
	{"pairs of add and remove, 8 callers", nanos, func(s size) int { return s.pairs }, pairsBy(8)},
	{"memory", octets, func(s size) int { return s.children }, memory},
	{"readyz, 10 nodes", nanos, func(s size) int { return s.answers }, readyz(10)},
	{"readyz, 1,000 nodes", nanos, func(s size) int { return s.answers }, readyz(1_000)},
	{"readyz, 100,000 nodes", nanos, func(s size) int { return s.answers }, readyz(100_000)},
}
