// SPDX-License-Identifier: Apache-2.0

package alarm

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/alert"
	"tallyman/alert/rule"
	"tallyman/api/view"
	"tallyman/internal/clip"
	"tallyman/internal/httpx"
)

// Chart is what an alarm's rule looked at.
type Chart struct {
	Language  string    `json:"language" doc:"promql or logql"`
	Expr      string    `json:"expr" doc:"The rule's expression without its comparison"`
	Op        string    `json:"op,omitempty" doc:"How it is compared: >, <, >=, <=, == or !=; left out where it is with no number"`
	Threshold float64   `json:"threshold" doc:"With what it is compared"`
	Start     int64     `json:"start" doc:"An hour before the condition began to hold"`
	End       int64     `json:"end" doc:"15 minutes after the alarm has cleared, or now; a day after it began at most"`
	Times     []int64   `json:"times"`
	Values    []float64 `json:"values" doc:"One for each of times; where nothing was there is none"`
}

type detailAnswer struct {
	Alarm   Alarm  `json:"alarm"`
	Chart   *Chart `json:"chart,omitempty" doc:"Left out for rules about problems, which look at nothing that can be drawn"`
	Lines   []Line `json:"lines" doc:"Of a rule over logs up to 50 lines that it looked at when it fired, the newest last"`
	Problem string `json:"problem,omitempty" doc:"Why there is less than there could be"`
}

// The bounds of the detail of an alarm.
const (
	before      = time.Hour
	after       = 15 * time.Minute
	mostShown   = 24 * time.Hour
	mostLines   = 50
	mostLine    = 2000 // bytes
	detailsTake = 10 * time.Second
)

// find finds an alarm by its id: one that is there, or the last that is kept of it.
func (a *API) find(ctx context.Context, id string) (*alert.Alarm, error) {
	for _, x := range a.o.Service.Active() {
		if x.ID == id {
			return &x, nil
		}
	}
	// The id ends with when it began.
	_, hex, _ := strings.Cut(id, "-")
	if began, err := strconv.ParseInt(hex, 16, 64); err == nil {
		q := tallyman.RecordQuery{Matchers: []tallyman.Matcher{{Name: "source", Value: tallyman.SourceAlarm}}, Start: time.UnixMilli(began).UnixNano(), End: 1<<63 - 1}
		all, _, err := a.transitions(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range all {
			if all[i].ID == id {
				return &all[i], nil
			}
		}
	}
	return nil, &httpx.Error{Status: http.StatusNotFound, Code: "alarm", Message: "there is no alarm of this id", Next: "see /api/tallyman/v1/alarms and /api/tallyman/v1/alarms/history"}
}

func (a *API) detail(r *http.Request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), detailsTake)
	defer cancel()
	x, err := a.find(ctx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	out := detailAnswer{Alarm: alarmOf(x), Lines: []Line{}}
	out.Alarm.Acknowledged, out.Alarm.Silenced = a.o.Router.Acknowledged(x.ID), len(a.o.Router.SilencedBy(x.Labels)) > 0
	from, to := x.ActiveAt.Add(-before), time.Now()
	if !x.ClearedAt.IsZero() && x.ClearedAt.Add(after).Before(to) {
		to = x.ClearedAt.Add(after)
	}
	if latest := x.ActiveAt.Add(mostShown); latest.Before(to) {
		to = latest
	}
	rules := a.o.Service.Rules()
	c, err := rules.Chart(ctx, x.Rule, x.Labels, from, to)
	switch {
	case errors.Is(err, rule.ErrNoChart):
	case err != nil:
		out.Problem = err.Error()
	default:
		out.Chart = &Chart{Op: c.Op, Threshold: c.Threshold, Start: view.Millis(from), End: view.Millis(to), Times: []int64{}, Values: []float64{}}
		out.Chart.Language, out.Chart.Expr = c.Language, c.Expr
		for _, p := range c.Points {
			out.Chart.Times, out.Chart.Values = append(out.Chart.Times, p.T), append(out.Chart.Values, p.F)
		}
	}
	fired := x.FiredAt
	if fired.IsZero() {
		fired = time.Now()
	}
	lines, err := rules.Lines(ctx, x.Rule, x.Labels, x.ActiveAt, fired, mostLines)
	if err != nil {
		out.Problem = err.Error()
	}
	for _, l := range lines {
		out.Lines = append(out.Lines, Line{Time: view.Millis(l.Time), Text: clip.Text(strings.ToValidUTF8(l.Text, "\uFFFD"), mostLine)})
	}
	return out, nil
}
