// SPDX-License-Identifier: Apache-2.0

// Package alarm is the REST interface of alarms: what is pending and firing, how it
// went, the rules behind it, and the open problems.
//
// Times are in milliseconds since 1970, as in the other interfaces of tallyman.
package alarm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/alert"
	"tallyman/alert/route"
	"tallyman/alert/rule"
	"tallyman/api/view"
	"tallyman/internal/httpx"
	"tallyman/internal/recordwalk"
)

// Options of the interface. All are needed, but of Why the Witness only.
type Options struct {
	Service *alert.Service
	Records tallyman.RecordReader
	Witness *alert.Witness
	Router  *route.Router
}

// API answers. It may be called concurrently.
type API struct{ o Options }

// New makes the interface.
func New(o Options) *API { return &API{o} }

// Alarm is one alarm for the page.
type Alarm struct {
	ID           string            `json:"id"`
	Rule         string            `json:"rule"`
	State        string            `json:"state" doc:"pending, firing or cleared"`
	Severity     string            `json:"severity" doc:"critical, warning or info; of the last nobody is told"`
	Host         string            `json:"host,omitempty"`
	Workload     string            `json:"workload,omitempty"`
	Name         string            `json:"name,omitempty"`
	Image        string            `json:"image,omitempty"`
	Summary      string            `json:"summary" doc:"One sentence: what is wrong"`
	Advice       string            `json:"advice,omitempty" doc:"What to do"`
	Value        float64           `json:"value"`
	Labels       map[string]string `json:"labels"`
	Since        int64             `json:"since" doc:"When the condition began to hold"`
	Fired        int64             `json:"fired,omitempty"`
	Cleared      int64             `json:"cleared,omitempty"`
	Reason       string            `json:"reason,omitempty" doc:"Why it has cleared"`
	Acknowledged bool              `json:"acknowledged,omitempty" doc:"Whether somebody said that they know: it is not repeated"`
	Silenced     bool              `json:"silenced,omitempty" doc:"Whether a silence keeps it from being told"`
	Why          *Why              `json:"why,omitempty" doc:"What is known of the death that it is about"`
}

// Rule is one rule for the page.
type Rule struct {
	Name     string `json:"name"`
	Group    string `json:"group"`
	Language string `json:"language" doc:"promql or logql"`
	Expr     string `json:"expr"`
	Severity string `json:"severity"`
	For      int64  `json:"for" doc:"How long the condition must hold, in milliseconds"`
	State    string `json:"state" doc:"inactive, pending or firing"`
	Active   int    `json:"active" doc:"For how many sets of labels it is pending or fires"`
	// Evaluated is when it was evaluated last, Error what went wrong then.
	Evaluated int64   `json:"evaluated,omitempty" doc:"When it was evaluated last"`
	Took      float64 `json:"took" doc:"How long that took, in seconds"`
	Error     string  `json:"error,omitempty" doc:"What went wrong then"`
	Builtin   bool    `json:"builtin" doc:"Whether it comes with tallyman"`
}

// Problem is one open problem for the page.
type Problem struct {
	Kind     string `json:"kind"`
	Host     string `json:"host"`
	Workload string `json:"workload,omitempty"`
	Engine   string `json:"engine,omitempty"`
	Since    int64  `json:"since"`
	Deaths   int    `json:"deaths,omitempty"`
	ExitCode string `json:"exitCode,omitempty"`
	OOM      bool   `json:"oom,omitempty"`
	Text     string `json:"text,omitempty"`
}

type alarmsAnswer struct {
	Alarms []Alarm `json:"alarms"`
}

type alarmHistoryAnswer struct {
	Alarms []Alarm `json:"alarms"`
	More   bool    `json:"more" doc:"Whether there are older ones than the limit allows"`
}

// Trial is what a rule would have done over a time.
type Trial struct {
	Group    string    `json:"group"`
	Language string    `json:"language" doc:"promql or logql"`
	Expr     string    `json:"expr"`
	Severity string    `json:"severity"`
	Interval int64     `json:"interval" doc:"Between evaluations, in milliseconds"`
	For      int64     `json:"for" doc:"How long the condition must hold, in milliseconds"`
	Keep     int64     `json:"keep" doc:"How long it goes on after that, in milliseconds"`
	Start    int64     `json:"start" doc:"What was looked at"`
	End      int64     `json:"end"`
	Cut      bool      `json:"cut" doc:"Whether there was no time for more"`
	Fired    int       `json:"fired" doc:"How often it would have fired"`
	Waited   int       `json:"waited" doc:"How often it would have been pending, and no more"`
	Lasted   int64     `json:"lasted" doc:"For how long it would have fired in all, in milliseconds"`
	Episodes []Episode `json:"episodes" doc:"The newest 100, the newest last"`
}

