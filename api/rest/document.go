// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strconv"

	"tallyman/api/view"
	"tallyman/doctor"
	"tallyman/internal/httpx"
	"tallyman/internal/process"
	"tallyman/query"
)

// docs describes the routes by their path, for the reference of the API.
func docs() map[string]httpx.Doc {
	const prefix, monitor = "/api/tallyman/v1/", "/docker-monitor/api/v1.0/metrics"
	start := httpx.Param{Name: "start", Type: "integer", Text: "From when, in milliseconds since 1970"}
	end := httpx.Param{Name: "end", Type: "integer", Text: "Until when, in milliseconds since 1970; now without it"}
	compareStart := httpx.Param{Name: "start", Type: "integer", Needed: true, Text: "From this time on, in milliseconds since 1970"}
	monitorErrors := []int{http.StatusRequestTimeout, http.StatusInternalServerError}
	return map[string]httpx.Doc{
		prefix + "servers": {
			Summary: "Every host with its engine and its containers, with their numbers of now",
			Text:    "A sparkline covers the last quarter of an hour.",
			Answer:  view.Servers{},
		},
		prefix + "containers": {
			Summary: "Every known container, removed ones too",
			Answer:  containersAnswer{},
		},
		prefix + "containers/{ref}": {
			Summary: "One container with its details",
			Text:    "ref is a full id, the first 12 digits of one or more, or a name.",
			Params:  []httpx.Param{{Name: "host", Text: "On this host; names may be the same on several"}},
			Answer:  view.Container{}, Errors: []int{http.StatusNotFound},
		},
		prefix + "containers/{ref}/processes": {
			Summary: "The processes of a container, as top shows them",
			Text: "Read from the host's /proc at the time of the question, and not kept; at most " + strconv.Itoa(process.Most) + ". Arguments that look like secrets are left out. " +
				"ref is as for a container.",
			Params: []httpx.Param{{Name: "host", Text: "On this host; names may be the same on several"}},
			Answer: processesAnswer{}, Errors: []int{http.StatusNotFound},
		},
		prefix + "history": {
			Summary: "The numbers of a workload over time",
			Text: "Each series has a value for each time in t, the mean over the step that ends there; null where nothing is known. " +
				"Without start it goes back to the first sample. Samples of all containers of the workload are joined.",
			Params: []httpx.Param{
				{Name: "workload", Needed: true, Text: "The workload of a container, as /containers has it"},
				{Name: "host", Needed: true, Text: "Its host"},
				start, end,
				{Name: "points", Type: "integer", Default: 600, Text: "How many points, 1 to " + strconv.Itoa(query.MaxPoints)},
			},
			Answer: historyAnswer{}, Errors: []int{http.StatusBadRequest},
		},
		prefix + "events": {
			Summary: "Events, the newest first",
			Text: "All given filters must fit. more is set when there may be older ones: ask again with next as before. One question looks at " +
				strconv.Itoa(maxWalked) + " events at most, so that an answer may be empty and yet have more.",
			Params: append(eventParams(start, end),
				httpx.Param{Name: "before", Text: "Older than the event with this id"},
				httpx.Param{Name: "limit", Type: "integer", Default: 200, Text: "How many, 1 to 5000"}),
			Answer: eventsAnswer{}, Errors: []int{http.StatusBadRequest, http.StatusNotFound},
		},
		prefix + "events/summary": {
			Summary: "How many events there are over time, and of which kinds",
			Text: "counts are those that fit the filters, by severity, in columns: column i is from start + i * step on. The other numbers are, of each kind of choice, what the other filters " +
				"leave of the range. Of more than " + strconv.Itoa(maxWalked) + " events the newest are counted; since tells from when on.",
			Params: append(eventParams(start, end), httpx.Param{Name: "points", Type: "integer", Default: 120, Text: "How many columns at most, 1 to " + strconv.Itoa(maxColumns)}),
			Answer: eventsSummary{}, Errors: []int{http.StatusBadRequest},
		},
		prefix + "usage": {
			Summary: "What all containers and hosts took in a range",
			Text: "The mean is over the time in which the host was watched, so that those of the containers add up to a part of the host's: what did not run took " +
				"nothing. Containers that are gone are there, too.",
			Params: []httpx.Param{
				{Name: "start", Type: "integer", Needed: true, Text: "From this time on, in milliseconds since 1970"},
				{Name: "end", Type: "integer", Text: "Until this time, in milliseconds since 1970; without it now"},
				{Name: "points", Type: "integer", Text: "How many steps the points have, 1 to 1000", Default: 60},
			},
			Answer: usageAnswer{}, Errors: []int{http.StatusBadRequest},
		},
		prefix + "changes": {
			Summary: "What changed in a range against the equally long one before it",
			Text: "happened are events of containers, engines and tallyman: what was the same of one workload stands once. moved are numbers, by a score: the difference of their " +
				"medians, or half of that of the values that one step in ten is above, over the median deviation of the range before and what is worth no word in that unit; " +
				"from 3 on they have moved. What did not run while its host was watched took nothing; else a number that lacks samples in one of the ranges is not compared. " +
				"Which kinds of lines are new is in /changes/lines.",
			Params: []httpx.Param{compareStart, end,
				{Name: "host", Text: "Of this host"},
				{Name: "workload", Text: "Of this workload of the host, and of nothing else"},
				{Name: "limit", Type: "integer", Text: "How many numbers that moved, 1 to 500", Default: movedMost}},
			Answer: changesAnswer{}, Errors: []int{http.StatusBadRequest},
		},
		prefix + "changes/lines": {
			Summary: "Which kinds of lines are new in a range, or gone, against the equally long one before it",
			Text: "Lines of one container, file or unit are grouped by what they have in common. At most " + strconv.Itoa(changeLines) + " lines of each range are read, spread over it, " +
				"in at most " + patternTime.String() + "; covered tells how much that is. Where it is not all, a kind is new or gone only when it would have been read at least " + strconv.Itoa(expectedLeast) +
				" times were it as frequent in the other range.",
			Params: []httpx.Param{compareStart, end,
				{Name: "host", Text: "Of this host"},
				{Name: "workload", Text: "Of this workload"},
				{Name: "limit", Type: "integer", Text: "How many of each, 1 to 500", Default: changedMost}},
			Answer: changedLines{}, Errors: []int{http.StatusBadRequest, http.StatusNotFound},
		},
		prefix + "patterns": {
			Summary: "The kinds of lines of a log query, with an example of each and how many there are",
			Text: "At most " + strconv.Itoa(patternLines) + " lines are read, spread over the range, in at most " + patternTime.String() + "; covered tells how much of its time that is. " +
				"/loki/api/v1/patterns reads all.",
			Params: []httpx.Param{
				{Name: "query", Needed: true, Text: "A log query in LogQL"}, compareStart, end,
				{Name: "limit", Type: "integer", Text: "How many, 1 to " + strconv.Itoa(patternKinds), Default: 100}},
			Answer: patternsAnswer{}, Errors: []int{http.StatusBadRequest, http.StatusNotFound},
		},
		prefix + "watched": {
			Summary: "Since when there are samples of a host",
			Text:    "And whether nothing was watched before, or what was is no longer kept.",
			Params:  []httpx.Param{{Name: "host", Needed: true, Text: "The host"}},
			Answer:  watchedAnswer{}, Errors: []int{http.StatusBadRequest},
		},
		prefix + "kills": {
			Summary: "Processes that the kernel of a host killed for want of memory, and in which containers",
			Text: "From the kernel's own messages, the newest 200 of the range, oldest first. Without start they are those of 24 hours. Empty where the kernel's " +
				"messages are not read.",
			Params: []httpx.Param{{Name: "host", Needed: true, Text: "On this host"}, start, end},
			Answer: killsAnswer{}, Errors: []int{http.StatusBadRequest},
		},
		prefix + "configurations": {
			Summary: "Every workload with kept configurations, that changed last first",
			Text: "changes are the settings that differed at the last change; details are in /diff. A workload whose containers are gone is here as long as " +
				"a configuration of it is kept. rights are what the present container may do and most need not, as it was made: privileged, socket (the engine's), " +
				"hostpid, hostnetwork, capabilities (added), root (as user), writable (root file system), nolimit (of memory), latest (or no tag), public (ports " +
				"on every address).",
			Params: []httpx.Param{{Name: "set", Repeated: true, Text: "Only those whose present container has this setting, as NAME=VALUE, " + strconv.Itoa(maxSet) + " at most, all of which hold: a right, or the path " +
				"of a setting or its end (HostConfig.NetworkMode, networkmode); yes or no for set or not, else a part of the value"}},
			Answer: configurationsAnswer{}, Errors: []int{http.StatusBadRequest},
		},
		prefix + "siblings": {
			Summary: "Where the containers of one service differ",
			Text: "The newest configurations of the containers of the same Compose service on the host, or of the same Swarm service on all hosts, at most " +
				strconv.Itoa(maxSiblings) + ". values are in the order of members, null where a setting is not there. What tells containers of one service apart " +
				"(id, name, number) does not count.",
			Params: []httpx.Param{
				{Name: "workload", Needed: true, Text: "The workload of one of them, as /containers has it"},
				{Name: "host", Needed: true, Text: "Its host"},
			},
			Answer: siblingsAnswer{}, Errors: []int{http.StatusBadRequest},
		},
		prefix + "snapshots": {
			Summary: "Kept configurations of a container, a workload or an image, the newest first",
			Text: "One is kept at first sight and at each change, without secrets: values of variables are replaced by a number that tells " +
				"whether they changed. changes are the paths that differ from previous, the one before of the same workload; what every new " +
				"container has anew (id, name, time of creation) does not count.",
			Params: []httpx.Param{
				{Name: "workload", Text: "Of this workload; this, container or image is needed"},
				{Name: "container", Text: "Of the container with this id, first 12 digits of one or more, or name"},
				{Name: "image", Text: "Of the image with this id or name"},
				{Name: "host", Text: "Of this host"},
				{Name: "limit", Type: "integer", Default: 50, Text: "How many, 1 to 500"},
			},
			Answer: snapshotsAnswer{}, Errors: []int{http.StatusBadRequest},
		},
		prefix + "snapshots/{hash}": {
			Summary: "One kept configuration, in the engine's words",
			Text:    "What is empty, zero or false, and what changes by itself, is left out.",
			Answer:  Snapshot{}, Errors: []int{http.StatusNotFound},
		},
		prefix + "diff": {
			Summary: "Where two kept configurations differ",
			Text:    "old is absent where b has something that a has not, new where it is the other way round.",
			Params: []httpx.Param{
				{Name: "a", Needed: true, Text: "The hash of the earlier one"},
				{Name: "b", Needed: true, Text: "The hash of the later one"},
				{Name: "all", Type: "boolean", Default: false, Text: "Name what every new container has anew, too"},
			},
			Answer: diffAnswer{}, Errors: []int{http.StatusBadRequest, http.StatusNotFound},
		},
		prefix + "doctor": {
			Summary: "What works here, what does not and what would help, and what tallyman costs",
			Answer:  doctor.Report{},
		},
		monitor: {
			Summary: "docker-monitor's REST interface: every container that runs, is paused or restarts",
			Text:    "cpu is in percent of one core, mem in percent of the memory limit, as docker stats shows them.",
			Answer:  []map[string]monitored{}, Failure: monitorFailure{}, Errors: monitorErrors,
		},
		monitor + "/{name}": {
			Summary: "docker-monitor's REST interface: one container",
			Answer:  map[string]monitored{}, Failure: monitorFailure{}, Errors: append([]int{http.StatusNotFound}, monitorErrors...),
		},
	}
}

// eventParams are the filters of events.
func eventParams(start, end httpx.Param) []httpx.Param {
	return []httpx.Param{
		{Name: "host", Repeated: true, Text: "Of one of these hosts"},
		{Name: "container", Text: "Of the container with this id"},
		{Name: "workload", Repeated: true, Text: "Of one of these workloads"},
		{Name: "image", Text: "Of this image"},
		{Name: "type", Repeated: true, Text: "Of one of these types: container, image, network, volume, daemon, engine, tallyman …"},
		{Name: "action", Repeated: true, Text: "With one of these actions: start, die, oom …"},
		{Name: "without", Repeated: true, Text: "With none of these actions"},
		{Name: "severity", Repeated: true, Values: plain.Values(), Text: "Of one of these severities; plain are those without one"},
		{Name: "q", Text: "With this text in its words, name, image, type, action or attributes, in upper or lower case"},
		start, end,
	}
}
