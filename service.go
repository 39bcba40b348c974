// SPDX-License-Identifier: Apache-2.0

package tallyman

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ServiceKind is one entry of the catalog: a plugin, which asks a service inside of a
// container for its numbers. Each folder under service/ exports one through its function
// Kind, and nothing else needs to be edited to add one.
type ServiceKind struct {
	// Name is the PluginType of labels and rules, in capitals: "REDIS". Aliases are
	// other names of it.
	Name    string
	Aliases []string
	// Summary is one sentence for people.
	Summary string
	// Keys are the keys of its configuration, without those that all have
	// ([ServiceKeys]).
	Keys []ServiceKey
	// Metrics is the table of the metrics that it has names for. Those that only the
	// service itself can name come beside them, see [ServiceSink.Desc].
	Metrics []*Desc
	// Charts are what a person looks at first, in that order.
	Charts []ServiceChart
	// Every is the time between two scrapes, when nothing else is set.
	Every time.Duration
	// Timeout is for one scrape, when nothing else is set; 0 is 10 s.
	Timeout time.Duration
	// Runs is set for a kind that runs a command of its configuration in the container.
	Runs bool
	// Find says what of it runs in a container, from what is known of that and from its
	// files; it never dials. It is nil for a kind that must be asked for.
	Find func(Inside) []ServiceConfig
	// Where names what an instance asks: "6379", "/run/x.sock", a URL without login and
	// query, the command of a script. Two instances of one container that ask the same
	// are one; the series' label instance is made of it.
	Where func(ServiceConfig) string
	// Check says what is wrong with a configuration beyond what the keys say of
	// themselves. It may be nil.
	Check func(ServiceConfig) error
	// Open makes an instance. It does not dial.
	Open func(Inside, ServiceConfig) (Service, error)
	// Docs are the parts of its page in the documents that a person has to write.
	Docs ServiceDocs
}

// ServiceDocs are parts of docs/plugins/<name>.md, in Markdown.
type ServiceDocs struct {
	// Detect says by what it is found, Free what works without configuration, Account
	// how to make a login with the least rights, Notes all else: what the exporter whose
	// names it has does differently.
	Detect, Free, Account, Notes string
	// Example is a configuration as a label has it.
	Example string
}

// ServiceKey is one key of a plugin's configuration.
type ServiceKey struct {
	// Name is in capitals, with spaces: "STATS URL".
	Name string
	Type ServiceKeyType
	// Help is one sentence without a full stop.
	Help string
	// Default stands when the key is not there.
	Default string
	// Example is for the label generator.
	Example string
	// List is set for a key that is a list by nature: its values are not several
	// instances.
	List bool
	// Write is set for a key that makes the plugin change something in the service, or run
	// what its author chose: labels of images may not have it.
	Write bool
	// Rule is set for a key that only a rule of the configuration may have.
	Rule bool
}

// ServiceKeyType is what the values of a key are.
type ServiceKeyType string

// The types of keys.
const (
	TextKey     ServiceKeyType = "text"
	SecretKey   ServiceKeyType = "secret" // never shown
	NumberKey   ServiceKeyType = "number"
	PortKey     ServiceKeyType = "port" // 1 to 65535
	BoolKey     ServiceKeyType = "bool"
	DurationKey ServiceKeyType = "duration" // 30s, or a number of seconds
	PathKey     ServiceKeyType = "path"     // absolute, in the container
	URLKey      ServiceKeyType = "url"
	CommandKey  ServiceKeyType = "command" // words as a shell splits them
)

// ServiceKeys are the keys that every plugin has.
func ServiceKeys() []ServiceKey {
	return []ServiceKey{
		{Name: "NAME", Type: TextKey, Help: "what the instance is called, in place of the name that is made for it"},
		{Name: "INTERVAL", Type: DurationKey, Help: "time between two scrapes, at least 5s"},
		{Name: "TIMEOUT", Type: DurationKey, Help: "how long one scrape may take, at most 60s", Default: "10s"},
		{Name: "ENABLED", Type: BoolKey, Help: "false switches off what weaker sources ask for of this type", Default: "true"},
	}
}

// ServiceConfig is the configuration of one instance, with its references resolved: its
// values can be secret, so it shows its keys alone.
type ServiceConfig struct{ values map[string][]string }

// NewServiceConfig makes one of values by key; keys are in capitals. It keeps the map.
func NewServiceConfig(values map[string][]string) ServiceConfig { return ServiceConfig{values} }