// Episode is one time that a rule would have fired.
type Episode struct {
	Labels  map[string]string `json:"labels"`
	Since   int64             `json:"since" doc:"When the condition began to hold"`
	Fired   int64             `json:"fired"`
	Cleared int64             `json:"cleared,omitempty" doc:"Left out for one that fires at the end"`
}

type trialAnswer struct {
	Trials []Trial `json:"trials" doc:"One for each rule of that name"`
}

type rulesAnswer struct {
	Rules []Rule `json:"rules"`
}

type whyAnswer struct {
	Why *Why `json:"why,omitempty" doc:"Left out where no death is known"`
}

// Choice is what a workload's labels or the settings ask of its alarms.
type Choice struct {
	Host      string   `json:"host"`
	Workload  string   `json:"workload"`
	Container string   `json:"container"`
	Name      string   `json:"name"`
	Asked     []string `json:"asked" doc:"What is followed, in words"`
	Faults    []string `json:"faults" doc:"What is not, and why"`
}

type choicesAnswer struct {
	Choices []Choice `json:"choices"`
}

type problemsAnswer struct {
	Problems []Problem `json:"problems"`
}

// get is a route that answers with a value.
func get(path string, d httpx.Doc, f func(r *http.Request) (any, error)) httpx.Route {
	if !slices.Contains(d.Errors, http.StatusBadRequest) {
		d.Errors = append(d.Errors, http.StatusBadRequest)
	}
	return httpx.Route{Pattern: "GET /api/tallyman/v1/" + path, Doc: d, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := httpx.Known(r, d.Params)
		var v any
		if err == nil {
			v, err = f(r)
		}
		if err != nil {
			httpx.WriteError(w, err)
			return
		}
		httpx.WriteJSON(w, v)
	})}
}

func moment(name, text string) httpx.Param {
	return httpx.Param{Name: name, Type: "integer", Text: text + ", in milliseconds since 1970"}
}

// Why is the route that tells why a container died. It needs no more than the Witness, so it
// is there without alarms, too.
func (a *API) Why() httpx.Route {
	return get("why", httpx.Doc{Summary: "Why a container died", Text: "What is known of its last death at or before a time: the exit code in words, the steps that led to it, the last lines, figures of the five minutes before, what was changed, " +
		"what else happened on that host, and one sentence that puts it together.",
		Params: []httpx.Param{{Name: "container", Text: "Its full id, or its name", Needed: true}, moment("at", "The death at or before this time; without it the last one")}, Answer: whyAnswer{}}, a.why)
}

// maxHistory is how many transitions are looked at for one answer.
const maxHistory = 20_000

// Routes are those of the interface.
func (a *API) Routes() []httpx.Route {
	word := func(name, text string) httpx.Param { return httpx.Param{Name: name, Text: text} }
	host, workload := word("host", "Only of this host"), word("workload", "Only of this workload")
	return append(a.toldRoutes(), []httpx.Route{
		get("alarms", httpx.Doc{Summary: "The alarms that are pending or fire", Text: "The gravest and newest first.",
			Params: []httpx.Param{host, workload, {Name: "state", Text: "Only these", Values: []string{alert.Pending, alert.Firing}}}, Answer: alarmsAnswer{}}, a.active),
		get("alarms/history", httpx.Doc{Summary: "The alarms that have fired", Text: "The newest first, each as it stood last: firing, or cleared with the reason.",
			Params: []httpx.Param{host, workload, moment("start", "Alarms that changed from this time on"), moment("end", "Alarms that changed before this time"),
				{Name: "limit", Type: "integer", Text: "How many at most, 1 to 1000", Default: 200}}, Answer: alarmHistoryAnswer{}}, a.history),
		get("alarms/{id}", httpx.Doc{Summary: "One alarm, and what its rule looked at", Text: "The values of its expression from an hour before until 15 minutes after it, and of a rule over logs the lines that it counted.",
			Answer: detailAnswer{}, Errors: []int{http.StatusNotFound}}, a.detail),
		get("alarms/rules", httpx.Doc{Summary: "The rules with their state", Text: "Those that come with tallyman and those of files.", Answer: rulesAnswer{}}, a.rules),
		get("alarms/rules/{name}/test", httpx.Doc{Summary: "How often a rule would have fired", Text: "Its expression is evaluated at each interval over the samples, logs and problems that are kept, with the time that it " +
			"waits and that it goes on, and with what containers ask now. It takes up to half a minute; what there was no time for is left out.",
			Params: []httpx.Param{moment("start", "From this time on, at most 31 days before the end; without it 7 days before the end"), moment("end", "Until this time; without it now")},
			Answer: trialAnswer{}, Errors: []int{http.StatusBadRequest, http.StatusNotFound}}, a.try),
		get("alarms/choices", httpx.Doc{Summary: "What containers ask of alarms", Text: "By their labels tallyman.alarms…, or by the setting alarms.exclude: of which nothing is alarmed, which rules are off or have another " +
			"severity or threshold, and which labels cannot be followed.", Params: []httpx.Param{host, workload}, Answer: choicesAnswer{}}, a.choices),
		a.Why(),
		get("problems", httpx.Doc{Summary: "The open problems", Text: "What is wrong with workloads and engines now, as the series container_problem and engine_problem have it.",
			Params: []httpx.Param{host, workload}, Answer: problemsAnswer{}}, a.problems),
	}...)
}

