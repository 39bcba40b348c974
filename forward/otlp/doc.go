// SPDX-License-Identifier: Apache-2.0

// Package otlp sends records and samples on in OpenTelemetry's protocol, OTLP over HTTP:
// protobuf, packed with gzip, to …/v1/logs and …/v1/metrics.
//
//	f, err := otlp.NewMetrics(otlp.Options{Client: client, Host: "web-1"}, send.SampleOptions{Name: "cloud", Reader: r})
//	err = f.Run(ctx)
//
// Messages are made with OpenTelemetry's own types (pdata), which Prometheus' API links
// anyway, and not with its SDK, which knows instruments and no samples.
//
// # Resource
//
// Whose records and samples they are, by their labels:
//
//	host                  host.name
//	name                  container.name, service.name
//	image                 container.image.name, container.image.tags
//	id, container_id      container.id
//	workload              service.instance.id; of project/service/number also service.namespace
//	                      and service.name
//
// and container.runtime.name is docker. Other labels are attributes of the record, or of the
// point; with Options.Points those five are, too. Options.External become attributes of the
// resource.
//
// # Records
//
// The body is the line, the severity follows the label level. log.iostream is the label
// stream, and log.record.uid is the same each time that the record is sent. A line over 1 MiB
// is cut and marked.
//
// # Samples
//
// A counter is a sum, monotonic and cumulative. It counts since the container was started,
// or since its first sample here, and after a reset since the last sample before. Everything
// else is a gauge. Names stay, units are UCUM's (By, s, 1). A series that has ended gets a
// point without a value.
//
// # Answers
//
// 2xx takes all but what partialSuccess says is rejected, which is counted and not sent again.
// After a 4xx halves are sent, at most 64 requests: a receiver refuses all of a
// request for one that is bad.
package otlp
