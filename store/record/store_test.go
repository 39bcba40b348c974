// SPDX-License-Identifier: Apache-2.0

package record

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"tallyman/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("TEST_APPEND_UNTIL_KILLED"); dir != "" {
		appendUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func TestContract(t *testing.T) {
	storetest.TestRecordStore(t, func(dir string) (storetest.RecordStore, error) {
		return Open(Options{Dir: dir})
	})
}

// TestContractWithSmallFiles holds it with many files of everything.
func TestContractWithSmallFiles(t *testing.T) {
	storetest.TestRecordStore(t, func(dir string) (storetest.RecordStore, error) {
		return Open(Options{Dir: dir, walFile: 4 << 10, segment: 32 << 10, logRange: 777})
	})
}
