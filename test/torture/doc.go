// SPDX-License-Identifier: Apache-2.0

// Package torture holds the tests of bad days on a real engine: kills, full
// disks, floods, too few descriptors, too little memory. Each compares what
// tallyman knows afterwards with what the engine says.
package torture
