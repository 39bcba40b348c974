// SPDX-License-Identifier: Apache-2.0

// Package example has one small source of each kind, to copy from. It is in no catalog,
// since none of its functions is called Kind: a source of yours has a folder of its own
// and one function Kind.
//
//   - [Read]: a number that can be read at any time, without waiting. It is asked in
//     every round, by one goroutine, and must not allocate.
//   - [Ask]: a number that must be asked for, so that an answer may take long, or never
//     come. attach asks beside the rounds.
//   - [Lines]: lines of text with the position up to which they were read.
//
// What belongs to all: values that cannot be known are left out and their reason is
// told as an absence; memory and time are bounded; what comes from containers is not
// trusted. The tests run the contract suites and compare one value with a reading by
// hand.
package example
