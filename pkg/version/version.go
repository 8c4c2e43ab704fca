// Package version tells which build this is.
package version

// Version is stamped by the linker (see the Makefile).
var Version = "dev"
