// SPDX-License-Identifier: Apache-2.0

// Package config loads tallyman's settings: defaults, then the file, then the
// environment, then flags, each overriding what came before.
//
// Every setting has one key, for example retention.metrics.time. In the file
// it is nested YAML, in the environment TALLYMAN_RETENTION_METRICS_TIME (and
// TALLYMAN_RETENTION_METRICS_TIME_FILE names a file that holds the value), as a
// flag --set retention.metrics.time=7d (the common ones have flags of their
// own). Keys that are not known are errors that name
// the nearest known one; values are checked without touching the network.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"tallyman/internal/nearest"
	"tallyman/internal/secret"
)

// DefaultFile is read when no file is named and it exists.
const DefaultFile = "/etc/tallyman/tallyman.yaml"

// Config is every setting. The comment of a field is its documentation.
type Config struct {
	// Address and port of the page and the APIs. Default 127.0.0.1:8420.
	Listen string `yaml:"listen"`
	// Directory of everything that is kept. Default /var/lib/tallyman.
	Data string `yaml:"data"`
	// Time between stored samples, 1s to 5m. Default 10s.
	Interval Duration `yaml:"interval"`
	// Time between samples while somebody watches a page, at most interval. Default 1s.
	LiveInterval Duration `yaml:"live_interval"`
	// Name of this host in labels and on the page. Default the host name.
	Host string `yaml:"host"`
	// No login at all. Every page says so. Default false.
	NoAuth bool `yaml:"no_auth"`
	// Further names under which browsers may reach the page, beside IP
	// addresses, localhost and the host's name. Default none.
	AllowedHosts []string `yaml:"allowed_hosts"`
	// Log level: debug, info, warn or error. Default info.
	LogLevel string `yaml:"log_level"`
	TLS      TLS    `yaml:"tls"`

	Docker Docker `yaml:"docker"`
	// Several engines, in place of docker. Default none.
	Engines   []Engine  `yaml:"engines"`
	Retention Retention `yaml:"retention"`
	Labels    Labels    `yaml:"labels"`
	// Containers to watch, as image:nginx*, name:test-* or label:team=green*;
	// others are listed and nothing else. * stands for any text, ? for one
	// character; an image is also meant without its tag. Default all.
	Include []string `yaml:"include"`
	// Containers to list and nothing else, in the same form; it wins over
	// include. Default none.
	Exclude []string `yaml:"exclude"`
	Limits  Bounds   `yaml:"limits"`
	Keep    Keep     `yaml:"keep"`
	Logs    Logs     `yaml:"logs"`
	// Own options of sources, by the source's name, as {diskusage: {every: 6h}}.
	// Default none.
	Sources Sources `yaml:"sources"`
	Plugins Plugins `yaml:"plugins"`
	Alarms  Alarms  `yaml:"alarms"`
	Forward Forward `yaml:"forward"`
	Spool   Spool   `yaml:"spool"`
	Receive Receive `yaml:"receive"`

	foreign    []string          // variables that are no settings of ours
	dockerEnv  map[string]string // the docker command's own variables
	rootSocket string            // for tests, where a root engine listens
}

// TLS says whether the page and the APIs are served over https.
type TLS struct {
	// Serve https with a certificate of its own, which is made once and kept in the data
	// directory. Browsers ask whether to trust it; agents are given its pin. Default false.
	Auto bool `yaml:"auto"`
	// File with the certificate to serve https with, in PEM, followed by those that have
	// signed it; it is read again when it has changed. Default none: http.
	Cert string `yaml:"cert"`
	// File with its key, in PEM.
	Key string `yaml:"key"`
}

// On reports whether https is served.
func (t *TLS) On() bool { return t.Auto || t.Cert != "" }

// check finds what cannot work.
func (t *TLS) check() error {
	switch {
	case (t.Cert == "") != (t.Key == ""):
		return errors.New("tls: a certificate and its key are needed; set tls.cert and tls.key, both to the same file when it has both")
	case t.Auto && t.Cert != "":
		return errors.New("tls.auto: there is a certificate in tls.cert, too; leave one out")
	}
	return nil
}

// Receive says what others may send here.
type Receive struct {
	// Be the hub of agents on other hosts: take their metrics, logs, events, configurations
	// and inventory, each with a token of its own (tallyman token agent HOST). Default false.
	Agents bool `yaml:"agents"`
}

// Spool bounds what waits on the disk for those to whom metrics are sent on; the oldest
// goes first.
type Spool struct {
	// Size of the samples that wait for a destination of metrics, at least 1MiB. Default 512MiB.
	Size Bytes `yaml:"size"`
	// Age up to which they wait; 0 for no limit. Default 1d.
	Time Duration `yaml:"time"`
}

