// SPDX-License-Identifier: Apache-2.0

// Package service is the REST interface of service plugins: how each instance is, which
// plugins there are and what they can be told, and what a label would do.
//
// Times are in milliseconds since 1970 and durations in seconds, as in the other
// interfaces of tallyman.
package service

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"tallyman"
	"tallyman/api/view"
	"tallyman/internal/httpx"
)

// Options of the interface. All are needed.
type Options struct {
	// Status is what is known of every instance, Mistakes what is wrong in the labels of a
	// container.
	Status    func() []tallyman.ServiceStatus
	Mistakes  func(container string) []tallyman.ServiceMistake
	Inventory tallyman.Inventory
	Kinds     []tallyman.ServiceKind
	// Check reads a label as that of a container.
	Check func(key, value string, origin tallyman.ServiceOrigin) (wishes []tallyman.ServiceWish, none bool, mistakes []tallyman.ServiceMistake)
}

// API answers. It may be called concurrently.
type API struct{ o Options }

// New makes the interface.
func New(o Options) *API { return &API{o} }

// Service is one instance of a plugin.
type Service struct {
	Type      string  `json:"type" doc:"PluginType"`
	Instance  string  `json:"instance" doc:"The label instance of its series; the label job is the type in lower case"`
	Where     string  `json:"where" doc:"What it asks: a port, a socket, a URL, a command"`
	Origin    string  `json:"origin" doc:"Who asked for it: rule, run label, image label, convention or detection"`
	Source    string  `json:"source,omitempty" doc:"The rule's name or the label's key"`
	Container string  `json:"container"`
	Name      string  `json:"name"`
	Host      string  `json:"host"`
	Workload  string  `json:"workload"`
	State     string  `json:"state" doc:"pending, up, down, auth (the login is refused) or paused"`
	Since     int64   `json:"since"`
	Fault     string  `json:"fault,omitempty" doc:"dial, auth, timeout, parse, permission, limit or config"`
	Reason    string  `json:"reason,omitempty" doc:"Why it is not up"`
	Fix       string  `json:"fix,omitempty" doc:"What to do"`
	Note      string  `json:"note,omitempty" doc:"What to know although it is up"`
	Scraped   int64   `json:"scraped,omitempty" doc:"When it answered last"`
	Took      float64 `json:"took,omitempty" doc:"How long that took, in seconds"`
	Series    int     `json:"series"`
	Dropped   int     `json:"dropped,omitempty" doc:"Series that it has beside, over a limit"`
	Every     float64 `json:"every" doc:"Time between two scrapes, in seconds"`
}

// ServiceMistake is something wrong in a label of a container.
type ServiceMistake struct {
	Container string `json:"container,omitempty"`
	Name      string `json:"name,omitempty"`
	Host      string `json:"host,omitempty"`
	Workload  string `json:"workload,omitempty"`
	Source    string `json:"source" doc:"The label's key"`
	Entry     int    `json:"entry,omitempty" doc:"Which entry of the list, from 1"`
	Offset    int    `json:"offset" doc:"Where in bytes; -1 when that does not matter"`
	Text      string `json:"text"`
	Warning   bool   `json:"warning,omitempty" doc:"Whether the entry is followed all the same"`
}

type servicesAnswer struct {
	Services []Service        `json:"services"`
	Mistakes []ServiceMistake `json:"mistakes"`
}

// ServiceType is one plugin.
type ServiceType struct {
	Type    string         `json:"type"`
	Aliases []string       `json:"aliases"`
	Summary string         `json:"summary"`
	Found   bool           `json:"found" doc:"Whether it is found without being asked for"`
	Runs    bool           `json:"runs" doc:"Whether it runs a command in the container"`
	Every   float64        `json:"every" doc:"Time between two scrapes, in seconds"`
	Detect  string         `json:"detect" doc:"By what it is found, in Markdown"`
	Free    string         `json:"free" doc:"What works without configuration, in Markdown"`
	Account string         `json:"account,omitempty" doc:"A login with the least rights, in Markdown"`
	Example string         `json:"example" doc:"A label"`
	Keys    []ServiceKey   `json:"keys"`
	Charts  []ServiceChart `json:"charts"`
}

