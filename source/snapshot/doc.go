// SPDX-License-Identifier: Apache-2.0

// Package snapshot keeps how containers were configured: at first sight, and at
// each change, the inspection of a container becomes a record, without secrets
// and without what changes by itself (package inspect).
//
//	k, err := snapshot.Key("/var/lib/tallyman/snapshot.key")
//	s, err := snapshot.New(snapshot.Options{Records: intake, Stored: store, Container: d.EngineDocument, Image: d.EngineImage, Emit: bus.ObserveEvent, Key: k})
//	d.ObserveContainers(s)
//	err = s.Run(ctx)
//
// # What is stored
//
//	stream    host, source="snapshot", name, workload, image
//	metadata  container_id (of an image: image_id), hash
//	line      {"Config":{…},"Created":"…","HostConfig":{…},"Id":"…",…}
//
// The configuration of an image is stored once per id of an image, in a stream
// without name and workload.
//
// # When the engine is asked
//
// When a container is seen for the first time, after its events create, start,
// update and rename, after one of its networks is connected or disconnected, and
// when an inventory shows what such an event would have told: never at an interval.
// One container at a time; what comes within 300 ms is one question, and after an
// answer there is a pause of four times as long as it took. At most 5,000 wait, the
// rest is counted. A container that is gone before its turn has no snapshot. An
// engine that does not answer is asked again, less and less often.
//
// Nothing is stored when nothing changed, also over a restart: the hashes of what
// is stored are read by New.
//
// # Drift
//
// Two seconds after the last snapshot of a workload it is compared with the one
// before; what a new container has to have anew (inspect.Drift) does not count.
// When they differ, an event of type "tallyman" and action "drift" names at most 20
// of the changed paths with their old and new values, which are as free of secrets
// as the snapshots. Of two containers of a workload at the same time the one that
// was made later counts.
//
// # Concurrency
//
// The methods of an Observer may be called concurrently with Run and return at
// once. Emit is called from Run. New reads the record store, Run asks and writes.
package snapshot
