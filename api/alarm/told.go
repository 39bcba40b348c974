// SPDX-License-Identifier: Apache-2.0

package alarm

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/alert/route"
	"tallyman/api/view"
	"tallyman/internal/httpx"
)

// Receiver is one that is told of alarms.
type Receiver struct {
	Number       int    `json:"number" doc:"From 1, in the order of the setting alarms.notify"`
	Kind         string `json:"kind" doc:"What it is: https, smtp, slack, ntfy …"`
	Host         string `json:"host,omitempty" doc:"Where it is reached; the rest of its line is secret"`
	LastSuccess  int64  `json:"lastSuccess,omitempty"`
	FailingSince int64  `json:"failingSince,omitempty"`
	LastError    string `json:"lastError,omitempty"`
	Sent         uint64 `json:"sent"`
	Failed       uint64 `json:"failed"`
	Waiting      int    `json:"waiting" doc:"Alarms that wait for one message, since there were too many"`
	Missed       int    `json:"missed" doc:"Alarms that came and went while it was away, for one message when it is back"`
}

// Silence is a time in which nobody is told of some alarms.
type Silence struct {
	ID       string   `json:"id"`
	Matchers []string `json:"matchers" doc:"As host=\"a\" or workload=~\"ci/.*\", all of which must fit"`
	Starts   int64    `json:"starts"`
	Ends     int64    `json:"ends"`
	Author   string   `json:"author"`
	Comment  string   `json:"comment"`
	State    string   `json:"state" doc:"active, pending or expired"`
}

// NewSilence asks for one.
type NewSilence struct {
	Matchers []string `json:"matchers" doc:"As host=\"a\" or workload=~\"ci/.*\", all of which must fit"`
	Until    int64    `json:"until" doc:"Its end, in milliseconds since 1970"`
	Comment  string   `json:"comment,omitempty"`
}

type receiversAnswer struct {
	Receivers []Receiver `json:"receivers"`
}

type silencesAnswer struct {
	Silences []Silence `json:"silences"`
}

type silenceMade struct {
	ID string `json:"id"`
}

type testAnswer struct {
	Answer string `json:"answer" doc:"What the receiver said"`
}

// toldRoutes are those of who is told, and who is not.
func (a *API) toldRoutes() []httpx.Route {
	do := func(method, path string, d httpx.Doc, f func(r *http.Request) (any, error)) httpx.Route {
		r := get(path, d, f)
		r.Pattern = method + r.Pattern[len("GET"):]
		return r
	}
	const bad = http.StatusBadRequest
	out := []httpx.Route{
		get("alarms/receivers", httpx.Doc{Summary: "Who is told", Text: "The lines of alarms.notify, without their secrets, and how the last messages went.", Answer: receiversAnswer{}}, a.receivers),
		do("POST", "alarms/receivers/{number}/test", httpx.Doc{Summary: "Send a test message to a receiver", Text: "It goes the same way as an alarm. The answer is the receiver's.", Answer: testAnswer{},
			Errors: []int{bad, http.StatusBadGateway}}, a.test),
		get("alarms/silences", httpx.Doc{Summary: "The silences", Text: "Those in force, and those that have ended in the last days.", Answer: silencesAnswer{}}, a.silences),
		do("POST", "alarms/silences", httpx.Doc{Summary: "Make a silence", Text: "Until its end nobody is told of what its matchers fit.", Body: NewSilence{}, Answer: silenceMade{}}, a.silence),
		do("DELETE", "alarms/silences/{id}", httpx.Doc{Summary: "End a silence", Answer: silenceMade{}}, a.expire),
		do("POST", "alarms/acknowledged/{id}", httpx.Doc{Summary: "Say that somebody knows of an alarm", Text: "Until it clears it is not repeated. That it has cleared is told.", Answer: silenceMade{}}, a.acknowledge(true)),
		do("DELETE", "alarms/acknowledged/{id}", httpx.Doc{Summary: "Take that back", Answer: silenceMade{}}, a.acknowledge(false)),
	}
	// Alertmanager's own API, for amtool and others.
	v2 := a.o.Router.APIv2()
	for _, one := range [][2]string{
		{"GET /api/v2/status", "The state of what tells people, as Alertmanager has it"}, {"GET /api/v2/receivers", "The names of receivers"},
		{"GET /api/v2/alerts", "The alarms that fire, as Alertmanager has them"}, {"POST /api/v2/alerts", "Raise alarms from elsewhere"}, {"GET /api/v2/alerts/groups", "The alarms that fire, in groups"},
		{"GET /api/v2/silences", "The silences, as Alertmanager has them"}, {"POST /api/v2/silences", "Make or change a silence"},
		{"GET /api/v2/silence/{silenceID}", "One silence"}, {"DELETE /api/v2/silence/{silenceID}", "End a silence"},
	} {
		out = append(out, httpx.Route{Pattern: one[0], Handler: v2, Doc: httpx.Doc{Summary: one[1], See: "https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml", Type: "application/json"}})
	}
	return out
}

