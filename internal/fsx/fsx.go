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
// content or the new one, whole. The new one grows beside it as name.new; what a
// crash leaves of that is overwritten the next time. A file has one writer at a time.
func WriteFile(name string, data []byte, perm os.FileMode) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
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
