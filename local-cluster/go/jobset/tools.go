//go:build tools

// Package tools names the command that build-binaries.sh builds, so that `go mod tidy` keeps its checksums.
package tools

import _ "sigs.k8s.io/jobset"
