// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strconv"

	"tallyman/doctor"
	"tallyman/internal/httpx"
	"tallyman/query"
)

// docs describes the routes by their path, for the reference of the API.
func docs() map[string]httpx.Doc {
	const prefix, monitor = "/api/tallyman/v1/", "/docker-monitor/api/v1.0/metrics"
	start := httpx.Param{Name: "start", Type: "integer", Text: "From when, in milliseconds since 1970"}
	end := httpx.Param{Name: "end", Type: "integer", Text: "Until when, in milliseconds since 1970; now without it"}
	monitorErrors := []int{http.StatusRequestTimeout, http.StatusInternalServerError}
	return map[string]httpx.Doc{
		prefix + "servers": {
			Summary: "Every host with its engine and its containers, with their numbers of now",
			Text:    "A sparkline covers the last quarter of an hour.",
			Answer:  Servers{},
		},
		prefix + "containers": {
			Summary: "Every known container, removed ones too",
			Answer:  containersAnswer{},
		},
		prefix + "containers/{ref}": {
			Summary: "One container with its details",
			Text:    "ref is a full id, the first 12 digits of one or more, or a name.",
			Answer:  Container{}, Errors: []int{http.StatusNotFound},
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
			Text:    "All given filters must fit. more is set when there are older ones: ask again with before.",
			Params: []httpx.Param{
				{Name: "host", Text: "Of this host"},
				{Name: "container", Text: "Of the container with this id"},
				{Name: "workload", Text: "Of this workload"},
				{Name: "image", Text: "Of this image"},
				{Name: "type", Repeated: true, Text: "Of one of these types: container, image, network, volume, daemon, engine, tallyman …"},
				{Name: "action", Repeated: true, Text: "With one of these actions: start, die, oom …"},
				{Name: "q", Text: "With this text in it"},
				start, end,
				{Name: "before", Text: "Older than the event with this id"},
				{Name: "limit", Type: "integer", Default: 200, Text: "How many, 1 to 5000"},
			},
			Answer: eventsAnswer{}, Errors: []int{http.StatusBadRequest, http.StatusNotFound},
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
