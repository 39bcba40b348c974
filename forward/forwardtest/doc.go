// SPDX-License-Identifier: Apache-2.0

// Package forwardtest holds the contract suite of forwarders of records, and what it is
// made of: a log of records in memory, and a server that answers as it is told.
//
//	func TestContract(t *testing.T) {
//		forwardtest.TestRecords(t, forwardtest.Forwarder{Start: start, Decode: decode})
//	}
package forwardtest