// Has reports whether a key is there.
func (c ServiceConfig) Has(key string) bool { return len(c.values[key]) > 0 }

// Text is the first value of a key, or otherwise the alternative.
func (c ServiceConfig) Text(key, otherwise string) string {
	if v := c.values[key]; len(v) > 0 && v[0] != "" {
		return v[0]
	}
	return otherwise
}

// List are all values of a key.
func (c ServiceConfig) List(key string) []string { return c.values[key] }

// Port is the value of a key as "6379", or otherwise the alternative.
func (c ServiceConfig) Port(key string, otherwise uint16) string {
	return c.Text(key, strconv.Itoa(int(otherwise)))
}

// Bool is the value of a key, or otherwise the alternative.
func (c ServiceConfig) Bool(key string, otherwise bool) bool {
	if b, err := strconv.ParseBool(strings.ToLower(c.Text(key, ""))); err == nil {
		return b
	}
	return otherwise
}

// Number is the value of a key, or otherwise the alternative.
func (c ServiceConfig) Number(key string, otherwise float64) float64 {
	if n, err := strconv.ParseFloat(c.Text(key, ""), 64); err == nil {
		return n
	}
	return otherwise
}

// Duration is the value of a key, or otherwise the alternative.
func (c ServiceConfig) Duration(key string, otherwise time.Duration) time.Duration {
	text := c.Text(key, "")
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(n * float64(time.Second))
	}
	return otherwise
}

