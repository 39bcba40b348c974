// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"
)

// Options are what may be set beside the address. The zero value is good.
type Options struct {
	// TLS is used for a tcp:// address when set.
	TLS *TLS
	// APIVersion is used instead of the negotiated one when set, as "1.41".
	APIVersion string
	// Dial makes the connections instead of the net package, for tests and for
	// addresses that need a way of their own.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client asks one engine.
type Client struct {
	host         string
	scheme, path string
	http         *http.Client // past the library, for what it would take out of our hands
	api          *client.Client
	base         *http.Transport
	calls        [numCalls]atomic.Uint64
}

// Call is one of the requests that a Client makes.
type Call int

// The calls.
const (
	CallPing Call = iota
	CallInfo
	CallList
	CallInspect
	CallEvents
	CallStats
	CallSize
	CallDisk
	CallLogs
	CallImage
	CallExec
	numCalls
)

// Calls are all of them.
func Calls() []Call {
	return []Call{CallPing, CallInfo, CallList, CallInspect, CallEvents, CallStats, CallSize, CallDisk, CallLogs, CallImage, CallExec}
}

// String is the call's word.
func (c Call) String() string {
	return [...]string{"ping", "info", "list", "inspect", "events", "stats", "size", "disk", "logs", "image", "exec"}[c]
}

// Count is how often the call was made.
func (c *Client) Count(call Call) uint64 { return c.calls[call].Load() }

// DefaultAddress is where an engine listens when nothing else is said.
const DefaultAddress = "unix:///var/run/docker.sock"

var validID = regexp.MustCompile(`^[0-9a-f]{12,64}$`)

// ValidID reports whether id may be put into a URL: 12 to 64 lower-case
// hexadecimal digits.
func ValidID(id string) bool { return validID.MatchString(id) }

// New makes a client for the engine at host, which has the form of DOCKER_HOST:
// unix:///path or tcp://host:port; empty is DefaultAddress. Nothing is sent.
func New(host string, o Options) (*Client, error) {
	if host == "" {
		host = DefaultAddress
	}
	u, err := client.ParseHostURL(host)
	if err != nil {
		return nil, fmt.Errorf("docker address %q: want unix:///path or tcp://host:port", withoutUser(host))
	}
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
	network, address := u.Scheme, u.Host
	switch u.Scheme {
	case "unix":
		if !strings.HasPrefix(address, "/") {
			return nil, fmt.Errorf("docker address %q: the path of a unix socket must be absolute", host)
		}
	case "tcp":
		if parsed, err := url.Parse(host); err != nil || parsed.User != nil || parsed.Hostname() == "" {
			return nil, fmt.Errorf("docker address %q: want tcp://host:port", withoutUser(host))
		}
	default:
		return nil, fmt.Errorf("docker address %q: the scheme %q is not supported, want unix or tcp", withoutUser(host), u.Scheme)
	}
	base := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			t, _ := ctx.Value(tripKey{}).(*trip)
			if t != nil {
				t.dialing.Store(true)
			}
			conn, err := dial(ctx, network, address)
			if err == nil && t != nil {
				t.dialing.Store(false)
			}
			return conn, err
		},
		Proxy:                  nil, // never from the environment
		DisableCompression:     true,
		MaxIdleConns:           32, // the statistics of many containers are asked for at once
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	scheme := "http"
	if o.TLS != nil && u.Scheme == "tcp" {
		scheme = "https"
		plain := base.DialContext
		base.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialTLS(ctx, *o.TLS, u.Hostname(), func() (net.Conn, error) { return plain(ctx, network, address) })
		}
	}
	c := &Client{host: withoutUser(host), base: base}
	c.http = &http.Client{
		Transport: &guard{base: base, basePath: u.Path},
		// The guard turns redirects into errors; this is the second lock.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.scheme, c.path = scheme, u.Path
	c.api, err = client.New(
		client.WithAPIVersion(o.APIVersion),
		client.WithHost(host),
		client.WithHTTPClient(c.http),
		client.WithScheme(scheme),
		client.WithUserAgent("tallyman"),
	)
	if err != nil {
		return nil, fmt.Errorf("docker address %q: %w", withoutUser(host), err)
	}
	return c, nil
}

