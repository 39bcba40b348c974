// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// FilesLimit is how many descriptors this process may have, 0 when it is not
// known.
func FilesLimit() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return l.Cur
}

// HasDescriptors says why there are too few descriptors to watch one more container,
// whose files need so many. Some are for connections and stores.
func HasDescriptors(perContainer uint64) error {
	const others = 64
	limit := FilesLimit()
	open, err := openFiles()
	if limit == 0 || err == nil && open+perContainer+others <= limit {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the limit of %d open files is reached; raise it: docker run --ulimit nofile=65536, or LimitNOFILE=65536 in the systemd unit", limit)
	}
	return fmt.Errorf("the limit of %d open files leaves no room for more containers (%d are open); raise it: docker run --ulimit nofile=65536, or LimitNOFILE=65536 in the systemd unit", limit, open)
}

// openFiles is how many descriptors this process has. Linux 6.2 and later tell
// it as the size of the folder; before, its entries are counted.
func openFiles() (uint64, error) {
	const folder = "/proc/self/fd"
	if st, err := os.Stat(folder); err == nil && st.Size() > 0 {
		return uint64(st.Size()), nil
	}
	open, err := os.ReadDir(folder)
	return uint64(len(open)), err
}
