// SPDX-License-Identifier: Apache-2.0

// Package endpointchecker is the plugin ENDPOINTCHECKER: it asks for a URL as a client
// would, from inside of a container. That the answer is a bad one, or none, is a value
// and not an error.
package endpointchecker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

func gauge(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "probe_" + name, Type: tallyman.Gauge, Unit: unit, Help: help}
}

var (
	code      = gauge("http_status_code", "", "Code of the answer, 0 without one")
	phases    = gauge("http_duration_seconds", "seconds", "Time that the parts of the check took")
	length    = gauge("http_content_length", "bytes", "Length that the answer says it has, -1 when it does not")
	body      = gauge("http_uncompressed_body_length", "bytes", "Length of what was read of the answer, unpacked")
	version   = gauge("http_version", "", "Version of HTTP")
	redirects = gauge("http_redirects", "", "Redirects that were followed")
	secure    = gauge("http_ssl", "", "1 when the answer came over TLS")
	regex     = gauge("failed_due_to_regex", "", "1 when the body is not what it should be")
	modified  = gauge("http_last_modified_timestamp_seconds", "seconds", "Unix time at which the answer says it was changed last")
	expiry    = gauge("ssl_earliest_cert_expiry", "seconds", "Unix time at which the first of the certificates ends")
)

const (
	maxMatch = 64 << 10 // bytes of the body that are looked at
	maxBody  = 8 << 20  // bytes of the body that are read
)

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "ENDPOINTCHECKER", Aliases: []string{"HTTP", "HTTPCHECK"}, Summary: "Asks for a URL from inside of the container: is it well, how fast, how long is its certificate good",
		Keys: append([]tallyman.ServiceKey{
			{Name: "ENDPOINT", Type: tallyman.URLKey, Help: "address that is asked for, several for several checks", Example: "http://localhost:8080/health"},
			{Name: "METHOD", Type: tallyman.TextKey, Help: "method of the request", Default: "GET", Write: true},
			{Name: "STATUS", Type: tallyman.TextKey, Help: "codes that are good, as 200,204 or 200-299", Default: "200-399"},
			{Name: "BODY", Type: tallyman.TextKey, Help: "body of the request", Write: true},
			{Name: "BODY MATCH", Type: tallyman.TextKey, Help: "regular expression that must fit in the first 64 KiB of the answer", Example: `"status":\s*"up"`},
			{Name: "HEADER", Type: tallyman.SecretKey, Help: "header of the request, as Name: value; several for several headers", List: true, Example: "Accept: application/json"},
			{Name: "TLS VERIFY", Type: tallyman.BoolKey, Help: "false takes any certificate", Default: "true, but on the container itself"},
		}, ask.CheckKeys()...),
		Metrics: []*tallyman.Desc{ask.ProbeSuccess, ask.ProbeDuration, code, phases, length, body, version, redirects, secure, regex, modified, expiry, ask.CheckFailed},
		Charts: []tallyman.ServiceChart{
			{Title: "Good", Lines: []tallyman.ServiceLine{{Name: "check", Metric: ask.ProbeSuccess}}},
			{Title: "Time", Unit: "seconds", Lines: []tallyman.ServiceLine{{Name: "part", Metric: phases, By: "phase"}}},
			{Title: "Code", Lines: []tallyman.ServiceLine{{Name: "code", Metric: code}}},
			{Title: "Length", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "body", Metric: body}}},
		},
		Every: 30 * time.Second,
		Where: func(c tallyman.ServiceConfig) string { return ask.Shown(c.Text("ENDPOINT", "")) },
		Check: func(c tallyman.ServiceConfig) error { _, err := read(c); return err },
		Open:  open,
		Docs: tallyman.ServiceDocs{
			Detect: "It is never found; it is asked for.", Free: "Nothing: name an address. No port has to be published: the check comes from inside of the container's network.",
			Account: "A login can stand in the address, or in `HEADER`; both are never shown.",
			Notes: "The names are those of blackbox_exporter, compared with version 0.23. What differs:\n\n" +
				"- The phase `resolve` and `probe_dns_lookup_time_seconds` are not there: names are looked up by the container's own ways, as part of `connect`.\n" +
				"- `probe_ip_protocol` and `probe_ip_addr_hash` are left out.\n" +
				"- Redirects are followed to the same host alone, three at most, and not at all when `STATUS` is set; one to another host counts by its own code.\n" +
				"- Each check makes a connection of its own, and speaks HTTP 1.1.",
			Example: `[{"PluginType":"ENDPOINTCHECKER","Configuration":{"ENDPOINT":["http://localhost:8080/health"],"BODY MATCH":["up"]}}]`,
		},
	}
}

// settings are a configuration that was read.
type settings struct {
	url, method, body string
	good              [][2]int
	strict            bool
	match             *regexp.Regexp
	header            http.Header
	verify            bool
}

