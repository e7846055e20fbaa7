// Package supervisor runs a service as an Erlang-style supervision tree.
package supervisor
