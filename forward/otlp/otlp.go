// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"fmt"
	"net/http"
	"time"

	"tallyman"
	"tallyman/forward/send"
)

// Options are what a forwarder is made of.
type Options struct {
	// Client posts to the address of the signal.
	Client *send.Client
	// External are attributes of each resource.
	External []tallyman.Label
	// Points puts the labels of which a resource is made on each record and point, too.
	Points bool
	// Host is the host of what has none.
	Host string

	patience time.Duration // for tests
}

// reasons are those of receivers.
var reasons = send.Reasons{
	{Name: "too_old", Words: []string{"too old", "out of order", "out of bounds"}, Mend: "how old data may be that the receiver takes"},
	{Name: "too_new", Words: []string{"too far in", "future"}, Mend: "a right clock"},
	{Name: "limit", Words: []string{"limit", "quota"}, Mend: "the receiver's limits"},
	{Name: send.TooLarge, Mend: "the size of requests that the receiver or a proxy before it takes, to 4 MiB"},
}

func (o *Options) post() send.PostOptions {
	return send.PostOptions{Client: o.Client, Reasons: reasons, Host: o.Host, Halve: true, Patience: o.patience}
}

// packed is a request of a message.
func packed(pack *send.Gzip, body []byte, err error) send.Request {
	if err != nil {
		body = nil // it was made of nothing but numbers and clean texts
	}
	return send.Request{Body: pack.Pack(body), Header: http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"gzip"}}}
}

// rejected is what an answer of 2xx says was not taken.
func rejected[T any](o *Options, n int64, said string, of int) (out send.Outcome[T]) {
	if n <= 0 {
		return out
	}
	out.Refused, out.Reason = int(min(n, int64(of))), reasons.Of([]byte(said), send.Otherwise)
	out.Err = fmt.Errorf("%s says that it has rejected %d of %d%s", o.Client.Host(), n, of, o.Client.Words([]byte(said)))
	return out
}

// refusedAll is that nothing of items was taken, if the answer says so.
func refusedAll[T any](a *send.Answer, items []T) (out send.Outcome[T]) {
	if a.Verdict == send.Refuse {
		out.Refused, out.Reason = len(items), reasons.Of(a.Body, send.Otherwise)
	}
	return out
}
