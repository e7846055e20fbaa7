// Package tests judges what is in deploy/ by the code of those who will read
// it: kubelet's probes against a running demo, the API server's decoder and
// validation, kustomize, Docker's own builder. It is a module of its own, so
// that nobody who uses coppice has Kubernetes in their build.
package tests