func alarmOf(x *alert.Alarm) Alarm {
	return Alarm{ID: x.ID, Rule: x.Rule, State: x.State, Severity: x.Severity, Host: x.Host, Workload: x.Workload, Name: x.Name, Image: x.Image, Summary: x.Summary, Advice: x.Advice,
		Value: x.Value, Labels: x.Labels, Since: view.Millis(x.ActiveAt), Fired: view.Millis(x.FiredAt), Cleared: view.Millis(x.ClearedAt), Reason: x.Reason, Why: whyOf(x.Why)}
}

// wanted reports whether something of a host and a workload is asked for.
func wanted(r *http.Request, host, workload string) bool {
	h, w := r.FormValue("host"), r.FormValue("workload")
	return (h == "" || h == host) && (w == "" || w == workload)
}

func (a *API) active(r *http.Request) (any, error) {
	state := r.FormValue("state")
	switch state {
	case "", alert.Pending, alert.Firing:
	default:
		return nil, httpx.Bad("state", "the state is not known", "write pending or firing")
	}
	out := alarmsAnswer{Alarms: []Alarm{}}
	for _, x := range a.o.Service.Active() {
		if wanted(r, x.Host, x.Workload) && (state == "" || state == x.State) {
			v := alarmOf(&x)
			v.Acknowledged, v.Silenced = a.o.Router.Acknowledged(x.ID), len(a.o.Router.SilencedBy(x.Labels)) > 0
			out.Alarms = append(out.Alarms, v)
		}
	}
	return out, nil
}

func (a *API) history(r *http.Request) (any, error) {
	start, err := httpx.Millis(r, "start")
	if err != nil {
		return nil, err
	}
	end, err := httpx.Millis(r, "end")
	if err != nil {
		return nil, err
	}
	limit, err := httpx.Int(r, "limit", 200, 1, 1000)
	if err != nil {
		return nil, err
	}
	q := tallyman.RecordQuery{Matchers: []tallyman.Matcher{{Name: "source", Value: tallyman.SourceAlarm}}, Start: 0, End: 1<<63 - 1}
	if !start.IsZero() {
		q.Start = start.UnixNano()
	}
	if !end.IsZero() {
		q.End = end.UnixNano()
	}
	for _, name := range []string{"host", "workload"} {
		if v := r.FormValue(name); v != "" {
			q.Matchers = append(q.Matchers, tallyman.Matcher{Name: name, Value: v})
		}
	}
	all, more, err := a.transitions(r.Context(), q)
	if err != nil {
		return nil, err
	}
	out := alarmHistoryAnswer{Alarms: []Alarm{}, More: more}
	seen := map[string]bool{}
	for i := range all {
		if seen[all[i].ID] {
			continue // it stands there as it was last
		}
		if len(out.Alarms) == limit {
			out.More = true
			break
		}
		seen[all[i].ID] = true
		out.Alarms = append(out.Alarms, alarmOf(&all[i]))
	}
	return out, nil
}

// transitions are the records of alarms that q selects, the newest first.
func (a *API) transitions(ctx context.Context, q tallyman.RecordQuery) (out []alert.Alarm, more bool, err error) {
	q.Backward = true
	for f, err := range recordwalk.ByTime(ctx, a.o.Records, q) {
		if err != nil {
			return nil, false, err
		}
		var x alert.Alarm
		if json.NewDecoder(bytes.NewReader(f.Record.Line)).Decode(&x) == nil && x.ID != "" {
			out = append(out, x)
		}
		if len(out) > maxHistory {
			return out, true, nil
		}
	}
	return out, false, nil
}

