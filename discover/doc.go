// SPDX-License-Identifier: Apache-2.0

// Package discover knows which engines and containers there are.
package discover