// Docker is how the one engine is reached when engines names none.
type Docker struct {
	// Address of the engine, unix:///path or tcp://host:port. Default as the
	// docker command finds it: $DOCKER_HOST, the context, the local socket.
	Host string `yaml:"host"`
	// Context of the docker command. Default $DOCKER_CONTEXT, else the current one.
	Context string `yaml:"context"`
	// Directory with ca.pem, cert.pem and key.pem, for tcp. Default $DOCKER_CERT_PATH.
	CertPath string `yaml:"cert_path"`
	// Take any certificate of the engine's. Default false, unless only
	// $DOCKER_TLS or $DOCKER_CERT_PATH asks for TLS.
	Insecure bool `yaml:"insecure"`
	// Allow tcp without TLS to another machine: whoever is on the way has root
	// on the engine's machine. Default false.
	Plain bool `yaml:"plain"`
	// How numbers of containers are collected: auto (the kernel's files, and
	// the engine's stats API for containers whose files cannot be reached) or
	// api. Default auto.
	Collect string `yaml:"collect"`
}

// Retention is how much is kept; the oldest goes first.
type Retention struct {
	Metrics Limits `yaml:"metrics"`
	Logs    Limits `yaml:"logs"`
	Events  Limits `yaml:"events"`
}

// Limits of one store. Whichever comes first deletes.
type Limits struct {
	// Age, for example 7d; 0 for no limit. Default 7d for metrics and logs, 90d for events.
	Time Duration `yaml:"time"`
	// Size, for example 1GiB; 0 for no limit. Default 1GiB for metrics, 768MiB for logs, 256MiB for events.
	Size Bytes `yaml:"size"`
}

// Keep says what is stored. What is not is shown while it is there, and has no
// history.
type Keep struct {
	// Store metrics; false for an agent that is scraped. Default true.
	Metrics bool `yaml:"metrics"`
	// Store the logs of containers; events are stored all the same. Default true.
	Logs bool `yaml:"logs"`
}

// Logs says how logs come in.
type Logs struct {
	// How much is read of the log of a container, or of a file, that was there
	// before tallyman. Default 64MiB.
	Backlog Bytes `yaml:"backlog"`
	// Take lines that are sent to /loki/api/v1/push. Default false.
	Push bool `yaml:"push"`
	// Plain text files of the host. Default none.
	Files []LogFile `yaml:"files"`
	// What is asked for the logs of containers and units. Default none.
	Rules   []LogRule `yaml:"rules"`
	Journal Journal   `yaml:"journal"`
}

// Bounds are how many series and streams there may be at a time. New series are
// refused and counted at the limit; those that are known stay.
type Bounds struct {
	// Series in all; 0 for no limit. Default 50000.
	Series int `yaml:"series"`
	// Series of one container, host or service; 0 for no limit. Default 10000.
	SeriesPerTarget int `yaml:"series_per_target"`

	Streams Streams `yaml:"streams"`
}

// Streams are how many streams of records there may be at a time. At the limit no
// line is lost: lines of new streams are kept together, one stream for each source
// and level, and found by the same labels.
type Streams struct {
	// Memory that all streams may take, at least 1MiB; it is divided as the
	// numbers below are. Default 64MiB, and at most a quarter of tallyman's own
	// memory limit.
	Memory Bytes `yaml:"memory"`
	// Streams of the logs of containers; 0 for as many as the memory allows. Default 20000.
	Containers int `yaml:"containers"`
	// Streams of events and configurations; 0 for as many as the memory allows. Default 10000.
	Events int `yaml:"events"`
	// Streams of files and the journal; 0 for as many as the memory allows. Default 4000.
	Files int `yaml:"files"`
	// Streams that others push; 0 for as many as the memory allows. Default 4000.
	Pushes int `yaml:"pushes"`
}

// Labels says which container labels become labels of series.
type Labels struct {
	// Keys of container labels; a trailing * stands for the rest of the key.
	// Default those of Compose and Swarm.
	Allow []string `yaml:"allow"`
}

