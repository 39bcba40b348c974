// SPDX-License-Identifier: Apache-2.0

package ask

import "tallyman"

// The metrics of checks that connect, as blackbox_exporter names them.
var (
	ProbeSuccess  = &tallyman.Desc{Name: "probe_success", Type: tallyman.Gauge, Help: "1 when the check was good"}
	ProbeDuration = &tallyman.Desc{Name: "probe_duration_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Time that the check took"}
)
