// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"tallyman/internal/fsx"
)

const keySize = 32

// Key reads the key of this installation, and makes it (0600) where there is none
// or a damaged one. With another one every hidden value looks changed, once. An
// error comes with a key that is good: until the process ends when it could not
// be written, from now on when it took a damaged one's place.
func Key(name string) ([]byte, error) {
	key, err := os.ReadFile(name)
	switch {
	case err == nil && len(key) == keySize:
		return key, nil
	case err == nil:
		err = fmt.Errorf("the key %s was damaged, a new one took its place", name)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	default:
		err = fmt.Errorf("read the key of snapshots: %w", err)
	}
	key = make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	if failed := fsx.WriteFile(name, key, 0o600); failed != nil {
		return key, fmt.Errorf("write the key of snapshots: %w", failed)
	}
	return key, err
}
