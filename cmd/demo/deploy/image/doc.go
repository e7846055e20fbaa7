// Package image builds the demo's image without Docker, as the Dockerfile says
// by Docker's own parser, and runs it. It is a module of its own, so that
// nobody who uses coppice has Docker's modules in their build.
package image
