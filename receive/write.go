// SPDX-License-Identifier: Apache-2.0

package receive

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"

	"tallyman"
	"tallyman/internal/httpx"
)

// Bounds of a body.
const (
	maxPacked   = 10 << 20
	maxUnpacked = 32 << 20
)

// Routes are those of the service.
func (s *Service) Routes() []httpx.Route {
	return []httpx.Route{{Pattern: "POST /api/v1/write", Access: httpx.WritersOnly, Handler: http.HandlerFunc(s.write), Doc: httpx.Doc{
		Summary: "Store samples of an agent: Prometheus' remote write 1.0 and 2.0",
		Text: "The token says whose host it is; series of another host are refused. What is good of a request is stored; a 400 says how many samples are not, and why. " +
			"X-Prometheus-Remote-Write-Samples-Written has how many are.",
		See: "https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/", Status: http.StatusNoContent,
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusTooManyRequests, http.StatusServiceUnavailable}, Failure: "",
	}}}
}

// problem is an answer that is none of the good ones.
type problem struct {
	status int
	words  string
}

func (p *problem) Error() string { return p.words }

// write takes samples.
func (s *Service) write(w http.ResponseWriter, r *http.Request) {
	who, ok := httpx.WriterOf(r)
	if !ok { // the table of routes lets nobody else in
		http.Error(w, "only agents send here", http.StatusForbidden)
		return
	}
	body, version, packed, err := readBody(w, r)
	if err == nil {
		err = s.admit(w, who.Host, packed)
	}
	var out outcome
	if err == nil {
		out, err = s.take(s.agent(who.Host), body, version)
	}
	if err != nil {
		p, ok := errors.AsType[*problem](err)
		if !ok {
			p = &problem{http.StatusServiceUnavailable, err.Error()}
		}
		http.Error(w, p.words, p.status)
		return
	}
	h := w.Header()
	h.Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(out.stored))
	h.Set("X-Prometheus-Remote-Write-Histograms-Written", "0")
	h.Set("X-Prometheus-Remote-Write-Exemplars-Written", "0")
	if out.count > 0 && out.stored == 0 && out.refused[foreignHost] == out.count {
		http.Error(w, out.words(), http.StatusForbidden)
		return
	}
	s.heard(who.Host)
	if out.count > 0 {
		http.Error(w, out.words(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// admit is Admit as an answer.
func (s *Service) admit(w http.ResponseWriter, host string, packed int) error {
	after, err := s.Admit(host, packed)
	switch {
	case err == nil:
		return nil
	case after == 0:
		return &problem{http.StatusForbidden, err.Error()}
	}
	w.Header().Set("Retry-After", strconv.Itoa(1+int(after.Seconds())))
	return &problem{http.StatusTooManyRequests, err.Error()}
}

// readBody reads and unpacks a body, and finds out its version; size is that as it was sent.
func readBody(w http.ResponseWriter, r *http.Request) (body []byte, version, size int, err error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	proto := params["proto"]
	switch {
	case err != nil || kind != "application/x-protobuf":
		return nil, 0, 0, &problem{http.StatusUnsupportedMediaType, "the Content-Type is " + strconv.Quote(r.Header.Get("Content-Type")) + "; send application/x-protobuf"}
	case proto == "" || proto == "prometheus.WriteRequest":
		version = 1
	case proto == "io.prometheus.write.v2.Request":
		version = 2
	default:
		return nil, 0, 0, &problem{http.StatusUnsupportedMediaType, fmt.Sprintf("the message %.100q is not known; send prometheus.WriteRequest or io.prometheus.write.v2.Request", proto)}
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "snappy" {
		return nil, 0, 0, &problem{http.StatusUnsupportedMediaType, fmt.Sprintf("the Content-Encoding is %.40q; send snappy", enc)}
	}
	large := &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes, or %d unpacked; send fewer samples at once", maxPacked, maxUnpacked)}
	packed, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPacked))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, 0, 0, large
	}
	if err != nil {
		return nil, 0, 0, &problem{http.StatusBadRequest, "the body cannot be read: " + err.Error()}
	}
	n, err := s2.DecodedLen(packed)
	switch {
	case err != nil:
		return nil, 0, 0, &problem{http.StatusBadRequest, "the body is not snappy: " + err.Error()}
	case n > maxUnpacked:
		return nil, 0, 0, large
	}
	if body, err = s2.Decode(nil, packed); err != nil {
		return nil, 0, 0, &problem{http.StatusBadRequest, "the body is not snappy: " + err.Error()}
	}
	return body, version, len(packed), nil
}

// outcome is what became of a request.
type outcome struct {
	stored, count int            // count is how many samples were refused
	refused       map[string]int // by reason
	first         string         // the words of the first
}

func (o *outcome) refuse(n int, r *refusal) {
	if n == 0 {
		return
	}
	if o.refused == nil {
		o.refused = map[string]int{}
	}
	o.count += n
	o.refused[r.reason] += n
	if o.first == "" {
		o.first = r.words
	}
}

// words say what was refused.
func (o *outcome) words() string {
	var reasons []string
	for _, r := range slices.Sorted(maps.Keys(o.refused)) {
		reasons = append(reasons, fmt.Sprintf("%s %d", r, o.refused[r]))
	}
	return fmt.Sprintf("%d samples are stored, %d refused (%s): %s", o.stored, o.count, strings.Join(reasons, ", "), o.first)
}

// take stores what is in a body.
func (s *Service) take(a *agent, body []byte, version int) (out outcome, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := s.o.now()
	latest := now.Add(ahead).UnixMilli()
	a.batch, a.of = a.batch[:0], a.of[:0]
	given := 0
	err = a.decode.decode(body, version, func(in *incoming) {
		given += len(in.samples) + in.histograms
		out.refuse(in.histograms, &refusal{histograms, "native histograms are not kept here"})
		if len(in.samples) == 0 {
			return
		}
		one := a.find(in)
		if one == nil {
			if why := s.room(a, now); why != nil {
				out.refuse(len(in.samples), why)
				return
			}
			var why *refusal
			if one, why = a.make(in, s.o.Shows); why != nil {
				out.refuse(len(in.samples), why)
				return
			}
			s.series.Add(1)
		}
		one.seen = now.UnixMilli()
		for _, x := range in.samples {
			if x.time > latest {
				out.refuse(1, refuse(tooNew, "a sample is more than %s ahead of the hub's clock: %d", ahead, x.time))
				continue
			}
			a.batch = append(a.batch, tallyman.RemoteSample{Series: &one.RemoteSeries, Time: x.time, Value: x.value})
			a.of = append(a.of, one)
		}
	})
	if err != nil {
		return out, &problem{http.StatusBadRequest, err.Error()}
	}
	s.received.Add(uint64(given))
	if len(a.batch) > 0 {
		if err := s.o.Store.AppendRemote(a.batch); err != nil {
			s.failed.Add(uint64(given))
			return out, err
		}
	}
	ended := false
	for i := range a.batch {
		b := &a.batch[i]
		if b.Refused != "" {
			out.refuse(1, &refusal{b.Refused, storeWords[b.Refused]})
			continue
		}
		out.stored++
		one := a.of[i]
		if one.ended = isStale(b.Value); one.ended {
			ended = true
			continue
		}
		one.note(b.Time, b.Value)
	}
	if ended {
		s.forget(a, func(one *series) bool { return one.ended })
	}
	s.stored.Add(uint64(out.stored))
	for reason, n := range out.refused {
		s.refused[reason].Add(uint64(n))
	}
	return out, nil
}

var storeWords = map[string]string{
	tallyman.RemoteTooOld:   "too old sample: it is older than the hub takes what comes late",
	tallyman.RemoteRepeated: "duplicate sample for timestamp: there is one of that time with another value",
	tallyman.RemoteOrder:    "out of order sample: there is a newer one",
}

// room says why an agent may have no further series, nil when it may.
func (s *Service) room(a *agent, now time.Time) *refusal {
	if a.count < s.o.Limits.Series && s.series.Load() < maxSeries {
		return nil
	}
	if now.Sub(a.swept) >= time.Minute {
		a.swept = now
		s.forget(a, func(one *series) bool { return now.UnixMilli()-one.seen > idle.Milliseconds() })
	}
	switch {
	case a.count >= s.o.Limits.Series:
		return refuse(tooMany, "an agent may have %d series at a time", s.o.Limits.Series)
	case s.series.Load() >= maxSeries:
		return refuse(tooMany, "all agents have %d series: past that, send to a Prometheus-compatible engine", maxSeries)
	}
	return nil
}

// forget takes series of an agent out.
func (s *Service) forget(a *agent, is func(*series) bool) {
	before := a.count
	a.forget(is)
	s.series.Add(int64(a.count - before))
}