// Default is the configuration without file, environment and flags, but for
// the host's name.
func Default() Config {
	states := States{Namespace: "dojot.docker.container", Domain: "docker container status change", Align: true, Buffer: 16 << 20, MaxAge: Duration(30 * day)}
	return Config{
		Listen:       "127.0.0.1:8420",
		Data:         "/var/lib/tallyman",
		Interval:     Duration(10 * time.Second),
		LiveInterval: Duration(time.Second),
		LogLevel:     "info",
		Docker:       Docker{Collect: "auto"},
		Engines:      []Engine{},
		Include:      []string{},
		Exclude:      []string{},
		Limits: Bounds{Series: 50_000, SeriesPerTarget: 10_000,
			Streams: Streams{Memory: 64 << 20, Containers: 20_000, Events: 10_000, Files: 4_000, Pushes: 4_000}},
		Keep: Keep{Metrics: true, Logs: true},
		Logs: Logs{Backlog: 64 << 20, Files: []LogFile{}, Rules: []LogRule{},
			Journal: Journal{Units: []string{"docker.service", "containerd.service", Kernel}}},
		Sources: Sources{},
		Plugins: Plugins{Enabled: true, Detect: true, Conventions: true, ExecFromImageLabels: true, PerContainer: 16, PerHost: 512, Series: 2000, SeriesPerText: 10_000, Rules: []PluginRule{}},
		Alarms:  Alarms{Enabled: true, Defaults: true, Notify: []string{}, RulesFiles: []string{}, LogRules: []string{}, Rules: AlarmRules{}, Exclude: []string{}, Series: 5000},
		Forward: Forward{
			To:      []Destination{},
			AMQP:    AMQP{Exchange: "alarms.exchange", RoutingKey: "alarms", States: states},
			Webhook: Webhook{States: states},
		},
		Spool: Spool{Size: 512 << 20, Time: Duration(day)},
		Retention: Retention{
			Metrics: Limits{Time: Duration(7 * day), Size: 1 << 30},
			Logs:    Limits{Time: Duration(7 * day), Size: 768 << 20},
			Events:  Limits{Time: Duration(90 * day), Size: 256 << 20},
		},
		Labels: Labels{Allow: []string{
			"com.docker.compose.project", "com.docker.compose.service", "com.docker.compose.container-number",
			"com.docker.stack.namespace", "com.docker.swarm.service.name", "com.docker.swarm.task.name", "com.docker.swarm.node.id",
		}},
	}
}

// Input is where settings come from.
type Input struct {
	// File is the path given by the user; empty means DefaultFile if it exists.
	File string
	// Environ is the environment as os.Environ gives it.
	Environ []string
	// Flags are settings by key, as text.
	Flags map[string]string
	// Hostname is the name of the host for the default of host.
	Hostname string
}

// Load puts all inputs together and checks the result. Errors say which input
// is wrong and how to mend it.
func Load(in Input) (Config, error) {
	c := Default()
	c.Host = in.Hostname
	env := map[string]string{}
	for _, kv := range in.Environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	c.dockerEnv = map[string]string{}
	for _, name := range dockerVariables {
		c.dockerEnv[name] = env[name]
	}
	file, named := in.File, true
	if file == "" {
		file = env[envPrefix+"CONFIG"]
	}
	if file == "" {
		file, named = DefaultFile, false
	}
	if err := c.readFile(file, named); err != nil {
		return c, err
	}
	if err := c.readEnv(env); err != nil {
		return c, err
	}
	for _, key := range slices.Sorted(maps.Keys(in.Flags)) {
		if err := c.Set(key, in.Flags[key]); err != nil {
			return c, fmt.Errorf("flag for %s: %w", key, err)
		}
	}
	return c, c.check()
}

func (c *Config) readFile(name string, named bool) error {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	if err := c.parse(text); err != nil {
		return fmt.Errorf("configuration %s: %w", name, err)
	}
	return nil
}

// address finds what may hold a password.
var address = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s"']+`)

// secrets finds settings whose values are secrets, wherever they stand.
var secrets = regexp.MustCompile(`\b(password|headers)["']?\s*:`)

// yamlError is what is wrong with a text of YAML and where, with what stands around it, but
// without addresses, and without anything when there may be passwords.
func yamlError(text []byte, err error) error {
	around := !secrets.Match(text)
	return errors.New(address.ReplaceAllString(strings.TrimSpace(yaml.FormatError(err, false, around)), "${1}"+secret.Hidden))
}

// parse takes settings from YAML.
func (c *Config) parse(text []byte) error {
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return yamlError(text, err)
	}
	if len(tree) == 0 {
		return nil // an empty file changes nothing; the decoder would clear the defaults
	}
	if err := checkKeys("", tree); err != nil {
		return err
	}
	if err := yaml.UnmarshalWithOptions(text, c, yaml.Strict()); err != nil {
		return yamlError(text, err)
	}
	return nil
}

