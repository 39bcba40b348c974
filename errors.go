// SPDX-License-Identifier: Apache-2.0

package tallyman

import "errors"

var (
	// ErrGone says that a target vanished before or while it was read. It is
	// the normal end of a container and no failure.
	ErrGone = errors.New("target is gone")
	// ErrNotFound says that what was asked for is not known.
	ErrNotFound = errors.New("not found")
	// ErrLimit says that something is refused since it, or all with it, would be
	// too large. Trying again does not help until something is smaller.
	ErrLimit = errors.New("over a limit")
)