func read(c tallyman.ServiceConfig) (s settings, err error) {
	s = settings{url: c.Text("ENDPOINT", ""), method: strings.ToUpper(c.Text("METHOD", http.MethodGet)), body: c.Text("BODY", ""), strict: c.Has("STATUS"), header: http.Header{}}
	u, err := url.Parse(s.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return s, errors.New("ENDPOINT is missing or no URL; write it as http://localhost:8080/health")
	}
	s.verify = c.Bool("TLS VERIFY", !ask.OnLoopback(s.url))
	if strings.Trim(s.method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return s, errors.New("METHOD is none")
	}
	for one := range strings.SplitSeq(c.Text("STATUS", "200-399"), ",") {
		from, to, ok := strings.Cut(strings.TrimSpace(one), "-")
		if !ok {
			to = from
		}
		a, err := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err != nil || err2 != nil || a < 100 || b > 599 || a > b {
			return s, errors.New("STATUS is no list of codes; write it as 200,204 or 200-299")
		}
		s.good = append(s.good, [2]int{a, b})
	}
	if c.Has("BODY MATCH") {
		if s.match, err = regexp.Compile(c.Text("BODY MATCH", "")); err != nil {
			return s, errors.New("BODY MATCH is no regular expression")
		}
	}
	for _, line := range c.List("HEADER") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" || strings.ContainsAny(line, "\r\n") {
			return s, errors.New("HEADER is none; write it as Name: value")
		}
		s.header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return s, nil
}

type instance struct {
	in tallyman.Inside
	settings
	outcome *ask.Outcome
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	s, err := read(c)
	if err != nil {
		return nil, &tallyman.ServiceError{Fault: tallyman.ConfigFault, Err: err}
	}
	return &instance{in, s, ask.NewOutcome(c, ask.Shown(s.url))}, nil
}

// Close implements tallyman.Service; nothing is kept open.
func (i *instance) Close() {}

// times are the moments of the last request.
type times struct {
	start, connected, secured, wrote, first, end time.Time
}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	begin := time.Now()
	v, err := i.try(ctx, s)
	if errors.Is(err, tallyman.ErrForbidden) {
		return err
	}
	attributes := map[string]string{}
	switch {
	case err != nil:
		s.Add(code, 0)
		attributes["reason"] = err.Error()
	case v == 0:
		attributes["reason"] = "the answer is another one"
	}
	s.Add(ask.ProbeSuccess, v)
	s.Add(ask.ProbeDuration, time.Since(begin).Seconds())
	i.outcome.Took(s, v == 1, attributes)
	return nil
}

func (i *instance) try(ctx context.Context, s tallyman.ServiceSink) (float64, error) {
	var t times
	followed := 0
	var dialError error
	transport := &http.Transport{
		DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10, TLSClientConfig: &tls.Config{InsecureSkipVerify: !i.verify},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			t = times{start: time.Now()}
			c, err := i.in.DialContext(ctx, network, address)
			t.connected = time.Now()
			if err != nil {
				dialError = err
			}
			return c, err
		},
	}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if i.strict || len(via) > 3 || r.URL.Host != via[0].URL.Host {
			return http.ErrUseLastResponse
		}
		followed++
		return nil
	}}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeDone:     func(tls.ConnectionState, error) { t.secured = time.Now() },
		WroteRequest:         func(httptrace.WroteRequestInfo) { t.wrote = time.Now() },
		GotFirstResponseByte: func() { t.first = time.Now() },
	})
	r, err := http.NewRequestWithContext(ctx, i.method, i.url, strings.NewReader(i.body))
	if err != nil {
		return 0, err
	}
	r.Header = i.header.Clone()
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "tallyman")
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, errors.Join(dialError, errors.New("there is no answer"))
	}
	defer answer.Body.Close()
	head, readError := io.ReadAll(io.LimitReader(answer.Body, maxMatch))
	more := int64(0)
	if readError == nil {
		more, readError = io.Copy(io.Discard, io.LimitReader(answer.Body, maxBody-maxMatch))
	}
	t.end = time.Now()

	s.Add(code, float64(answer.StatusCode))
	s.Add(length, float64(answer.ContentLength))
	s.Add(body, float64(int64(len(head))+more))
	s.Add(redirects, float64(followed))
	if v, err := strconv.ParseFloat(fmt.Sprintf("%d.%d", answer.ProtoMajor, answer.ProtoMinor), 64); err == nil {
		s.Add(version, v)
	}
	if at, err := http.ParseTime(answer.Header.Get("Last-Modified")); err == nil {
		s.Add(modified, float64(at.Unix()))
	}
	phase := func(name string, from, to time.Time) {
		if !from.IsZero() && !to.Before(from) {
			s.Add(phases, to.Sub(from).Seconds(), "phase", name)
		}
	}
	phase("connect", t.start, t.connected)
	ready := t.connected
	if c := answer.TLS; c != nil {
		s.Add(secure, 1)
		phase("tls", t.connected, t.secured)
		ready = t.secured
		var first time.Time
		for _, one := range c.PeerCertificates {
			if first.IsZero() || one.NotAfter.Before(first) {
				first = one.NotAfter
			}
		}
		if !first.IsZero() {
			s.Add(expiry, float64(first.Unix()))
		}
	} else {
		s.Add(secure, 0)
	}
	phase("processing", ready, t.first)
	phase("transfer", t.first, t.end)

	good := false
	for _, g := range i.good {
		good = good || answer.StatusCode >= g[0] && answer.StatusCode <= g[1]
	}
	if i.match != nil {
		fits := i.match.Match(head)
		good = good && fits
		s.Add(regex, map[bool]float64{false: 1, true: 0}[fits])
	}
	if !good || readError != nil {
		return 0, nil
	}
	return 1, nil
}