// ServiceKey is one key of a plugin's configuration.
type ServiceKey struct {
	Name    string `json:"name"`
	Type    string `json:"type" doc:"text, secret, number, port, bool, duration, path, url or command"`
	Help    string `json:"help"`
	Default string `json:"default,omitempty"`
	Example string `json:"example,omitempty"`
	List    bool   `json:"list,omitempty" doc:"Whether it is a list by nature"`
	Write   bool   `json:"write,omitempty" doc:"Whether labels of images may not have it"`
	Rule    bool   `json:"rule,omitempty" doc:"Whether only rules may have it"`
	Common  bool   `json:"common,omitempty" doc:"Whether every plugin has it"`
}

// ServiceChart is a chart of what matters first.
type ServiceChart struct {
	Title string        `json:"title"`
	Unit  string        `json:"unit"`
	Lines []ServiceLine `json:"lines"`
}

// ServiceLine is one line of a chart, or one for each value of a label.
type ServiceLine struct {
	Name   string            `json:"name"`
	Metric string            `json:"metric"`
	Rate   bool              `json:"rate,omitempty" doc:"Whether its rate per second is drawn"`
	Where  map[string]string `json:"where,omitempty" doc:"Labels that must have these values"`
	By     string            `json:"by,omitempty" doc:"The label of which each value is a line"`
}

type kindsAnswer struct {
	Types []ServiceType `json:"types"`
}

// ServiceQuestion is a label that is to be read.
type ServiceQuestion struct {
	Key   string `json:"key" doc:"The label's key, tallyman.plugins by default"`
	Value string `json:"value"`
	Image bool   `json:"image,omitempty" doc:"Whether it stands in an image, which is trusted less"`
}

// ServiceWish is one instance that a label asks for.
type ServiceWish struct {
	Type  string   `json:"type"`
	Where string   `json:"where"`
	Keys  []string `json:"keys"`
}

type checkAnswer struct {
	Wishes   []ServiceWish    `json:"wishes"`
	None     bool             `json:"none,omitempty" doc:"Whether it switches off"`
	Mistakes []ServiceMistake `json:"mistakes"`
}

// Routes are the routes of the interface.
func (a *API) Routes() []httpx.Route {
	which := []httpx.Param{
		{Name: "host", Text: "Of this host"}, {Name: "workload", Text: "Of this workload"}, {Name: "container", Text: "Of the container with this full id"},
		{Name: "type", Text: "Of this plugin"}, {Name: "state", Text: "In this state"},
	}
	return []httpx.Route{
		{Pattern: "GET /api/tallyman/v1/services", Handler: a.handle(a.services, which), Doc: httpx.Doc{ID: "services", Summary: "Services in containers, and how their plugins are",
			Text: "Also what is wrong in the labels of containers that name plugins.", Params: which, Answer: servicesAnswer{}, Errors: []int{http.StatusBadRequest}}},
		{Pattern: "GET /api/tallyman/v1/services/types", Handler: a.handle(a.types, nil), Doc: httpx.Doc{ID: "serviceTypes", Summary: "Plugins, their keys and their charts",
			Answer: kindsAnswer{}, Errors: []int{http.StatusBadRequest}}},
		{Pattern: "POST /api/tallyman/v1/services/check", Handler: a.handle(a.check, nil), Doc: httpx.Doc{ID: "checkService", Summary: "What a label would do",
			Text: "Nothing is started.", Body: ServiceQuestion{}, Answer: checkAnswer{}, Errors: []int{http.StatusBadRequest}}},
	}
}

func (a *API) handle(f func(r *http.Request) (any, error), params []httpx.Param) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := httpx.Known(r, params)
		var answer any
		if err == nil {
			answer, err = f(r)
		}
		if err != nil {
			httpx.WriteError(w, err)
			return
		}
		httpx.WriteJSON(w, answer)
	})
}

