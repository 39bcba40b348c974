// SPDX-License-Identifier: Apache-2.0

// Package inventory tells a hub which containers there are on a host, and is where the hub
// knows those of all its hosts.
//
// # The records
//
// A [Teller] makes records with source="inventory": one line of JSON for each engine of its
// host, in the form that /servers has,
//
//	{"time":1800000000000,"part":1,"parts":1,"host":"web-1","engine":{…},"containers":[…]}
//
// at the start, ten seconds after something has changed, and every five minutes. A line has at
// most 250 KiB; what is more goes into further parts. All parts of one time are the whole of
// the host. They hold no figures, which are samples, and no event; as in REST there is no
// secret in them.
//
// # The hosts
//
// [Hosts] reads the newest of those records, at the start from the store and then as they come.
// It implements tallyman.Inventory for its own host and all others, and tells observers what
// has changed, as discovery does. A host that has sent nothing for some time is silent: its
// engines are down with the failure "silent", and the state of its containers is unknown.
//
// Containers and engines that it hands out are shared, and are not changed.
package inventory