// dialTLS reads the files, connects, and shakes hands.
func dialTLS(ctx context.Context, files TLS, host string, dial func() (net.Conn, error)) (net.Conn, error) {
	config, err := files.Config(host)
	if err != nil {
		return nil, err
	}
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// withoutUser removes a user and password, which do not belong there, before an
// address is shown.
func withoutUser(host string) string {
	scheme, rest, ok := strings.Cut(host, "://")
	if !ok {
		return host
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	return scheme + "://" + rest
}

// Remote reports whether an address is reached over the network, so that what the
// engine tells of is likely not on this machine.
func Remote(address string) bool { return !strings.HasPrefix(address, "unix://") }

// Host is the address, as given and without a password.
func (c *Client) Host() string { return c.host }

// Close closes the idle connections. The client may be used again.
func (c *Client) Close() { c.base.CloseIdleConnections() }

// Ping asks whether the engine answers.
func (c *Client) Ping(ctx context.Context) (Ping, error) {
	c.calls[CallPing].Add(1)
	t := &trip{}
	r, err := c.api.Ping(withTrip(ctx, t), client.PingOptions{})
	if err != nil {
		return Ping{}, c.classify(ctx, "ping", err, t)
	}
	return Ping{APIVersion: bound(r.APIVersion), OSType: bound(r.OSType), ClockOffset: t.offset, ClockKnown: t.timed}, nil
}

// Info asks the engine about itself and its host.
func (c *Client) Info(ctx context.Context) (Info, error) {
	c.calls[CallInfo].Add(1)
	var out Info
	t := &trip{out: &out}
	if _, err := c.api.Info(withTrip(ctx, t), client.InfoOptions{}); err != nil {
		return Info{}, c.classify(ctx, "info", err, t)
	}
	return out, nil
}

// List is all containers, stopped ones too. Entries without a valid id are left out.
func (c *Client) List(ctx context.Context) ([]Summary, error) {
	c.calls[CallList].Add(1)
	var out []Summary
	t := &trip{out: &out}
	if _, err := c.api.ContainerList(withTrip(ctx, t), client.ContainerListOptions{All: true}); err != nil {
		return nil, c.classify(ctx, "list", err, t)
	}
	good := out[:0]
	for _, s := range out {
		if ValidID(s.ID) {
			good = append(good, s)
		}
	}
	return good, nil
}

// Inspect is everything about one container. The error wraps ErrNotFound when
// the engine does not have it.
func (c *Client) Inspect(ctx context.Context, id string) (*Details, error) {
	if !ValidID(id) {
		return nil, &Error{Failure: Answered, Call: "inspect", Text: ErrInvalidID.Error(), err: ErrInvalidID}
	}
	c.calls[CallInspect].Add(1)
	out := new(Details)
	t := &trip{out: out}
	if _, err := c.api.ContainerInspect(withTrip(ctx, t), id, client.ContainerInspectOptions{}); err != nil {
		return nil, c.classify(ctx, "inspect "+id[:12], err, t)
	}
	return out, nil
}

// Size is the size in bytes of a container's writable layer. The engine walks
// through all of it. The error wraps ErrNotFound when it does not have the
// container.
func (c *Client) Size(ctx context.Context, id string) (int64, error) {
	if !ValidID(id) {
		return 0, &Error{Failure: Answered, Call: "size", Text: ErrInvalidID.Error(), err: ErrInvalidID}
	}
	c.calls[CallSize].Add(1)
	var out struct{ SizeRw *int64 }
	t := &trip{out: &out}
	if _, err := c.api.ContainerInspect(withTrip(ctx, t), id, client.ContainerInspectOptions{Size: true}); err != nil {
		return 0, c.classify(ctx, "size "+id[:12], err, t)
	}
	if out.SizeRw == nil {
		return 0, fmt.Errorf("ask for the size of %s: the answer has none", id[:12])
	}
	return *out.SizeRw, nil
}

// Disk asks what images, containers, volumes and the build cache take. The engine walks
// through the layers of all containers and through all volumes. One of 20.10 answers only one
// such question at a time.
func (c *Client) Disk(ctx context.Context) (Disk, error) {
	c.calls[CallDisk].Add(1)
	t := &trip{whole: true}
	r, err := c.api.DiskUsage(withTrip(ctx, t), client.DiskUsageOptions{Containers: true, Images: true, Volumes: true, BuildCache: true, Verbose: true})
	if err != nil {
		return Disk{}, c.classify(ctx, "disk", err, t)
	}
	d := Disk{
		Images: DiskShare{r.Images.TotalCount, r.Images.ActiveCount, r.Images.TotalSize, r.Images.Reclaimable}, Containers: DiskShare{r.Containers.TotalCount, r.Containers.ActiveCount, r.Containers.TotalSize, r.Containers.Reclaimable},
		Volumes: DiskShare{r.Volumes.TotalCount, r.Volumes.ActiveCount, r.Volumes.TotalSize, r.Volumes.Reclaimable}, BuildCache: DiskShare{r.BuildCache.TotalCount, r.BuildCache.ActiveCount, r.BuildCache.TotalSize, r.BuildCache.Reclaimable},
		VolumeSizes: map[string]int64{},
	}
	for _, v := range r.Volumes.Items {
		if v.UsageData != nil && v.UsageData.Size >= 0 { // -1 for a driver that does not say
			d.VolumeSizes[bound(v.Name)] = v.UsageData.Size
		}
	}
	return d, nil
}

// Stats decodes one sample of what a container uses into what into points to.
// An engine before 25 takes up to a second for it. The error wraps ErrNotFound
// when the engine does not have the container.
func (c *Client) Stats(ctx context.Context, id string, into any) error {
	if !ValidID(id) {
		return &Error{Failure: Answered, Call: "stats", Text: ErrInvalidID.Error(), err: ErrInvalidID}
	}
	c.calls[CallStats].Add(1)
	t := &trip{out: into}
	r, err := c.api.ContainerStats(withTrip(ctx, t), id, client.ContainerStatsOptions{})
	if err != nil {
		return c.classify(ctx, "stats "+id[:12], err, t)
	}
	return r.Body.Close()
}

// Logs follows the log of a container from a time on, inclusive; the zero time
// is its beginning. It gives the answer as it comes: without a terminal in
// frames, with one as it is; each line begins with its time. The error wraps
// ErrNotFound when the engine does not have the container.
func (c *Client) Logs(ctx context.Context, id string, since time.Time) (io.ReadCloser, error) {
	if !ValidID(id) {
		return nil, &Error{Failure: Answered, Call: "logs", Text: ErrInvalidID.Error(), err: ErrInvalidID}
	}
	c.calls[CallLogs].Add(1)
	t := &trip{}
	o := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true, Timestamps: true}
	if !since.IsZero() {
		o.Since = fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())
	}
	r, err := c.api.ContainerLogs(withTrip(ctx, t), id, o)
	if err != nil {
		return nil, c.classify(ctx, "logs "+id[:12], err, t)
	}
	return r, nil
}