func (a *API) rules(*http.Request) (any, error) {
	out := rulesAnswer{Rules: []Rule{}}
	builtin := rule.Names()
	for _, g := range a.o.Service.Rules().RuleGroups() {
		for _, x := range g.AlertingRules() {
			language, expr := languageOf(x.Query().String())
			v := Rule{Name: x.Name(), Group: g.Name(), Language: language, Expr: expr, Severity: x.Labels().Get("severity"), For: x.HoldDuration().Milliseconds(), State: x.State().String(),
				Active: len(x.ActiveAlerts()), Evaluated: view.Millis(x.GetEvaluationTimestamp()), Took: x.GetEvaluationDuration().Seconds(),
				Builtin: slices.Contains(builtin, x.Name()) && strings.HasPrefix(g.File(), "tallyman")}
			if v.State == "unknown" {
				v.State = "inactive" // it was not evaluated yet
			}
			if err := x.LastError(); err != nil {
				v.Error = err.Error()
			}
			out.Rules = append(out.Rules, v)
		}
	}
	return out, nil
}

func (a *API) try(r *http.Request) (any, error) {
	start, err := httpx.Millis(r, "start")
	if err != nil {
		return nil, err
	}
	end, err := httpx.Millis(r, "end")
	if err != nil {
		return nil, err
	}
	if end.IsZero() {
		end = time.Now()
	}
	if start.IsZero() {
		start = end.Add(-7 * 24 * time.Hour)
	}
	if !start.Before(end) || end.Sub(start) > rule.MaxTrial {
		return nil, httpx.Bad("start", "the start is not within the 31 days before the end", "write milliseconds since 1970")
	}
	trials, err := a.o.Service.Rules().Try(r.Context(), r.PathValue("name"), start, end)
	if errors.Is(err, rule.ErrNoRule) {
		return nil, &httpx.Error{Status: http.StatusNotFound, Code: "rule", Message: "there is no rule of this name", Next: "see /api/tallyman/v1/alarms/rules"}
	}
	if err != nil {
		return nil, err
	}
	out := trialAnswer{}
	for _, t := range trials {
		v := Trial{Group: t.Group, Severity: t.Rule.Labels().Get("severity"), Interval: t.Interval.Milliseconds(), For: t.Rule.HoldDuration().Milliseconds(),
			Keep: t.Rule.KeepFiringFor().Milliseconds(), Start: view.Millis(t.Start), End: view.Millis(t.End), Cut: t.Cut, Fired: t.Fired, Waited: t.Waited,
			Lasted: t.Lasted.Milliseconds(), Episodes: []Episode{}}
		v.Language, v.Expr = languageOf(t.Rule.Query().String())
		for _, x := range t.Episodes {
			v.Episodes = append(v.Episodes, Episode{x.Labels, view.Millis(x.Active), view.Millis(x.Fired), view.Millis(x.Ended)})
		}
		out.Trials = append(out.Trials, v)
	}
	return out, nil
}

// languageOf takes the mark off an expression in LogQL.
func languageOf(text string) (language, expr string) {
	if expr, logs := strings.CutPrefix(text, "# LogQL\n"); logs {
		return "logql", expr
	}
	return "promql", text
}

func (a *API) choices(r *http.Request) (any, error) {
	out := choicesAnswer{Choices: []Choice{}}
	for _, c := range a.o.Service.Choices() {
		if wanted(r, c.Host, c.Workload) {
			out.Choices = append(out.Choices, Choice{Host: c.Host, Workload: c.Workload, Container: c.Container, Name: c.Name,
				Asked: append([]string{}, c.Asked...), Faults: append([]string{}, c.Faults...)})
		}
	}
	return out, nil
}

func (a *API) problems(r *http.Request) (any, error) {
	out := problemsAnswer{Problems: []Problem{}}
	for _, p := range a.o.Service.Problems() {
		if wanted(r, p.Host, p.Workload) {
			out.Problems = append(out.Problems, Problem{Kind: string(p.Kind), Host: p.Host, Workload: p.Workload, Engine: p.Engine, Since: view.Millis(p.Since), Deaths: p.Deaths,
				ExitCode: p.ExitCode, OOM: p.OOM, Text: p.Text})
		}
	}
	return out, nil
}

func (a *API) why(r *http.Request) (any, error) {
	ref := r.FormValue("container")
	if ref == "" {
		return nil, httpx.Bad("container", "the container is missing", "write container=<id or name>")
	}
	at, err := httpx.Millis(r, "at")
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		at = time.Now()
	}
	y, err := a.o.Witness.Why(r.Context(), ref, at)
	if errors.Is(err, alert.ErrNoDeath) {
		err = nil
	}
	return whyAnswer{whyOf(y)}, err
}
