// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"tallyman"
	"tallyman/forward/send"
)

const mostLine = 1 << 20

// stream is what all records of one have in common.
type stream struct {
	*resource
	attributes pcommon.Map
	severity   plog.SeverityNumber
	level      string
}

type item = send.Item[stream]

// logs is a send.RecordFormat.
type logs struct {
	opt  *Options
	id   string
	pack send.Gzip
}

// NewLogs makes a forwarder of records; its client posts to …/v1/logs. It connects to nobody.
func NewLogs(o Options, records send.RecordOptions) *send.RecordForwarder[stream] {
	records.MostLine = mostLine
	return send.NewRecordForwarder(records, o.post(), &logs{opt: &o, id: records.ID})
}

// Stream implements send.RecordFormat.
func (f *logs) Stream(st *tallyman.Stream) (*stream, string) {
	out := &stream{resource: f.opt.resourceOf(st.Labels), attributes: pcommon.NewMap(), level: clean(tallyman.LabelIn(st.Labels, "level"))}
	out.severity = severityOf(out.level)
	group := &strings.Builder{}
	for _, l := range st.Labels {
		group.WriteString(l.Name + "\x00" + l.Value + "\x00")
		switch l.Name {
		case "level":
		case "stream":
			out.attributes.PutStr("log.iostream", clean(l.Value))
		default:
			putLabels(out.attributes, []tallyman.Label{l}, f.opt.Points)
		}
	}
	return out, group.String()
}

// severityOf is that of a level, as OpenTelemetry numbers them.
func severityOf(level string) plog.SeverityNumber {
	switch strings.ToLower(level) {
	case "trace", "verbose":
		return plog.SeverityNumberTrace
	case "debug":
		return plog.SeverityNumberDebug
	case "info", "information", "notice":
		return plog.SeverityNumberInfo
	case "warn", "warning":
		return plog.SeverityNumberWarn
	case "err", "error", "severe":
		return plog.SeverityNumberError
	case "crit", "critical", "alert", "emerg", "emergency", "panic", "fatal":
		return plog.SeverityNumberFatal
	}
	return plog.SeverityNumberUnspecified
}

// Request implements send.RecordFormat. Items of one stream that follow one another share it.
func (f *logs) Request(items []item) send.Request {
	out := plog.NewLogs()
	now := pcommon.NewTimestampFromTime(time.Now())
	var uid []byte
	for n := 0; len(items) > 0; items = items[n:] {
		for n = 1; n < len(items) && items[n].To == items[0].To; {
			n++
		}
		to := items[0].To
		one := out.ResourceLogs().AppendEmpty()
		to.resource.attributes.CopyTo(one.Resource().Attributes())
		scope := one.ScopeLogs().AppendEmpty()
		scope.Scope().SetName("tallyman")
		scope.LogRecords().EnsureCapacity(n)
		for i := range items[:n] {
			record := scope.LogRecords().AppendEmpty()
			record.SetTimestamp(pcommon.Timestamp(max(0, items[i].Time)))
			record.SetObservedTimestamp(now)
			record.SetSeverityNumber(to.severity)
			record.SetSeverityText(to.level)
			record.Body().SetStr(clean(string(items[i].Line)))
			to.attributes.CopyTo(record.Attributes())
			for _, l := range items[i].Meta {
				if name := clean(l.Name); name != "" && l.Value != "" {
					if _, known := record.Attributes().Get(name); !known {
						record.Attributes().PutStr(name, clean(l.Value))
					}
				}
			}
			if uid = items[i].AppendUID(uid[:0], f.id); len(uid) > 0 {
				record.Attributes().PutStr("log.record.uid", string(uid))
			}
		}
	}
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(out)
	return packed(&f.pack, body, err)
}

// Outcome implements send.RecordFormat.
func (f *logs) Outcome(a *send.Answer, items []item) send.Outcome[item] {
	answer := plogotlp.NewExportResponse()
	if a.Verdict == send.Done && answer.UnmarshalProto(a.Body) == nil {
		p := answer.PartialSuccess()
		return rejected[item](f.opt, p.RejectedLogRecords(), p.ErrorMessage(), len(items))
	}
	return refusedAll(a, items)
}