// checkKeys finds keys that are not known, before the strict decoder does, to
// name the nearest known one.
func checkKeys(prefix string, tree map[string]any) error {
	for k, v := range tree {
		key := prefix + k
		if _, short := v.([]any); short && key == "forward" {
			key = "forward.to"
		}
		if sub, ok := v.(map[string]any); ok && isGroup(key) {
			if err := checkKeys(key+".", sub); err != nil {
				return err
			}
			continue
		}
		if _, ok := find(key); !ok && !isGroup(key) {
			return unknownKey(key)
		}
		if l, ok := lists[key]; ok {
			if err := l.checkKeys(key, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// check finds values that cannot work.
func (c *Config) check() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen: %q is no address and port; write for example 127.0.0.1:8420", c.Listen)
	}
	if c.Data == "" {
		return errors.New("data: a directory is needed; write for example /var/lib/tallyman")
	}
	if err := c.checkBounds(); err != nil {
		return err
	}
	if c.Host == "" {
		return errors.New("host: this machine has no host name; set one")
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("log_level: %q is not known; write debug, info, warn or error", c.LogLevel)
	}
	if err := c.TLS.check(); err != nil {
		return err
	}
	if c.Receive.Agents && (!c.Keep.Metrics || !c.Keep.Logs) {
		return errors.New("receive.agents: a hub keeps what its agents send; leave keep.metrics and keep.logs at true")
	}
	if _, err := c.Endpoints(); err != nil {
		return err
	}
	if _, err := c.Choice(); err != nil {
		return err
	}
	if err := c.checkLogs(); err != nil {
		return err
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	if err := c.Alarms.check(); err != nil {
		return err
	}
	if err := c.Plugins.check(); err != nil {
		return err
	}
	return c.Forward.check()
}

// check finds limits that cannot work.
func (b *Bounds) check() error {
	st := &b.Streams
	for key, n := range map[string]int{"limits.series": b.Series, "limits.series_per_target": b.SeriesPerTarget,
		"limits.streams.containers": st.Containers, "limits.streams.events": st.Events, "limits.streams.files": st.Files, "limits.streams.pushes": st.Pushes} {
		if n < 0 {
			return fmt.Errorf("%s: %d is not possible; write a number such as 50000, or 0 for no limit", key, n)
		}
	}
	return nil
}

const envPrefix = "TALLYMAN_"

func (c *Config) readEnv(env map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(env)) { // a whole map before its parts
		text := env[name]
		rest, ok := strings.CutPrefix(name, envPrefix)
		if _, hub := hubVariables[rest]; !ok || hub || rest == "CONFIG" {
			continue
		}
		key, known := keyOfEnv(rest)
		if base, isFile := strings.CutSuffix(rest, "_FILE"); !known && isFile {
			if key, known = keyOfEnv(base); known {
				b, err := os.ReadFile(text)
				if err != nil {
					return fmt.Errorf("environment %s: %w", name, err)
				}
				text = strings.TrimRight(string(b), "\r\n")
			}
		}
		if !known {
			if err := c.unknownEnv(name, rest); err != nil {
				return err
			}
			continue
		}
		if err := c.Set(key, text); err != nil {
			return fmt.Errorf("environment %s: %w", name, err)
		}
	}
	return c.readHub(env)
}

// orchestrated are the names of variables that orchestrators and links of the
// engine give to a container beside a service called tallyman, without the prefix.
var orchestrated = regexp.MustCompile(`(^|_)(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP)(_\w+)?|NAME|ENV_\w+)$`)

// unknownEnv decides about a variable that is no setting. One that is nearly the
// name of a setting is a mistake; another may be somebody else's, and is only told.
func (c *Config) unknownEnv(name, rest string) error {
	key := strings.ToLower(strings.ReplaceAll(rest, "_", "."))
	if !orchestrated.MatchString(rest) {
		if meant := nearest.Within(key, 1+len(key)/4, Keys()); meant != "" {
			return fmt.Errorf("environment %s: no such setting; did you mean %s?", name, EnvName(meant))
		}
	}
	c.foreign = append(c.foreign, name)
	slices.Sort(c.foreign)
	return nil
}

// Foreign are the variables of the environment that begin like ours and are no
// settings.
func (c *Config) Foreign() []string { return c.foreign }

// Set gives a setting its value from text.
func (c *Config) Set(key, text string) error {
	if rest, ok := strings.CutPrefix(key, "sources."); ok {
		return c.Sources.set(rest, text)
	}
	s, ok := find(key)
	if !ok {
		return unknownKey(key)
	}
	return s.set(reflect.ValueOf(c).Elem().FieldByIndex(s.index), text)
}
