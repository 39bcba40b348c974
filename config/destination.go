// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Destination is one to which records or samples are sent on. One of the addresses is needed.
type Destination struct {
	// Address of a tallyman that is the hub of several hosts, as https://hub:8420. All that is
	// known of this host goes there: metrics, logs, events, snapshots, alarms, and its containers.
	Hub Secret `yaml:"hub"`
	// Address of a Loki's push API, as https://user:password@host/loki/api/v1/push; a
	// secret. Logs, events, snapshots and alarms go there.
	Loki Secret `yaml:"loki"`
	// Address that takes Prometheus' remote write, as https://user:password@host/api/v1/write;
	// a secret. Metrics go there.
	RemoteWrite Secret `yaml:"remote_write"`
	// Address of a syslog server that takes RFC 5424 with octet counting, as tls://host:6514 or
	// tcp://host:514. Logs, events, snapshots and alarms go there.
	Syslog Secret `yaml:"syslog"`
	// Address to which JSON is posted, as https://user:password@host/path; a secret. Logs,
	// events, snapshots and alarms go there, an object each.
	HTTP Secret `yaml:"http"`
	// Address of an Elasticsearch or OpenSearch, as https://user:password@host:9200; a secret.
	// Logs, events, snapshots and alarms go there, to its bulk API.
	Elasticsearch Secret `yaml:"elasticsearch"`
	// Address of an OpenTelemetry receiver over HTTP, without /v1/…, as
	// https://user:password@host:4318; a secret. Logs, events, snapshots, alarms and metrics go
	// there.
	OTLP Secret `yaml:"otlp"`
	// Address of an InfluxDB, or of what takes its line protocol, as
	// https://user:password@host:8086; a secret. Metrics go there.
	Influx Secret `yaml:"influx"`
	// Address of Mackerel, https://api.mackerelio.com. A dozen metrics go there, once a minute.
	Mackerel Secret `yaml:"mackerel"`
	// Name of the destination; how far it has come is kept under it, so that another
	// address may be written. Default the key of the address, a dash and its host.
	Name string `yaml:"name"`
	// Labels that streams have in Loki, at most 12 with external_labels; other labels
	// become structured metadata. Default host, source, name, workload, stream.
	Labels []string `yaml:"labels"`
	// Labels that are set beside them, as {dc: fra}; those that are there stay, but in Loki.
	// Default none.
	ExternalLabels map[string]string `yaml:"external_labels"`
	// Which records are sent: selectors as {source=~"container|event"}; what one of them
	// selects. Default all.
	Only []string `yaml:"only"`
	// Metrics that are sent, as [container_*, node_*]; * stands for any text. Default all.
	Keep []string `yaml:"keep"`
	// Metrics that are not, in the same form; it wins over keep. Default none.
	Drop []string `yaml:"drop"`
	// Time between samples, as 30s; those between are left out. Default interval, and less
	// while somebody watches a page.
	Every Duration `yaml:"every"`
	// Form of what is posted to http: lines (an object on each) or array. Default lines.
	Format string `yaml:"format"`
	// Pack what is posted to http with gzip. Default false.
	Gzip bool `yaml:"gzip"`
	// Index or data stream of Elasticsearch that records go to. Default logs-tallyman-default.
	Index string `yaml:"index"`
	// Version of remote_write: auto, 1 or 2. Default auto: 2 where the receiver shows that it
	// knows it.
	Protocol string `yaml:"protocol"`
	// What goes to otlp: logs, metrics or both. Default both.
	Signals []string `yaml:"signals"`
	// Where labels of a container stand in otlp: resource, or point for on each point and
	// record, too. Default resource.
	Attributes string `yaml:"attributes"`
	// Database of an InfluxDB 1. This or bucket is needed.
	Database string `yaml:"database"`
	// Bucket of an InfluxDB 2 or 3.
	Bucket string `yaml:"bucket"`
	// Organisation that the bucket belongs to.
	Org string `yaml:"org"`
	// File with the token of this host that the hub has made, or with a token of InfluxDB; read
	// again before each request. Needed for a hub.
	TokenFile string `yaml:"token_file"`
	// Service of Mackerel that metrics belong to. Needed there.
	Service string `yaml:"service"`
	// File with the key of Mackerel's API, read again before each request. Needed there.
	APIKeyFile string `yaml:"api_key_file"`
	// User for basic authentication. Default that of the address.
	User string `yaml:"user"`
	// Password of the user; a secret.
	Password Secret `yaml:"password"`
	// File with the password, read again before each request.
	PasswordFile string `yaml:"password_file"`
	// File with a bearer token, read again before each request.
	BearerFile string `yaml:"bearer_file"`
	// Headers of each request, as {X-Scope-OrgID: web}; secrets. Default none.
	Headers map[string]Secret `yaml:"headers"`
	// Headers whose values are in files, read again before each request. Default none.
	HeadersFile map[string]string `yaml:"headers_file"`
	// File with the CA certificates that may have signed the server's. Default the system's.
	CA string `yaml:"ca"`
	// SHA-256 of the server's certificate, as sha256:…; then nothing else of it is checked.
	Pin string `yaml:"pin"`
	// File with the certificate that tallyman shows to the server.
	Cert string `yaml:"cert"`
	// File with its key.
	Key string `yaml:"key"`
	// Allow http to another machine: whoever is on the way reads along. Default false.
	Plain bool `yaml:"plain"`
	// Time that a request may take. Default 30s.
	Timeout Duration `yaml:"timeout"`
	// Bytes a second that go out at most, packed, as 2MiB: what waits after an outage is sent
	// so fast. At least 1KiB. Default no limit.
	Limit Bytes `yaml:"limit"`
}