// Document is the inspection of one container as the engine words it. It has
// secrets: whoever takes it removes them before anything else. The error wraps
// ErrNotFound when the engine does not have the container.
func (c *Client) Document(ctx context.Context, id string) (json.RawMessage, error) {
	if !ValidID(id) {
		return nil, &Error{Failure: Answered, Call: "inspect", Text: ErrInvalidID.Error(), err: ErrInvalidID}
	}
	c.calls[CallInspect].Add(1)
	var out json.RawMessage
	t := &trip{out: &out}
	if _, err := c.api.ContainerInspect(withTrip(ctx, t), id, client.ContainerInspectOptions{}); err != nil {
		return nil, c.classify(ctx, "inspect "+id[:12], err, t)
	}
	return out, nil
}

// Image is the inspection of one image, by its id, as the engine words it: with
// secrets, like a Document.
func (c *Client) Image(ctx context.Context, id string) (json.RawMessage, error) {
	if hex, ok := strings.CutPrefix(id, "sha256:"); !ok || len(hex) != 64 || !ValidID(hex) {
		return nil, &Error{Failure: Answered, Call: "image", Text: ErrInvalidID.Error(), err: ErrInvalidID}
	}
	c.calls[CallImage].Add(1)
	var out json.RawMessage
	t := &trip{out: &out}
	if _, err := c.api.ImageInspect(withTrip(ctx, t), id); err != nil {
		return nil, c.classify(ctx, "image "+id[7:19], err, t)
	}
	return out, nil
}
