// SPDX-License-Identifier: Apache-2.0

// Package guard is the tree testing itself: who may import whom, licence
// lines, package comments, generated files, links, claims.
package guard