// kind is what a destination may be.
type kind struct {
	key     string
	path    string // usual one of an address, or what follows the host
	schemes []string
	has     func(d *Destination) Secret
	// needs says that an address has to have a path.
	needs bool
	// records and samples say what goes there, login that it asks who sends, over HTTP.
	records, samples, login bool
}

var web = []string{"https", "http"}

var kinds = []kind{
	{key: "hub", path: ":8420", schemes: web, has: func(d *Destination) Secret { return d.Hub }, records: true, samples: true},
	{key: "loki", path: "/loki/api/v1/push", schemes: web, has: func(d *Destination) Secret { return d.Loki }, needs: true, records: true, login: true},
	{key: "remote_write", path: "/api/v1/write", schemes: web, has: func(d *Destination) Secret { return d.RemoteWrite }, needs: true, samples: true, login: true},
	{key: "syslog", path: ":6514", schemes: []string{"tls", "tcp"}, has: func(d *Destination) Secret { return d.Syslog }, records: true},
	{key: "http", path: "/path", schemes: web, has: func(d *Destination) Secret { return d.HTTP }, records: true, login: true},
	{key: "otlp", path: ":4318", schemes: web, has: func(d *Destination) Secret { return d.OTLP }, records: true, samples: true, login: true},
	{key: "influx", path: ":8086", schemes: web, has: func(d *Destination) Secret { return d.Influx }, samples: true, login: true},
	{key: "mackerel", path: "", schemes: web, has: func(d *Destination) Secret { return d.Mackerel }, samples: true, login: true},
	{key: "elasticsearch", path: ":9200", schemes: web, has: func(d *Destination) Secret { return d.Elasticsearch }, records: true, login: true},
}

// kind is what the destination is; nil when it says not where to.
func (d *Destination) kind() *kind {
	for i := range kinds {
		if kinds[i].has(d) != "" {
			return &kinds[i]
		}
	}
	return nil
}

