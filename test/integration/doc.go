// SPDX-License-Identifier: Apache-2.0

// Package integration holds tests that need a real Docker engine. They build
// their own image from busybox, without a registry, give every container a
// label of the run, touch nothing without it, and remove everything at the end.
//
// Without an engine they are skipped with the reason; with CI=true in the
// environment that is a failure.
package integration