func (a *API) receivers(*http.Request) (any, error) {
	out := receiversAnswer{Receivers: []Receiver{}}
	for _, x := range a.o.Router.Receivers() {
		out.Receivers = append(out.Receivers, Receiver{Number: x.Number, Kind: x.Kind, Host: x.Host, LastSuccess: view.Millis(x.LastSuccess), FailingSince: view.Millis(x.FailingSince),
			LastError: x.LastError, Sent: x.Sent, Failed: x.Failed, Waiting: x.Waiting, Missed: x.Missed})
	}
	return out, nil
}

func (a *API) test(r *http.Request) (any, error) {
	n, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || n < 1 || n > len(a.o.Router.Receivers()) {
		return nil, httpx.Bad("receiver", "there is no such receiver", "see /api/tallyman/v1/alarms/receivers")
	}
	answer, err := a.o.Router.Test(r.Context(), n)
	if err != nil {
		return nil, &httpx.Error{Status: http.StatusBadGateway, Code: "receiver", Message: err.Error(), Next: "mend its line in alarms.notify, or ask who runs it"}
	}
	return testAnswer{answer}, nil
}

func (a *API) silences(r *http.Request) (any, error) {
	all, err := a.o.Router.Silences(r.Context())
	if err != nil {
		return nil, err
	}
	out := silencesAnswer{Silences: []Silence{}}
	for _, s := range all {
		out.Silences = append(out.Silences, silenceOf(s))
	}
	slices.SortFunc(out.Silences, func(a, b Silence) int { return int(b.Starts - a.Starts) })
	return out, nil
}

func silenceOf(s route.Silence) Silence {
	return Silence{ID: s.ID, Matchers: append([]string{}, s.Matchers...), Starts: view.Millis(s.Starts), Ends: view.Millis(s.Ends), Author: s.Author, Comment: s.Comment, State: s.State}
}

func (a *API) silence(r *http.Request) (any, error) {
	var n NewSilence
	if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&n); err != nil {
		return nil, httpx.Bad("body", "the silence cannot be read: "+err.Error(), `write {"matchers": ["workload=\"shop/api/1\""], "until": 1795900000000}`)
	}
	id, err := a.o.Router.Silence(r.Context(), n.Matchers, time.UnixMilli(n.Until), "tallyman", n.Comment)
	if err != nil {
		return nil, httpx.Bad("silence", err.Error(), "")
	}
	return silenceMade{id}, nil
}

func (a *API) expire(r *http.Request) (any, error) {
	id := r.PathValue("id")
	if err := a.o.Router.Expire(r.Context(), id); err != nil {
		return nil, httpx.Bad("silence", err.Error(), "see /api/tallyman/v1/alarms/silences")
	}
	return silenceMade{id}, nil
}

func (a *API) acknowledge(on bool) func(r *http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		id := strings.TrimSpace(r.PathValue("id"))
		if err := a.o.Router.Acknowledge(id, on); err != nil {
			return nil, httpx.Bad("alarm", err.Error(), "see /api/tallyman/v1/alarms")
		}
		return silenceMade{id}, nil
	}
}
