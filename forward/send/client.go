// SPDX-License-Identifier: Apache-2.0

package send

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"tallyman/internal/secret"
)

const (
	userAgent = "tallyman"
	mostBody  = 64 << 10 // of an answer, in bytes
	mostWords = 512      // of it that are told
)

// Options say where a client posts to, and as whom.
type Options struct {
	// URL is the address. User and password in it become basic authentication.
	URL secret.Text
	// Plain allows http to another machine, on which anybody on the way can read along.
	Plain bool
	// User and Password are for basic authentication; PasswordFile names a file with the
	// password in place of it.
	User         string
	Password     secret.Text
	PasswordFile string
	// BearerFile names a file with a token, and Scheme the word before it, empty for Bearer.
	BearerFile, Scheme string
	// Headers go with each request; HeaderFiles name files with their values.
	Headers     map[string]secret.Text
	HeaderFiles map[string]string
	// CA names a file with the certificates that may have signed the server's. Pin is the
	// SHA-256 of the server's certificate, sha256:… in hexadecimal digits, and the only
	// thing that is checked then. Cert and Key name files of the own certificate.
	CA, Pin, Cert, Key string
	// MostAnswer is how much of an answer is read, in bytes; 0 for 64 KiB.
	MostAnswer int64
	// Check says what is wrong with the body of an answer with 2xx, which means Hold then; nil
	// believes all.
	Check func(body []byte) error
	// Timeout is for a whole request, 0 for 30 s.
	Timeout time.Duration
	// Proxy chooses a proxy; nil is none. Dial connects; nil is net/http's way.
	Proxy func(*http.Request) (*url.URL, error)
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
}

// Request is what is posted.
type Request struct {
	Body   []byte
	Header http.Header // beside those of the options
}

// Answer is what came back, and what it means.
type Answer struct {
	Status int // 0 when there was none
	Header http.Header
	Body   []byte // at most Options.MostAnswer
	// Verdict is what it means, After how long to wait before the next try at least.
	Verdict Verdict
	After   time.Duration
	// Err is why there was no answer, or what the answer says when it is not Done. It holds
	// no secret.
	Err error
}

// Client posts to one address.
type Client struct {
	opt     Options
	url     *url.URL // without user
	client  *http.Client
	secrets []string // that no error may hold
}

