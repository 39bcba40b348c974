// SPDX-License-Identifier: Apache-2.0

package tallyman

import "errors"

var (
	// ErrGone says that a target vanished before or while it was read. It is
	// the normal end of a container and no failure.
	ErrGone = errors.New("target is gone")
	// ErrNotFound says that what was asked for is not known.
	ErrNotFound = errors.New("not found")
)
