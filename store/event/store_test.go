// SPDX-License-Identifier: Apache-2.0

package event

import (
	"testing"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	storetest.TestEventStore(t, func(dir string) (tallyman.EventStore, error) {
		return Open(Options{Dir: dir})
	})
}