// Keys are the keys that are there, sorted.
func (c ServiceConfig) Keys() (keys []string) {
	for k := range c.values {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// With is a copy with a key set to values.
func (c ServiceConfig) With(key string, values ...string) ServiceConfig {
	out := make(map[string][]string, len(c.values)+1)
	for k, v := range c.values {
		out[k] = v
	}
	out[key] = values
	return ServiceConfig{out}
}

// String names the keys and shows no value.
func (c ServiceConfig) String() string { return strings.Join(c.Keys(), ", ") }

// GoString is String, for %#v.
func (c ServiceConfig) GoString() string { return c.String() }

// MarshalText is String, for JSON and logs.
func (c ServiceConfig) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ServiceChart is a chart of a service's page.
type ServiceChart struct {
	// Title is a few words, Unit as Desc has it, or "ratio" or "per second".
	Title, Unit string
	Lines       []ServiceLine
}

// ServiceLine is a line of a chart, or one for each value of a label.
type ServiceLine struct {
	// Name is what it is called; with By the value of that label stands behind it.
	Name string
	// Metric is what it draws: its rate per second when Rate is set. Where leaves other
	// series out, and what is left is summed by the label By.
	Metric *Desc
	Rate   bool
	Where  []Label
	By     string
}

// Service is an instance of a plugin, in one container. Its calls come one after
// another.
type Service interface {
	// Scrape asks once and gives every value to s. What a failed scrape has given counts
	// for nothing. Errors say what to do where that is known, see [ServiceError]. It
	// returns when ctx ends.
	Scrape(ctx context.Context, s ServiceSink) error
	// Close ends connections that are kept open.
	Close()
}

// ServiceChecker is a Service that can also be used as its clients use it.
type ServiceChecker interface {
	// Check does the least that a client would do. An error says that it failed.
	Check(ctx context.Context) error
}

// ServiceSink takes what a scrape has found.
type ServiceSink interface {
	// Add gives a value. labels are names and values in turns. A label name that the
	// container's own labels have stands in their place; label names are made valid, and
	// values that are too long are cut. Two values for the same labels: the first stands.
	Add(d *Desc, value float64, labels ...string)
	// Desc describes a metric that only the service itself can name. The first
	// description of a name stands.
	Desc(name string, typ MetricType, help string) *Desc
	// Event tells something that the service says of itself, of the type "service", or what
	// has become of a check, of the type "check".
	Event(typ, action string, at time.Time, attributes map[string]string)
}

// ServiceFault sorts what is wrong with an instance; it is the label reason of
// plugin_scrape_errors_total.
type ServiceFault string

// The faults of an instance.
const (
	// DialFault: nothing answers there.
	DialFault ServiceFault = "dial"
	// AuthFault: the service refuses the login. It is not tried often: that can lock
	// accounts.
	AuthFault ServiceFault = "auth"
	// TimeoutFault: there was no answer in time.
	TimeoutFault ServiceFault = "timeout"
	// ParseFault: the answer is not what it should be.
	ParseFault ServiceFault = "parse"
	// PermissionFault: tallyman, or its login, lacks a right.
	PermissionFault ServiceFault = "permission"
	// LimitFault: the answer is larger than is allowed.
	LimitFault ServiceFault = "limit"
	// ConfigFault: the configuration cannot work as it is, or the service does not offer
	// what is to be asked.
	ConfigFault ServiceFault = "config"
)

// ServiceError is an error of an instance that says more.
type ServiceError struct {
	Fault ServiceFault
	// Err says what is wrong, without values of the configuration.
	Err error
	// Fix is one sentence about what to do, empty when that is plain.
	Fix string
}

// Faulty makes a ServiceError.
func Faulty(fault ServiceFault, fix, format string, args ...any) error {
	return &ServiceError{Fault: fault, Err: fmt.Errorf(format, args...), Fix: fix}
}

// Error says what is wrong.
func (e *ServiceError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *ServiceError) Unwrap() error { return e.Err }

// ErrForbidden says that an instance may not do what it was asked to, for whoever asked
// has not the trust for it.
var ErrForbidden = errors.New("not allowed for what asked for it")

// Inside is one running container as its plugins see it, and nothing else: what they open
// is the container's own.
type Inside interface {
	// Container is what the engine says of it.
	Container() *Container
	// Facts are what is known of it without asking anything in it.
	Facts() *ServiceFacts
	// DialContext connects from inside the container's network namespace: "tcp", "udp",
	// and "unix" with a path in the container. Names are those that the container
	// itself knows.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	// ReadFile reads a regular file of the container, 256 KiB at most: more is
	// ErrLimit. Links are followed inside of the container alone.
	ReadFile(name string) ([]byte, error)
	// Stat looks at a file.
	Stat(name string) (fs.FileInfo, error)
	// Glob are the files that fit a pattern as path.Match has it, sorted; a few hundred
	// at most.
	Glob(pattern string) []string
	// Getenv is a variable of the container's configuration, ok false when it is not
	// there. Of NAME that is not there, the file that NAME_FILE names is read.
	Getenv(name string) (value string, ok bool)
	// Exec runs a command in the container, as its configured user, and not as a
	// privileged one. The command and all that it started are ended when ctx ends.
	Exec(ctx context.Context, argv []string, o ExecOptions) (ExecResult, error)
	// Processes are those of the container now, its first one first; a thousand at most.
	Processes() []ServiceProcess
}

// ServiceFacts are what is known of a container without asking anything in it.
type ServiceFacts struct {
	// Image is its reference without registry and tag, "library/" left out:
	// "redis", "bitnami/redis"; Tag is "latest" when there is none.
	Image, Tag string
	// Command is the entrypoint with its arguments, as configured.
	Command []string
	// Exposed are the TCP ports that the image says it has.
	Exposed []uint16
	// Listening are the sockets that its processes listen on.
	Listening []ServiceSocket
	// Processes are those at the time of the look.
	Processes []ServiceProcess
}

// ServiceSocket is a socket that somebody listens on.
type ServiceSocket struct {
	// Network is "tcp" or "unix".
	Network string
	// IP and Port are of TCP: 0.0.0.0 and :: for all addresses.
	IP   string
	Port uint16
	// Path is of unix sockets, in the container.
	Path string
}

// ServiceProcess is a process of a container.
type ServiceProcess struct {
	// Pid is its number on the host, Inner in the container.
	Pid, Inner int
	// Name is what the kernel calls it, 15 bytes at most; Args are its arguments.
	Name string
	Args []string
	// Zombie is set for one that has ended and was not waited for.
	Zombie bool
	// Started is when it started.
	Started time.Time
}

// ListensOn reports whether something in the container listens on a TCP port. It is true
// as well when its sockets cannot be seen.
func (f *ServiceFacts) ListensOn(port uint16) bool {
	if f.Listening == nil {
		return true
	}
	return slices.ContainsFunc(f.Listening, func(s ServiceSocket) bool { return s.Network == "tcp" && s.Port == port })
}

// Runs reports whether a process of the container has one of the names.
func (f *ServiceFacts) Runs(names ...string) bool {
	return slices.ContainsFunc(f.Processes, func(p ServiceProcess) bool { return slices.Contains(names, p.Name) })
}

// Is reports whether the image is one of the names: "redis" is that of the library,
// "*/redis" that of anybody, "bitnami/redis*" with the pattern of path.Match.
func (f *ServiceFacts) Is(images ...string) bool {
	return slices.ContainsFunc(images, func(pattern string) bool { return MatchImage(pattern, f.Image) })
}

// ExecOptions bound a command in a container.
type ExecOptions struct {
	// User is who runs it; empty for the container's own.
	User string
	// Stdout and Stderr are how many bytes are kept: a command that prints more is ended
	// with ErrLimit. 0 is 256 KiB and 16 KiB.
	Stdout, Stderr int
}

// ExecResult is how a command ended.
type ExecResult struct {
	Code           int
	Stdout, Stderr []byte
}

// MatchImage reports whether an image without registry and tag fits a pattern as
// path.Match has it; a pattern that begins with */ fits any number of parts before its
// last one.
func MatchImage(pattern, image string) bool {
	if last, ok := strings.CutPrefix(pattern, "*/"); ok && !strings.Contains(last, "/") {
		at := strings.LastIndexByte(image, '/')
		pattern, image = last, image[at+1:]
		if at < 0 {
			return false
		}
	}
	ok, err := path.Match(pattern, image)
	return err == nil && ok
}

// ServiceOrigin says who asked for an instance. It decides how far that is trusted: a
// label of an image is a stranger's word.
type ServiceOrigin string

// The origins, the strongest first.
const (
	FromRule       ServiceOrigin = "rule"
	FromRunLabel   ServiceOrigin = "run label"
	FromImageLabel ServiceOrigin = "image label"
	FromConvention ServiceOrigin = "convention"
	FromDetection  ServiceOrigin = "detection"
)

// ServiceWish is one instance that is to run in a container.
type ServiceWish struct {
	Kind   *ServiceKind
	Origin ServiceOrigin
	// Source is the rule's name or the label's key; empty for what was detected.
	Source string
	// Labels are on its series beside the container's own.
	Labels []Label
	// Config may still hold references.
	Config ServiceConfig
}

// Where names what it asks, see ServiceKind.Where.
func (w *ServiceWish) Where() string { return w.Kind.Where(w.Config) }

// ServiceMistake is something wrong in a label or a rule: what it says cannot be
// followed, or not to the letter.
type ServiceMistake struct {
	// Source is the label's key or the rule's name.
	Source string `json:"source"`
	// Entry counts from 1, 0 for all of it; Offset is in bytes, -1 when it does not
	// matter.
	Entry  int `json:"entry,omitempty"`
	Offset int `json:"offset"`
	// Text is what is wrong and what to do, without values.
	Text string `json:"text"`
	// Warning is set when the entry is followed all the same.
	Warning bool `json:"warning,omitempty"`
	// Policy is set for what was understood and is not allowed.
	Policy bool `json:"policy,omitempty"`
}

// Error says it in one line.
func (m ServiceMistake) Error() string {
	text := m.Source
	if m.Entry > 0 {
		text += fmt.Sprintf(", entry %d", m.Entry)
	}
	if m.Offset >= 0 {
		text += fmt.Sprintf(", byte %d", m.Offset)
	}
	return text + ": " + m.Text
}

// ServiceState is how an instance is.
type ServiceState string

// The states of an instance.
const (
	ServicePending ServiceState = "pending" // it was not asked yet
	ServiceUp      ServiceState = "up"
	ServiceDown    ServiceState = "down"
	ServiceAuth    ServiceState = "auth"   // the login is refused
	ServicePaused  ServiceState = "paused" // with its container
)

// ServiceStatus is what is known of one instance.
type ServiceStatus struct {
	// Type is the plugin's, Instance the series' label, Where what it asks.
	Type      string        `json:"type"`
	Instance  string        `json:"instance"`
	Where     string        `json:"where"`
	Origin    ServiceOrigin `json:"origin"`
	Source    string        `json:"source,omitempty"`
	Container string        `json:"container"` // full id
	Name      string        `json:"name"`
	Host      string        `json:"host"`
	Workload  string        `json:"workload"`

	State ServiceState `json:"state"`
	Since time.Time    `json:"since,omitzero"`
	// Fault, Reason and Fix say why it is not up and what to do.
	Fault  ServiceFault `json:"fault,omitempty"`
	Reason string       `json:"reason,omitempty"`
	Fix    string       `json:"fix,omitempty"`
	// Note is what a person should know although it is up.
	Note string `json:"note,omitempty"`
	// Scraped is when it last answered, Took how long that took, Series how many it
	// gave, Dropped how many more it has than are taken.
	Scraped time.Time     `json:"scraped,omitzero"`
	Took    time.Duration `json:"took,omitempty"`
	Series  int           `json:"series"`
	Dropped int           `json:"dropped,omitempty"`
	// Every is the time between two scrapes.
	Every time.Duration `json:"every"`
}