// services lists the instances.
func (a *API) services(r *http.Request) (any, error) {
	q := r.URL.Query()
	fits := func(key, value string) bool { return q.Get(key) == "" || q.Get(key) == value }
	out := servicesAnswer{Services: []Service{}, Mistakes: []ServiceMistake{}}
	for _, s := range a.o.Status() {
		if fits("host", s.Host) && fits("workload", s.Workload) && fits("container", s.Container) && fits("type", s.Type) && fits("state", string(s.State)) {
			out.Services = append(out.Services, Service{
				Type: s.Type, Instance: s.Instance, Where: s.Where, Origin: string(s.Origin), Source: s.Source, Container: s.Container, Name: s.Name, Host: s.Host, Workload: s.Workload,
				State: string(s.State), Since: view.Millis(s.Since), Fault: string(s.Fault), Reason: s.Reason, Fix: s.Fix, Note: s.Note,
				Scraped: view.Millis(s.Scraped), Took: s.Took.Seconds(), Series: s.Series, Dropped: s.Dropped, Every: s.Every.Seconds(),
			})
		}
	}
	if q.Get("type") != "" || q.Get("state") != "" {
		return out, nil
	}
	for _, c := range a.o.Inventory.Containers() {
		if !fits("host", c.Host) || !fits("workload", c.Workload.Key) || !fits("container", c.ID) {
			continue
		}
		for _, m := range a.o.Mistakes(c.ID) {
			one := mistake(m)
			one.Container, one.Name, one.Host, one.Workload = c.ID, c.Name, c.Host, c.Workload.Key
			out.Mistakes = append(out.Mistakes, one)
		}
	}
	return out, nil
}

func mistake(m tallyman.ServiceMistake) ServiceMistake {
	return ServiceMistake{Source: m.Source, Entry: m.Entry, Offset: m.Offset, Text: m.Text, Warning: m.Warning}
}

// types lists the plugins.
func (a *API) types(*http.Request) (any, error) {
	out := kindsAnswer{Types: []ServiceType{}}
	for _, k := range a.o.Kinds {
		one := ServiceType{Type: k.Name, Aliases: append([]string{}, k.Aliases...), Summary: k.Summary, Found: k.Find != nil, Runs: k.Runs, Every: k.Every.Seconds(),
			Detect: k.Docs.Detect, Free: k.Docs.Free, Account: k.Docs.Account, Example: k.Docs.Example, Keys: []ServiceKey{}, Charts: []ServiceChart{}}
		add := func(keys []tallyman.ServiceKey, common bool) {
			for _, key := range keys {
				one.Keys = append(one.Keys, ServiceKey{Name: key.Name, Type: string(key.Type), Help: key.Help, Default: key.Default, Example: key.Example,
					List: key.List, Write: key.Write, Rule: key.Rule, Common: common})
			}
		}
		add(k.Keys, false)
		add(tallyman.ServiceKeys(), true)
		for _, c := range k.Charts {
			chart := ServiceChart{Title: c.Title, Unit: c.Unit, Lines: []ServiceLine{}}
			for _, l := range c.Lines {
				line := ServiceLine{Name: l.Name, Metric: l.Metric.Name, Rate: l.Rate, By: l.By}
				for _, label := range l.Where {
					if line.Where == nil {
						line.Where = map[string]string{}
					}
					line.Where[label.Name] = label.Value
				}
				chart.Lines = append(chart.Lines, line)
			}
			one.Charts = append(one.Charts, chart)
		}
		out.Types = append(out.Types, one)
	}
	slices.SortFunc(out.Types, func(x, y ServiceType) int { return strings.Compare(x.Type, y.Type) })
	return out, nil
}

// maxQuestion is how long a label may be that is asked about, in bytes.
const maxQuestion = 128 << 10

// check reads a label.
func (a *API) check(r *http.Request) (any, error) {
	var q ServiceQuestion
	d := json.NewDecoder(io.LimitReader(r.Body, maxQuestion))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return nil, httpx.Bad("body", "the body cannot be read: "+err.Error(), `send JSON: {"value": "[{\"PluginType\":\"REDIS\"}]"}`)
	}
	origin := tallyman.FromRunLabel
	if q.Image {
		origin = tallyman.FromImageLabel
	}
	if q.Key == "" {
		q.Key = "tallyman.plugins"
	}
	wishes, none, mistakes := a.o.Check(q.Key, q.Value, origin)
	out := checkAnswer{Wishes: []ServiceWish{}, None: none, Mistakes: []ServiceMistake{}}
	for i := range wishes {
		out.Wishes = append(out.Wishes, ServiceWish{Type: wishes[i].Kind.Name, Where: wishes[i].Where(), Keys: append([]string{}, wishes[i].Config.Keys()...)})
	}
	for _, m := range mistakes {
		out.Mistakes = append(out.Mistakes, mistake(m))
	}
	return out, nil
}
