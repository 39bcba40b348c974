// SPDX-License-Identifier: Apache-2.0

// Package inside is what a service plugin sees of its container: tallyman.Inside.
//
// # Network
//
// A socket belongs to the network namespace in which it was made. So it is made there, by
// a thread that enters for as long as that takes (internal/nsx), and is connected from
// here. Names are looked up as the container does: its hosts file, then its name servers,
// asked through its own network. A unix socket is found below the container's root
// directory and reached by its descriptor; nobody enters a mount namespace.
//
// Without the right to enter, the container's address on its bridge is dialled in place of
// its loopback, and [View.Degraded] says so.
//
// # Where it may go
//
// To the container's own loopback and addresses. Elsewhere only as [Policy] has it, and to
// link-local addresses, where clouds keep their secrets, only if that is asked for. In the
// host's network, and in that of another container, a port of the loopback is its own only
// if one of its processes listens on it.
//
// # Files and commands
//
// Files are regular ones below the container's root, and no link leads out of it. Commands
// run through the engine, in the container, as its user. Who runs too long is killed with
// all that it has started, after a look that it is a process of that container.
package inside
