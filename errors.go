// SPDX-License-Identifier: Apache-2.0

package tallyman

import (
	"errors"
	"fmt"
)

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

// RefusedError says that a store has left out what it would never take, and has
// stored all the rest of the batch. Giving it again does not help.
type RefusedError struct {
	// Records is how many were left out.
	Records int
	// Err is why, of the first.
	Err error
}

// Error says how many and why.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%d records refused: %v", e.Records, e.Err)
}

// Unwrap gives the reason.
func (e *RefusedError) Unwrap() error { return e.Err }
