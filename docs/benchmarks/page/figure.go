package page

import (
	"fmt"
	"slices"
)

// Digits are as many as there is sense in.
func Digits(value float64) string {
	switch {
	case value < 10:
		return fmt.Sprintf("%.2f", value)
	case value < 100:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.0f", value)
	}
}

// Scale returns by what so many nanoseconds are divided to be read, and what
// they are then.
func Scale(nanoseconds float64) (by float64, unit string) {
	switch {
	case nanoseconds < 1e3:
		return 1, " ns"
	case nanoseconds < 1e6:
		return 1e3, " µs"
	case nanoseconds < 1e9:
		return 1e6, " ms"
	}
	return 1e9, " s"
}

// Nanoseconds is a time in words.
func Nanoseconds(ns float64) string {
	by, unit := Scale(ns)
	return Digits(ns/by) + unit
}

// Bytes is a size in words.
func Bytes(n float64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%.0f B", n)
	case n < 1<<20:
		return Digits(n/(1<<10)) + " KiB"
	case n < 1<<30:
		return Digits(n/(1<<20)) + " MiB"
	}
	return Digits(n/(1<<30)) + " GiB"
}

// Count is a whole number with its thousands apart.
func Count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", Count(n/1000), n%1000)
}

// Median is the value in the middle; of an even number, the upper one.
func Median[T ~float64 | ~int64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
