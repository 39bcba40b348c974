// SPDX-License-Identifier: Apache-2.0

// Package influx sends samples on in InfluxDB's line protocol: to /write of version 1, to
// /api/v2/write of version 2, and to whatever else takes them.
//
//	f, err := influx.New(influx.Options{Client: client}, send.SampleOptions{Name: "influx", Reader: r})
//	err = f.Run(ctx)
//
// A sample is a line, packed with gzip, at most 5,000 in a request:
//
//	container_memory_usage_bytes,host=web-1,name=api value=1048576 1732874400000
//
// The measurement is the name of the metric, its labels are tags, the time is in
// milliseconds, so the address says precision=ms. NaN and infinite values, and the end of a
// series, are no values there, and not among what is read to be sent. Line
// feeds become spaces, and a backslash at the end of a tag a slash, as it would reach over the end of it.
//
// # Answers
//
// After 400 the good lines of a request are stored: InfluxDB says "partial write" and how many it
// dropped, or names the one line that it cannot read. That many are refused, else all of the request
// as nobody knows. 404 says that there is no such database: everything waits until there is.
// The same point twice is one point, so what comes again after a kill does no harm.
package influx

import (
	"bytes"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/forward/send"
	"tallyman/forward/spool"
)

const mostLines = 5000

// Options are what a forwarder is made of.
type Options struct {
	// Client posts to …/write?db=…&precision=ms or …/api/v2/write?bucket=…&precision=ms.
	Client *send.Client
	// External are tags that each point gets that has none of that name.
	External []tallyman.Label
	// Host is the host of what tallyman sends of itself.
	Host string

	patience time.Duration // for tests
}

var reasons = send.Reasons{
	{Name: "type_conflict", Words: []string{"field type conflict"}, Mend: "another database: a measurement of the same name has values of another type"},
	{Name: "too_old", Words: []string{"beyond retention policy", "outside retention"}, Mend: "the retention policy of the database, which has to be longer than an outage may last"},
	{Name: "limit", Words: []string{"limit exceeded", "max-values-per-tag", "max-series-per-database"}, Mend: "max-values-per-tag and max-series-per-database of InfluxDB, or keep and drop"},
	{Name: "unreadable", Words: []string{"unable to parse", "invalid"}},
	{Name: send.TooLarge, Mend: "max-body-size of InfluxDB"},
}

// series is one as it goes out: measurement and tags.
type series struct{ head []byte }

type point = send.Point[series]

// format is a send.SampleFormat.
type format struct {
	opt  Options
	buf  []byte
	pack send.Gzip
}

// New makes a forwarder. It connects to nobody.
func New(o Options, samples send.SampleOptions) (*send.SampleForwarder[series], error) {
	samples.Values = true
	return send.NewSampleForwarder(samples, send.PostOptions{Client: o.Client, Reasons: reasons, Host: o.Host, Most: mostLines, Patience: o.patience}, &format{opt: o})
}

// Series implements send.SampleFormat.
func (f *format) Series(s *spool.Series) *series {
	labels := append([]tallyman.Label(nil), s.Labels...)
	for _, l := range f.opt.External {
		if _, ok := tallyman.FindLabel(labels, l.Name); !ok {
			labels = append(labels, l)
		}
	}
	tallyman.SortLabels(labels)
	head := appendEscaped(nil, s.Name, ", ")
	for _, l := range labels {
		if l.Name != "" && l.Value != "" {
			head = appendEscaped(append(head, ','), l.Name, ",= ")
			head = appendEscaped(append(head, '='), l.Value, ",= ")
		}
	}
	return &series{append(head, " value="...)}
}

// appendEscaped appends a text with a backslash before special characters.
func appendEscaped(dst []byte, text, special string) []byte {
	text = strings.ToValidUTF8(text, "\ufffd")
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n' || c == '\r' || c == 0:
			dst = append(dst, '\\', ' ')
		case strings.IndexByte(special, c) >= 0:
			dst = append(dst, '\\', c)
		case c == '\\' && (i == len(text)-1 || strings.IndexByte(special+"\\\n\r\x00", text[i+1]) >= 0):
			dst = append(dst, '/') // there is no way to write it
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// Forget implements send.SampleFormat.
func (f *format) Forget() {}

// Request implements send.SampleFormat.
func (f *format) Request(points []point) send.Request {
	b := f.buf[:0]
	for i := range points {
		p := &points[i]
		b = append(b, p.Series.head...)
		b = strconv.AppendFloat(b, p.Value, 'g', -1, 64)
		b = strconv.AppendInt(append(b, ' '), p.Time, 10)
		b = append(b, '\n')
	}
	f.buf = b
	return send.Request{Body: f.pack.Pack(b), Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "Content-Encoding": {"gzip"}}}
}

var dropped = regexp.MustCompile(`dropped[=:] ?(\d+)`)

// Outcome implements send.SampleFormat.
func (f *format) Outcome(a *send.Answer, points []point) (out send.Outcome[point]) {
	if a.Verdict != send.Refuse {
		return out
	}
	out.Refused, out.Reason = len(points), reasons.Of(a.Body, send.Otherwise)
	n := 0
	if m := dropped.FindSubmatch(a.Body); m != nil {
		n, _ = strconv.Atoi(string(m[1])) // 0 for too many digits
	}
	n = max(n, bytes.Count(a.Body, []byte("unable to parse '")))
	if n > 0 && a.Status == http.StatusBadRequest {
		out.Refused = min(n, len(points))
	}
	return out
}
