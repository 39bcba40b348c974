// SPDX-License-Identifier: Apache-2.0

// Package inspect makes of an engine's description of a container or an image
// (docker inspect) a document that may be kept and compared: without secrets,
// without what changes by itself, in one order.
//
//	doc, err := inspect.Container(raw, key)
//	line := inspect.Encode(doc)
//	hash := inspect.Hash(line)
//	changes, err := inspect.Diff(before, line, inspect.Drift)
//	differences, err := inspect.Compare([][]byte{web1, web2, web3})
//
// # What a document has
//
// Of a container Id, Created, Name, Image, Platform, Driver, Config, HostConfig,
// Mounts and Networks; of an image Id, Created, RepoTags, RepoDigests, Platform,
// Config. The members have the engine's names. What is empty, zero or false is
// left out, so that an engine that learns new settings changes nothing.
//
// What changes by itself is left out: state, pids, times, the health log,
// addresses, sandbox and paths of the engine; Path and Args, which Config has; the
// host name, aliases and volumes that the engine makes of an id; MemorySwap when it
// is twice Memory, as the engine sets it. Lists whose order means nothing are
// sorted, and lists of things with a name are objects by that name: mounts by
// destination, ulimits by name, variables of the environment, published ports.
//
// # Secrets
//
// The value of a variable is replaced by "[set] " and 16 hexadecimal digits of an
// HMAC-SHA256 of name and value under the key: a change shows, and nothing can be
// guessed without the key. A few names whose values are harmless (PATH, LANG, TZ …)
// keep them. Commands, health checks, labels, log options and all other texts go
// through package redact; one that it took something out of ends with such a
// number too.
//
// # Bounds
//
// An encoded document has at most [MaxDocument] bytes: long texts are cut and carry
// an HMAC of the whole, long lists and objects are cut.
//
// All functions are pure and may be called concurrently.
package inspect