// New makes a client. It connects to nobody, and reads the files of certificates. An
// error says which option is wrong, and holds no secret.
func New(o Options) (*Client, error) {
	u, err := url.Parse(string(o.URL))
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the address cannot be read; write https://host/path, with :, @, / and % in a password as %3A, %40, %2F and %25")
	}
	if u.Scheme == "http" && !o.Plain && !Local(u.Hostname()) {
		return nil, fmt.Errorf("http to %s is not encrypted: whoever is on the way reads along; use https, or set plain: true", u.Host)
	}
	if u.User != nil {
		if o.User != "" {
			return nil, errors.New("the user stands in the address and in user; leave one out")
		}
		password, _ := u.User.Password()
		o.User, o.Password = u.User.Username(), secret.Text(password)
	}
	if o.BearerFile != "" && o.User != "" {
		return nil, errors.New("there is a user and a bearer_file; leave one out")
	}
	c := &Client{opt: o, url: u}
	for _, one := range []string{string(o.Password), u.RawQuery, strings.Trim(u.Path, "/")} {
		if len(one) >= 4 {
			c.secrets = append(c.secrets, one)
		}
	}
	for _, v := range o.Headers {
		if len(v) >= 4 {
			c.secrets = append(c.secrets, string(v))
		}
	}
	u.User = nil
	t, err := transport(&o)
	if err != nil {
		return nil, err
	}
	c.client = &http.Client{Transport: t, Timeout: cmp.Or(o.Timeout, 30*time.Second),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// Local reports whether a host is this machine: localhost, or an address of the loopback.
func Local(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func transport(o *Options) (*http.Transport, error) {
	c, err := TLS(o.CA, o.Pin, o.Cert, o.Key)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy: o.Proxy, DialContext: o.Dial, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second, TLSClientConfig: c,
	}, nil
}

// TLS is how a server's certificate is checked, and which one is shown: see [Options]. It
// reads the files. An error says which option is wrong.
func TLS(ca, pin, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if pin != "" {
		want, err := ParsePin(pin)
		if err != nil {
			return nil, err
		}
		c.InsecureSkipVerify = true // the pin says more than a name
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if got := sha256.Sum256(s.PeerCertificates[0].Raw); got != want {
				return fmt.Errorf("the certificate is not the one of the pin: it has sha256:%x", got)
			}
			return nil
		}
	}
	if ca != "" {
		b, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("ca: there is no certificate in %s; it has to be PEM", ca)
		}
	}
	if cert != "" || key != "" {
		own, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("cert and key: %w", err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}

// ParsePin reads sha256: and 64 hexadecimal digits, with or without colons between them.
func ParsePin(text string) (pin [sha256.Size]byte, err error) {
	digits, ok := strings.CutPrefix(text, "sha256:")
	b, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	if !ok || err != nil || len(b) != len(pin) {
		return pin, errors.New("the pin cannot be read; write sha256: and the 64 digits of `openssl x509 -noout -fingerprint -sha256`")
	}
	return [sha256.Size]byte(b), nil
}

// Host is the host and port of the address.
func (c *Client) Host() string { return c.url.Host }

// Close closes connections that nobody uses.
func (c *Client) Close() { c.client.CloseIdleConnections() }

// Post posts once.
func (c *Client) Post(ctx context.Context, r Request) Answer {
	var known []string // secrets of files
	q, err := c.request(ctx, r, &known)
	if err != nil {
		return Answer{Verdict: Hold, After: holdFor, Err: err}
	}
	answer, err := c.client.Do(q)
	if err != nil {
		if told, ok := errors.AsType[*url.Error](err); ok {
			err = told.Err // without the address
		}
		verdict, after := Classify(0, nil, err)
		return Answer{Verdict: verdict, After: after, Err: fmt.Errorf("%s: %w", c.url.Host, err)}
	}
	defer answer.Body.Close()
	// What has come of a body that ends early is as good as any: the status decides.
	body, _ := io.ReadAll(io.LimitReader(answer.Body, cmp.Or(c.opt.MostAnswer, mostBody)))
	a := Answer{Status: answer.StatusCode, Header: answer.Header, Body: body}
	if a.Verdict, a.After = Classify(a.Status, a.Header, nil); a.Verdict != Done {
		a.Err = fmt.Errorf("%s answers with %d %s%s%s", c.url.Host, a.Status, http.StatusText(a.Status), c.words(body, known), hint(a.Status))
	} else if c.opt.Check != nil {
		if err := c.opt.Check(body); err != nil {
			a.Verdict, a.After = Hold, holdFor
			a.Err = fmt.Errorf("%s answers with %s%s: %w", c.url.Host, a.Words(), c.words(body, known), err)
		}
	}
	return a
}

// Words are the first of what the other side said, behind a colon, on one line and without
// secrets; empty when it said nothing.
func (c *Client) Words(said []byte) string { return c.words(said, nil) }

// Try posts once, for a person: it gives the status in words.
func (c *Client) Try(ctx context.Context, r Request) (status string, err error) {
	defer c.Close()
	a := c.Post(ctx, r)
	if a.Err != nil {
		return "", a.Err
	}
	return a.Words(), nil
}

// Words are the status of an answer, as 200 OK.
func (a *Answer) Words() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status)))
}

func (c *Client) request(ctx context.Context, r Request, known *[]string) (*http.Request, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, errors.New("the request cannot be made of the address")
	}
	for name, values := range r.Header {
		q.Header[name] = values
	}
	q.Header.Set("User-Agent", userAgent)
	read := func(setting, file string) (string, error) {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("%s: %w", setting, err)
		}
		text := strings.TrimSpace(string(b))
		if len(text) >= 4 {
			*known = append(*known, text)
		}
		return text, nil
	}
	for name, value := range c.opt.Headers {
		q.Header.Set(name, string(value))
	}
	for name, file := range c.opt.HeaderFiles {
		text, err := read("headers_file "+name, file)
		if err != nil {
			return nil, err
		}
		q.Header.Set(name, text)
	}
	password := string(c.opt.Password)
	if c.opt.PasswordFile != "" {
		if password, err = read("password_file", c.opt.PasswordFile); err != nil {
			return nil, err
		}
	}
	if c.opt.User != "" {
		q.SetBasicAuth(c.opt.User, password)
	}
	if c.opt.BearerFile != "" {
		token, err := read("bearer_file", c.opt.BearerFile)
		if err != nil {
			return nil, err
		}
		q.Header.Set("Authorization", cmp.Or(c.opt.Scheme, "Bearer")+" "+token)
	}
	return q, nil
}

// words are the first of an answer, on one line, without secrets.
func (c *Client) words(body []byte, known []string) string {
	text := strings.ToValidUTF8(string(body), "")
	for _, list := range [][]string{c.secrets, known} {
		for _, one := range list {
			text = strings.ReplaceAll(text, one, secret.Hidden)
		}
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(text) > mostWords {
		text = strings.ToValidUTF8(text[:mostWords], "") + "…"
	}
	if text == "" {
		return ""
	}
	return ": " + text
}

// hint is what to do about a status that is not the data's fault.
func hint(status int) string {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "; check user, password, token and tenant"
	case status/100 == 3:
		return "; redirects are not followed: write the address that it names"
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return "; check the path of the address"
	}
	return ""
}