// alone are the settings that are not for all kinds, with whether one is set, for whom it is,
// and what to write for others.
var alone = []struct {
	key   string
	set   func(d *Destination) bool
	fits  func(k *kind) bool
	other string
}{
	{"labels", func(d *Destination) bool { return len(d.Labels) > 0 }, only("loki"), "leave it out"},
	{"only", func(d *Destination) bool { return len(d.Only) > 0 }, func(k *kind) bool { return k.records }, "write keep: [container_*] for metrics"},
	{"keep", func(d *Destination) bool { return len(d.Keep) > 0 }, sampled, chosen},
	{"drop", func(d *Destination) bool { return len(d.Drop) > 0 }, sampled, chosen},
	{"every", func(d *Destination) bool { return d.Every != 0 }, sampled, chosen},
	{"format", func(d *Destination) bool { return d.Format != "" }, only("http"), "leave it out"},
	{"gzip", func(d *Destination) bool { return d.Gzip }, only("http"), "leave it out; others decide it themselves"},
	{"index", func(d *Destination) bool { return d.Index != "" }, only("elasticsearch"), "leave it out"},
	{"protocol", func(d *Destination) bool { return d.Protocol != "" }, only("remote_write"), "leave it out"},
	{"signals", func(d *Destination) bool { return len(d.Signals) > 0 }, only("otlp"), "leave it out"},
	{"attributes", func(d *Destination) bool { return d.Attributes != "" }, only("otlp"), "leave it out"},
	{"database, bucket or org", func(d *Destination) bool { return d.Database+d.Bucket+d.Org != "" }, only("influx"), "leave it out"},
	{"token_file", func(d *Destination) bool { return d.TokenFile != "" }, only("influx", "hub"), "leave it out"},
	{"service or api_key_file", func(d *Destination) bool { return d.Service+d.APIKeyFile != "" }, only("mackerel"), "leave it out"},
	{"user, password_file, bearer_file or headers", (*Destination).login, func(k *kind) bool { return k.login }, "write cert and key for who is asked by a certificate, token_file for a hub"},
}

const chosen = "write only: ['{source=\"event\"}'] for which records go there"

func sampled(k *kind) bool { return k.samples }

func only(keys ...string) func(k *kind) bool {
	return func(k *kind) bool { return slices.Contains(keys, k.key) }
}

// login reports whether it says who sends.
func (d *Destination) login() bool {
	return d.User != "" || d.Password != "" || d.PasswordFile != "" || d.BearerFile != "" || len(d.Headers) > 0 || len(d.HeadersFile) > 0
}

// Kind is the key of the address, as loki.
func (d *Destination) Kind() string {
	if k := d.kind(); k != nil {
		return k.key
	}
	return ""
}

// Sends reports whether a signal goes there: logs or metrics.
func (d *Destination) Sends(signal string) bool {
	k := d.kind()
	if k == nil || len(d.Signals) > 0 && !slices.Contains(d.Signals, signal) {
		return false
	}
	return signal == "logs" && k.records || signal == "metrics" && k.samples
}

// Address is where to it is sent.
func (d *Destination) Address() Secret {
	if k := d.kind(); k != nil {
		return k.has(d)
	}
	return ""
}

// ID is the destination's name, or the one that it has by default.
func (d *Destination) ID() string {
	if d.Name != "" {
		return d.Name
	}
	kind := d.Kind()
	u, err := url.Parse(string(d.Address()))
	if err != nil {
		return kind
	}
	name := kind + "-" + strings.Map(func(r rune) rune {
		if strings.ContainsRune("[]:", r) {
			return '-'
		}
		return r
	}, u.Hostname())
	return name[:min(len(name), 63)]
}

