// SPDX-License-Identifier: Apache-2.0

// Package fsx holds what tallyman does to files beyond the standard library:
// replacing a file as a whole, watching the space that is left, and opening
// files of strangers below a root directory.
package fsx

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile replaces the file name with data: after a crash there is the old
// content or the new one, whole.
func WriteFile(name string, data []byte, perm os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
