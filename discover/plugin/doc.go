// SPDX-License-Identifier: Apache-2.0

// Package plugin decides which service plugins fit a container, by five sources, the
// strongest first:
//
//	rules of the configuration ─► labels of docker run ─► labels of the image ─►
//	conventions of others (prometheus.io/scrape) ─► detection
//
// It knows the grammar of labels, and dials nowhere. What it says is checked before
// anything starts: the keys, their values, and whether the source may ask for that. A
// [Book] is made once; its calls may run concurrently.
//
// # Identity
//
// An instance is its type and what it asks ([tallyman.ServiceKind.Where]). Of two for the
// same the stronger source stands as a whole; keys are never mixed. As soon as any of
// the first four names a type, or switches it off, it is not detected.
//
// # Mistakes
//
// One bad entry never stops another one, nor another label or container. A mistake names
// keys and offsets, and never values: those may be secret.
package plugin
