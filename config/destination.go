// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Destination is one to which records or samples are sent on.
type Destination struct {
	// Address of a Loki's push API, as https://user:password@host/loki/api/v1/push; a
	// secret. Logs, events, snapshots and alarms go there. This or remote_write is needed.
	Loki Secret `yaml:"loki"`
	// Address that takes Prometheus' remote write, as https://user:password@host/api/v1/write;
	// a secret. Metrics go there.
	RemoteWrite Secret `yaml:"remote_write"`
	// Name of the destination; how far it has come is kept under it, so that another
	// address may be written. Default loki- or remote_write- and the host of the address.
	Name string `yaml:"name"`
	// Labels that streams have in Loki, at most 12 with external_labels; other labels
	// become structured metadata. Default host, source, name, workload, stream.
	Labels []string `yaml:"labels"`
	// Labels that are set beside them, as {dc: fra}; a metric's own stay. Default none.
	ExternalLabels map[string]string `yaml:"external_labels"`
	// What is sent to Loki: selectors as {source=~"container|event"}; what one of them
	// selects. Default all.
	Only []string `yaml:"only"`
	// Metrics that are sent over remote_write, as [container_*, node_*]; * stands for any
	// text. Default all.
	Keep []string `yaml:"keep"`
	// Metrics that are not, in the same form; it wins over keep. Default none.
	Drop []string `yaml:"drop"`
	// Time between samples over remote_write, as 30s; those between are left out. Default
	// interval, and less while somebody watches a page.
	Every Duration `yaml:"every"`
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
}

// kind is the key of the address, and the address.
func (d *Destination) kind() (key string, address Secret) {
	if d.RemoteWrite != "" {
		return "remote_write", d.RemoteWrite
	}
	return "loki", d.Loki
}

// Kind is the key of the address, as loki.
func (d *Destination) Kind() string {
	key, _ := d.kind()
	return key
}

// Address is where to it is sent.
func (d *Destination) Address() Secret {
	_, address := d.kind()
	return address
}

// ID is the destination's name, or the one that it has by default.
func (d *Destination) ID() string {
	if d.Name != "" {
		return d.Name
	}
	kind, address := d.kind()
	u, err := url.Parse(string(address))
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
	patternForm = regexp.MustCompile(`^[a-zA-Z0-9_:*?]+$`)
	paths       = map[string]string{"loki": "/loki/api/v1/push", "remote_write": "/api/v1/write"} // usual ones
)

// checkDestinations finds what cannot work. It tells nothing of an address but its host.
func checkDestinations(list []Destination) error {
	known := map[string]bool{"amqp": true, "webhook": true}
	for i := range list {
		d := &list[i]
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("forward.to[%d]: %s", i, fmt.Sprintf(format, args...))
		}
		kind, address := d.kind()
		path := paths[kind]
		u, err := url.Parse(string(address))
		switch {
		case address == "":
			return wrong("it says not where to; write for example loki: https://host/loki/api/v1/push or remote_write: https://host/api/v1/write")
		case d.Loki != "" && d.RemoteWrite != "":
			return wrong("it says loki and remote_write; write an entry for each")
		case kind == "loki" && (len(d.Keep) > 0 || len(d.Drop) > 0 || d.Every != 0):
			return wrong("keep, drop and every are for remote_write; write only: ['{source=\"event\"}'] for what goes to Loki")
		case kind != "loki" && (len(d.Labels) > 0 || len(d.Only) > 0):
			return wrong("labels and only are for loki; write keep: [container_*] for what goes to remote_write")
		case d.Every < 0 || d.Every > Duration(time.Hour):
			return wrong("every: it is not between 0 and 1h")
		case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
			return wrong("%s: an address is needed, as https://host%s; :, @, / and %% in a password are written as %%3A, %%40, %%2F and %%25", kind, path)
		case u.Scheme == "http" && !d.Plain && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback():
			return wrong("%s: http to %s is not encrypted: whoever is on the way reads along; use https, or set plain: true", kind, u.Host)
		case strings.Trim(u.Path, "/") == "":
			return wrong("%s: the address has no path; write %s://%s%s", kind, u.Scheme, u.Host, path)
		case !nameForm.MatchString(d.ID()):
			return wrong("name: %q is not possible; write letters, digits, dots, dashes and underscores, at most 63", d.ID())
		case known[d.ID()]:
			return wrong("two destinations are called %q; give each a name of its own", d.ID())
		case d.Timeout < 0:
			return wrong("timeout: it is below zero")
		case len(d.Labels)+len(d.ExternalLabels) > 12:
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
		kind, address, _ := strings.Cut(strings.TrimSpace(one), "=")
		switch {
		case kind == "" && address == "":
		case kind == "loki":
			out = append(out, Destination{Loki: Secret(address)})
		case kind == "remote_write":
			out = append(out, Destination{RemoteWrite: Secret(address)})
		default:
			return nil, errors.New("this is no list of destinations; write for example loki=https://host/loki/api/v1/push,remote_write=https://host/api/v1/write")
		}
	}
	return out, nil
}
