// SPDX-License-Identifier: Apache-2.0

// Package receive is the hub's side of agents: tallymen on other hosts send here what they
// have, each with a token that is bound to its host.
//
//	agent ──remote write──► Service.write ──► store of samples
//	agent ──Loki push─────► api/loki ──► Service.TakeRecords ──► store of records
//	                                         └──► Options.Stored: events, inventory
//
// # Ownership
//
// The label host is set from the token. A series or stream that claims another host is
// refused and counted, and so is everything in the name of the hub's own host; nobody sends
// audit records. Everything else of an agent is as it was there, so that the hub's pages
// and queries find it under its host.
//
// # Remote write
//
// Versions 1.0 and 2.0 are taken, snappy packed; the declared length is looked at before
// anything is unpacked. What is good of a request is stored before it is answered. 204 says
// that all is, 400 how many samples were refused, and why; those are not to be sent again.
// 403 says that nothing but another host's was in it, 429 that the agent sends too much in a
// second, 503 that nothing is stored and all is to be sent again. The header
// X-Prometheus-Remote-Write-Samples-Written has how many are stored. Samples may come late
// and repeated; stale markers end series; histograms and exemplars are not kept.
//
// # Cost
//
// The labels of a series are taken apart when it is seen first. After that it is found by a
// hash of its labels and compared with them, which allocates nothing. What an agent has is
// forgotten when it is idle.
//
// A Service may be used concurrently; requests of one agent wait for each other.
package receive
