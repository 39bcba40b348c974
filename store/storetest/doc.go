// SPDX-License-Identifier: Apache-2.0

// Package storetest holds the contract suites of the stores. A store's own test
// hands its constructor over and is held to what the contract in the root
// package says:
//
//	func TestContract(t *testing.T) {
//		storetest.TestEventStore(t, func(dir string) (tallyman.EventStore, error) {
//			return event.Open(event.Options{Dir: dir})
//		})
//	}
//
// The suites use nothing but the contract and the folder they are given, so the
// same suite runs against every store.
package storetest