var (
	labelForm   = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	indexForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,199}$`)
	patternForm = regexp.MustCompile(`^[a-zA-Z0-9_:*?]+$`)
)

// checkDestinations finds what cannot work. It tells nothing of an address but its host.
func checkDestinations(list []Destination) error {
	known := map[string]bool{"amqp": true, "webhook": true}
	for i := range list {
		d := &list[i]
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("forward.to[%d]: %s", i, fmt.Sprintf(format, args...))
		}
		k := d.kind()
		if k == nil {
			return wrong("it says not where to; write for example loki: https://host/loki/api/v1/push or remote_write: https://host/api/v1/write")
		}
		for j := range kinds {
			if second := &kinds[j]; second != k && second.has(d) != "" {
				return wrong("it says %s and %s; write an entry for each", k.key, second.key)
			}
		}
		for _, one := range alone {
			if one.set(d) && !one.fits(k) {
				return wrong("%s: not for %s; %s", one.key, k.key, one.other)
			}
		}
		u, err := url.Parse(string(k.has(d)))
		switch {
		case err != nil || u.Hostname() == "" || !slices.Contains(k.schemes, u.Scheme):
			return wrong("%s: an address is needed, as %s://host%s; :, @, / and %% in a password are written as %%3A, %%40, %%2F and %%25", k.key, k.schemes[0], k.path)
		case u.Scheme == k.schemes[1] && !d.Plain && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback():
			return wrong("%s: %s to %s is not encrypted: whoever is on the way reads along; use %s, or set plain: true", k.key, u.Scheme, u.Host, k.schemes[0])
		case k.needs && strings.Trim(u.Path, "/") == "":
			return wrong("%s: the address has no path; write %s://%s%s", k.key, u.Scheme, u.Host, k.path)
		case !slices.Contains([]string{"", "lines", "array"}, d.Format):
			return wrong("format: %q is not known; write lines or array", d.Format)
		case !slices.Contains([]string{"", "auto", "1", "2"}, d.Protocol):
			return wrong("protocol: %q is not known; write auto, 1 or 2", d.Protocol)
		case d.Limit != 0 && d.Limit < 1<<10:
			return wrong("limit: it is below 1KiB a second; write for example 2MiB")
		case !slices.Contains([]string{"", "resource", "point"}, d.Attributes):
			return wrong("attributes: %q is not known; write resource or point", d.Attributes)
		case slices.ContainsFunc(d.Signals, func(s string) bool { return s != "logs" && s != "metrics" }):
			return wrong("signals: %q is not known; write logs, metrics or both", d.Signals)
		case k.key == "hub" && d.TokenFile == "":
			return wrong("hub: a token_file is needed; at the hub, tallyman token agent HOST makes the token of this host")
		case k.key == "hub" && u.User != nil:
			return wrong("hub: there is a user in the address; a hub asks for the token in token_file alone")
		case k.key == "otlp" && strings.Contains(u.Path, "/v1/"):
			return wrong("otlp: the address ends before /v1/…, which is added")
		case k.key == "influx" && (d.Database == "") == (d.Bucket == ""):
			return wrong("influx: a database (of version 1) or a bucket (of version 2) is needed, and not both")
		case k.key == "influx" && strings.Trim(u.Path, "/") != "" && strings.HasSuffix(strings.Trim(u.Path, "/"), "write"):
			return wrong("influx: the address ends before /write, which is added")
		case k.key == "mackerel" && (!indexForm.MatchString(strings.ToLower(d.Service)) || d.APIKeyFile == ""):
			return wrong("mackerel: a service of it and an api_key_file are needed; write service: docker")
		case d.TokenFile != "" && (d.User != "" || u.User != nil || d.BearerFile != ""):
			return wrong("token_file: there is a user or a bearer_file, too; leave one out")
		case d.Index != "" && !indexForm.MatchString(d.Index):
			return wrong("index: %q is no name of an index; write small letters, digits, dots, dashes and underscores", d.Index)
		case d.Every < 0 || d.Every > Duration(time.Hour):
			return wrong("every: it is not between 0 and 1h")
		case len(d.ID()) > 55 && k.records && k.samples:
			return wrong("name: %q is too long; at most 55 characters", d.ID())
		case !nameForm.MatchString(d.ID()):
			return wrong("name: %q is not possible; write letters, digits, dots, dashes and underscores, at most 63", d.ID())
		case known[d.ID()]:
			return wrong("two destinations are called %q; give each a name of its own", d.ID())
		case d.Timeout < 0:
			return wrong("timeout: it is below zero")
		case k.key == "loki" && len(d.Labels)+len(d.ExternalLabels) > 12:
			return wrong("labels: Loki takes at most 12 with external_labels")
		}
		for name := range d.ExternalLabels {
			if !labelForm.MatchString(name) {
				return wrong("external_labels: %q is no name of a label; write letters, digits and underscores", name)
			}
		}
		for _, pattern := range slices.Concat(d.Keep, d.Drop) {
			if !patternForm.MatchString(pattern) {
				return wrong("keep and drop: %q is no name of a metric; write letters, digits, underscores, and * for any text", pattern)
			}
		}
		known[d.ID()] = true
	}
	return nil
}

// UnmarshalYAML takes the destinations as a list, or all settings by their keys.
func (f *Forward) UnmarshalYAML(read func(any) error) error {
	var any []any
	if read(&any) == nil && any != nil {
		return read(&f.To)
	}
	type plain Forward
	p := plain(*f)
	err := read(&p)
	*f = Forward(p)
	return err
}

// parseDestinations reads loki=https://…,remote_write=https://…, or a list in one line of YAML.
func parseDestinations(key, text string) (out []Destination, err error) {
	if text = strings.TrimSpace(text); strings.HasPrefix(text, "[") || strings.HasPrefix(text, "-") {
		var tree []any
		if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
			return nil, errors.New("this is no list of destinations; write for example loki=https://host/loki/api/v1/push,remote_write=https://host/api/v1/write")
		}
		if err := lists[key].checkKeys(key, tree); err != nil {
			return nil, err
		}
		if err := yaml.UnmarshalWithOptions([]byte(text), &out, yaml.Strict()); err != nil {
			return nil, yamlError([]byte(text), err)
		}
		return out, nil
	}
	for _, one := range strings.Split(text, ",") {
		key, address, _ := strings.Cut(strings.TrimSpace(one), "=")
		if key == "" && address == "" {
			continue
		}
		to := Destination{}
		if !to.set(key, Secret(address)) {
			return nil, errors.New("this is no list of destinations; write for example loki=https://host/loki/api/v1/push,remote_write=https://host/api/v1/write")
		}
		if to.Hub != "" {
			return nil, errors.New("a hub needs a token, too; set TALLYMAN_HUB and TALLYMAN_HUB_TOKEN_FILE")
		}
		out = append(out, to)
	}
	return out, nil
}

// set sets the address of a kind, and reports whether there is one of that key.
func (d *Destination) set(key string, address Secret) bool {
	to := map[string]*Secret{"hub": &d.Hub, "loki": &d.Loki, "remote_write": &d.RemoteWrite, "syslog": &d.Syslog, "http": &d.HTTP, "elasticsearch": &d.Elasticsearch, "otlp": &d.OTLP, "influx": &d.Influx, "mackerel": &d.Mackerel}[key]
	if to != nil {
		*to = address
	}
	return to != nil
}

// hubVariables are the variables of the environment that make a destination of their own.
var hubVariables = map[string]func(d *Destination, text string) error{
	"HUB":            func(d *Destination, text string) error { d.Hub = Secret(text); return nil },
	"HUB_TOKEN_FILE": func(d *Destination, text string) error { d.TokenFile = text; return nil },
	"HUB_PIN":        func(d *Destination, text string) error { d.Pin = text; return nil },
	"HUB_CA":         func(d *Destination, text string) error { d.CA = text; return nil },
	"HUB_PLAIN": func(d *Destination, text string) (err error) {
		if d.Plain, err = strconv.ParseBool(text); err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		return nil
	},
}

// readHub adds the hub that the environment names, behind the destinations that there are.
func (c *Config) readHub(env map[string]string) error {
	var d Destination
	any := false
	for _, rest := range slices.Sorted(maps.Keys(hubVariables)) {
		text, ok := env[envPrefix+rest]
		if !ok || text == "" {
			continue
		}
		if err := hubVariables[rest](&d, text); err != nil {
			return fmt.Errorf("environment %s: %w", envPrefix+rest, err)
		}
		any = true
	}
	switch {
	case d.Hub != "":
		c.Forward.To = append(slices.Clone(c.Forward.To), d)
	case any:
		return errors.New("environment: there is a token or a pin of a hub, and no TALLYMAN_HUB; write TALLYMAN_HUB=https://hub:8420")
	}
	return nil
}
