// SPDX-License-Identifier: Apache-2.0

// Package ask is what plugins have in common that ask a service: HTTP from inside of a
// container, and the text in which services give their metrics to Prometheus.
package ask

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"tallyman"
)

// MaxBody is how large an answer may be, unpacked, in bytes.
const MaxBody = 8 << 20

// Client asks over HTTP from inside of a container. It follows redirects to the same
// host alone, and knows no proxy.
type Client struct {
	http.Client
	transport *http.Transport
	// User and Password are sent as basic authentication, Token as bearer; none when
	// empty. Host is sent in place of the URL's.
	User, Password, Token, Host string
}

// NewClient makes a client; Close ends it.
func NewClient(in tallyman.Inside, tlsConfig *tls.Config) *Client {
	t := &http.Transport{
		DialContext: in.DialContext, TLSClientConfig: tlsConfig, TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConns: 1, MaxIdleConnsPerHost: 1, MaxConnsPerHost: 2, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}
	c := &Client{transport: t}
	c.Transport = t
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > 3 || r.URL.Host != via[0].URL.Host {
			return tallyman.Faulty(tallyman.ConfigFault, "Name the address that it leads to.", "it redirects to another host")
		}
		return nil
	}
	return c
}

// Close ends the connections that are kept.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Answer is what came.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Get asks for a URL and reads the answer, MaxBody at most. A status of 400 and more is an
// error: AuthFault for 401 and 403, else ConfigFault for 404 and ParseFault. Errors hold no
// login and no query.
func (c *Client) Get(ctx context.Context, address string, header ...string) (*Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "", "the URL cannot be read")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.Header.Set("User-Agent", "tallyman")
	if c.Host != "" {
		r.Host = c.Host
	}
	switch u := r.URL.User; {
	case c.Token != "":
		r.Header.Set("Authorization", "Bearer "+c.Token)
	case c.User != "" || c.Password != "":
		r.SetBasicAuth(c.User, c.Password)
	case u != nil:
		p, _ := u.Password()
		r.SetBasicAuth(u.Username(), p)
	}
	answer, err := c.Do(r)
	if err != nil {
		return nil, plain(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxBody+1))
	switch shown := Shown(address); {
	case err != nil:
		return nil, plain(err)
	case len(body) > MaxBody:
		return nil, tallyman.Faulty(tallyman.LimitFault, "", "%s answers with more than %d MiB", shown, MaxBody>>20)
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		return nil, tallyman.Faulty(tallyman.AuthFault, "Set USERNAME and PASSWORD.", "%s answers %s", shown, answer.Status)
	case answer.StatusCode == http.StatusNotFound:
		return nil, tallyman.Faulty(tallyman.ConfigFault, "", "%s answers %s", shown, answer.Status)
	case answer.StatusCode >= 400:
		return nil, tallyman.Faulty(tallyman.ParseFault, "", "%s answers %s", shown, answer.Status)
	}
	return &Answer{answer.StatusCode, answer.Header, body}, nil
}

// plain takes the URL, which may hold a login, out of an error.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Shown is a URL without login and query.
func Shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the URL"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// HostPort is where a URL leads, as "127.0.0.1:8080".
func HostPort(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
