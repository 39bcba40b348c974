// SPDX-License-Identifier: Apache-2.0

package httpjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"tallyman"
	"tallyman/forward/send"
)

// Format is how records are put into a request.
type Format uint8

// The formats. See the package comment.
const (
	Lines Format = iota
	Array
	Bulk
)

// mostBulk are the objects of a request of a bulk API, so that its answer stays short; mostAnswer
// is how long that may be, in bytes.
const (
	mostBulk   = 5000
	mostAnswer = 4 << 20
)

// Options are what a forwarder is made of.
type Options struct {
	// RecordOptions say what is sent. Send needs but their name.
	send.RecordOptions
	// Client posts to the address. For Bulk it is made of [BulkOptions].
	Client *send.Client
	Format Format
	// Gzip packs requests.
	Gzip bool
	// External are labels that each record gets that has none of that name.
	External []tallyman.Label
	// Host is the label host of what tallyman sends of itself.
	Host string

	patience time.Duration // for tests
}

// item is a record on its way.
type item = send.Item[stream]

// format is a send.RecordFormat.
type format struct {
	opt  Options
	buf  []byte
	pack send.Gzip
}

// reasons are those of bulk APIs.
var reasons = send.Reasons{
	{Name: "mapping", Words: []string{"mapper_parsing", "document_parsing", "strict_dynamic_mapping", "illegal_argument", "mapper "}, Mend: "the mapping of the index: a field has another type there, or there are too many"},
	{Name: "blocked", Words: []string{"cluster_block", "read-only"}, Mend: "the disk of the Elasticsearch: an index is read-only when it is nearly full"},
	{Name: send.TooLarge, Mend: "the size of requests that the destination or a proxy before it takes, to 4 MiB"},
}

// New makes a forwarder. It connects to nobody.
func New(o Options) *send.RecordForwarder[stream] {
	p := send.PostOptions{Client: o.Client, Reasons: reasons, Host: o.Host, Patience: o.patience}
	if o.Format == Bulk {
		p.Most = mostBulk
	}
	return send.NewRecordForwarder(o.RecordOptions, p, &format{opt: o})
}

// BulkOptions makes options of a client those of one that posts to a bulk API.
func BulkOptions(o send.Options) send.Options {
	o.MostAnswer = mostAnswer
	o.Check = func(body []byte) error {
		_, err := parseBulk(body)
		return err
	}
	return o
}

// Stream implements send.RecordFormat. All records are of one group: they go in the order in
// which they were appended.
func (s *format) Stream(st *tallyman.Stream) (*stream, string) { return s.streamOf(st.Labels), "" }

// Request implements send.RecordFormat.
func (s *format) Request(items []item) send.Request {
	b := s.buf[:0]
	h := http.Header{"Content-Type": {"application/x-ndjson"}}
	if s.opt.Format == Array {
		h["Content-Type"] = []string{"application/json"}
		b = append(b, '[')
	}
	for i := range items {
		one := &items[i]
		switch {
		case s.opt.Format == Array && i > 0:
			b = append(b, ',')
		case s.opt.Format == Bulk && one.Number == 0:
			b = append(b, `{"create":{}}`+"\n"...)
		case s.opt.Format == Bulk:
			b = append(one.AppendUID(append(b, `{"create":{"_id":"`...), s.opt.ID), `"}}`+"\n"...)
		}
		if b = s.appendItem(b, one); s.opt.Format != Array {
			b = append(b, '\n')
		}
	}
	if s.opt.Format == Array {
		b = append(b, ']')
	}
	s.buf = b
	if s.opt.Gzip {
		h["Content-Encoding"] = []string{"gzip"}
		b = s.pack.Pack(b)
	}
	return send.Request{Body: b, Header: h}
}

// bulk is the answer of a bulk API, as far as it is asked for.
type bulk struct {
	Errors *bool `json:"errors"`
	Items  []map[string]struct {
		Status int             `json:"status"`
		Error  json.RawMessage `json:"error"`
	} `json:"items"`
}

// parseBulk reads one. Without a body it is that all was taken.
func parseBulk(body []byte) (b bulk, err error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return b, nil
	}
	if err = json.Unmarshal(body, &b); err != nil || b.Errors == nil {
		return b, errors.New("this is no answer of a bulk API; check the address")
	}
	return b, nil
}

// Outcome implements send.RecordFormat.
func (s *format) Outcome(a *send.Answer, items []item) (out send.Outcome[item]) {
	if a.Verdict == send.Refuse {
		return send.Outcome[item]{Refused: len(items), Reason: reasons.Of(a.Body, send.Otherwise)}
	}
	if s.opt.Format != Bulk {
		return out
	}
	b, err := parseBulk(a.Body)
	if err != nil || b.Errors == nil || !*b.Errors {
		return out
	}
	for i := range items {
		if i >= len(b.Items) { // it says nothing of them: their ids make it harmless
			out.Again = append(out.Again, items[i])
			continue
		}
		for _, one := range b.Items[i] {
			switch {
			case one.Status/100 == 2 || one.Status == http.StatusConflict:
			case one.Status == http.StatusTooManyRequests || one.Status/100 == 5:
				out.Failing = (out.Failing || len(out.Again) == 0) && one.Status/100 == 5
				out.Again = append(out.Again, items[i])
			default:
				if out.Refused++; out.Err == nil {
					out.Reason = reasons.Of(one.Error, send.Otherwise)
					out.Err = fmt.Errorf("%s refuses a record with %d%s", s.opt.Client.Host(), one.Status, s.opt.Client.Words(one.Error))
				}
			}
		}
	}
	return out
}
