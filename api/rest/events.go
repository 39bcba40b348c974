// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/api/view"
	"tallyman/internal/describe"
	"tallyman/internal/httpx"
)

// eventsAnswer is the answer of /events.
type eventsAnswer struct {
	Events []view.Event `json:"events"`
	More   bool         `json:"more" doc:"There may be older ones"`
	Next   string       `json:"next,omitempty" doc:"What before takes to go on"`
}

// eventsSummary is the answer of /events/summary.
type eventsSummary struct {
	Start      int64           `json:"start"`
	Step       int64           `json:"step"`
	Counts     map[grade][]int `json:"counts" doc:"Column i counts the events from start + i * step on"`
	Total      int             `json:"total"`
	Severities map[grade]int   `json:"severities" doc:"What the other filters leave in the range"`
	Types      map[string]int  `json:"types" doc:"What the other filters leave in the range"`
	Actions    map[string]int  `json:"actions" doc:"What the other filters leave in the range"`
	Hosts      map[string]int  `json:"hosts" doc:"What the other filters leave in the range"`
	Workloads  []workloadCount `json:"workloads" doc:"What the other filters leave in the range"`
	Since      int64           `json:"since,omitempty" doc:"From when on events are counted, where there are too many to count all"`
}

// workloadCount is how many events a workload has.
type workloadCount struct {
	Host     string `json:"host"`
	Workload string `json:"workload"`
	Name     string `json:"name" doc:"Of the newest container"`
	Count    int    `json:"count"`
}

const (
	// maxWalked is how many stored events one question looks at.
	maxWalked = 50_000
	// walkPage is how many are asked of the store at once.
	walkPage = 2000
	// maxCounted is how many workloads are named with their numbers.
	maxCounted = 500
	// maxColumns bounds the columns of a summary.
	maxColumns = 1000
)

// eventFilter is what of the events is wanted. The store answers q; what it
// cannot, or not in the page's words, is looked at here.
type eventFilter struct {
	q                                     tallyman.EventQuery
	hosts, workloads, severities, without []string
	text                                  string // in lower case
}

// grade is a severity as a question and a summary have it: plain is that of
// events without one.
type grade string

// plain is the grade of events without a severity.
const plain grade = "plain"

// Values are all grades, the gravest first.
func (grade) Values() []string { return []string{"critical", "warning", "info", "good", string(plain)} }

func readEventFilter(r *http.Request) (f eventFilter, err error) {
	_ = r.ParseForm() // a form that cannot be read has no values
	values := func(name string) []string {
		return slices.DeleteFunc(slices.Clone(r.Form[name]), func(v string) bool { return v == "" })
	}
	f.q = tallyman.EventQuery{
		Container: r.FormValue("container"), Image: r.FormValue("image"), Before: r.FormValue("before"),
		Types: values("type"), Actions: values("action"),
	}
	f.hosts, f.workloads, f.severities, f.without, f.text = values("host"), values("workload"), values("severity"), values("without"), strings.ToLower(r.FormValue("q"))
	for _, v := range f.severities {
		if !slices.Contains(plain.Values(), v) {
			return f, httpx.Bad("severity", "there is no severity "+strconv.Quote(v), "give critical, warning, info, good or plain")
		}
	}
	if len(f.hosts) == 1 {
		f.q.Host, f.hosts = f.hosts[0], nil
	}
	if len(f.workloads) == 1 {
		f.q.Workload, f.workloads = f.workloads[0], nil
	}
	if f.q.Start, err = httpx.Millis(r, "start"); err != nil {
		return f, err
	}
	f.q.End, err = httpx.Millis(r, "end")
	return f, err
}

// rest reports whether the store does not answer all of the filter.
func (f *eventFilter) rest() bool {
	return len(f.hosts)+len(f.workloads)+len(f.severities)+len(f.without)+len(f.text) > 0
}

// any reports whether the filter narrows at all, but in time.
func (f *eventFilter) any() bool {
	q := &f.q
	return f.rest() || q.Host != "" || q.Workload != "" || q.Container != "" || q.Image != "" || len(q.Types)+len(q.Actions) > 0
}

// fits is the part of the filter that the store does not answer.
func (f *eventFilter) fits(e *tallyman.Event, words describe.Words) bool {
	return among(f.hosts, e.Host) && among(f.workloads, e.Workload) && among(f.severities, string(gradeOf(words))) &&
		!slices.Contains(f.without, e.Action) && f.holds(e, words)
}

// among reports whether a value is one of those that are wanted; without any, all are.
func among(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }

// facet is one kind of thing to choose from.
type facet int

const (
	bySeverity facet = iota
	byType
	byAction
	byHost
	byWorkload
	allFacets
)

// leaves reports for each facet whether the choices of all others leave an event:
// what is chosen in a facet must not hide what else it has.
func (f *eventFilter) leaves(e *tallyman.Event, words describe.Words) (out [allFacets]bool) {
	q := &f.q
	if q.Container != "" && q.Container != e.Actor || q.Image != "" && q.Image != e.Image || !f.holds(e, words) {
		return out
	}
	is := [allFacets]bool{
		bySeverity: among(f.severities, string(gradeOf(words))),
		byType:     among(q.Types, e.Type),
		byAction:   among(q.Actions, e.Action) && !slices.Contains(f.without, e.Action),
		byHost:     among(f.hosts, e.Host) && (q.Host == "" || q.Host == e.Host),
		byWorkload: among(f.workloads, e.Workload) && (q.Workload == "" || q.Workload == e.Workload),
	}
	for i := range out {
		out[i] = true
		for k := range is {
			out[i] = out[i] && (k == i || is[k])
		}
	}
	return out
}

// holds reports whether the text stands in what people see of an event.
func (f *eventFilter) holds(e *tallyman.Event, words describe.Words) bool {
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), f.text) }
	if f.text == "" || has(words.Text) || has(e.Name) || has(e.Image) || has(e.Type) || has(e.Action) || has(e.Workload) {
		return true
	}
	for k, v := range e.Attributes {
		if has(k) || has(v) {
			return true
		}
	}
	return false
}

func gradeOf(words describe.Words) grade { return cmp.Or(grade(words.Severity), plain) }

// walkEvents goes over the events of q, the newest first, until yield has enough
// or too many were looked at. The last one tells where to go on; it is empty at
// the end.
func (s *Service) walkEvents(ctx context.Context, q tallyman.EventQuery, yield func(*tallyman.Event) bool) (last string, err error) {
	for walked := 0; walked < maxWalked; {
		events, more, err := s.o.Events.Events(ctx, q)
		if err != nil {
			return "", err
		}
		for i := range events {
			last = events[i].ID
			if !yield(&events[i]) {
				if i == len(events)-1 && !more {
					return "", nil
				}
				return last, nil
			}
		}
		if !more || len(events) == 0 {
			return "", nil
		}
		walked += len(events)
		q.Before = last
	}
	return last, nil
}

func (s *Service) events(w http.ResponseWriter, r *http.Request) error {
	f, err := readEventFilter(r)
	if err != nil {
		return err
	}
	limit, err := httpx.Int(r, "limit", 200, 1, 5000)
	if err != nil {
		return err
	}
	f.q.Limit = limit
	if f.rest() {
		f.q.Limit = walkPage
	}
	out := eventsAnswer{Events: []view.Event{}}
	out.Next, err = s.walkEvents(r.Context(), f.q, func(e *tallyman.Event) bool {
		if f.fits(e, describe.Event(e)) {
			out.Events = append(out.Events, view.EventOf(e))
		}
		return len(out.Events) < limit
	})
	if err != nil {
		return err
	}
	out.More = out.Next != ""
	httpx.WriteJSON(w, out)
	return nil
}

// columnSteps are the widths that columns may have.
var columnSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

// columnStep is the width of columns for a stretch of time, so many at most.
func columnStep(length time.Duration, most int) time.Duration {
	for _, step := range columnSteps {
		if length <= step*time.Duration(most) {
			return step
		}
	}
	const day = 24 * time.Hour
	return (length/time.Duration(most)/day + 1) * day
}

func (s *Service) eventsSummary(w http.ResponseWriter, r *http.Request) error {
	f, err := readEventFilter(r)
	if err != nil {
		return err
	}
	points, err := httpx.Int(r, "points", 120, 1, maxColumns)
	if err != nil {
		return err
	}
	start, end := f.q.Start, f.q.End
	if end.IsZero() {
		end = time.Now()
	}
	if !start.IsZero() && !end.After(start) {
		return httpx.Bad("end", "end is not after start", "give a later end")
	}
	out := eventsSummary{Counts: map[grade][]int{}, Severities: map[grade]int{}, Types: map[string]int{}, Actions: map[string]int{}, Hosts: map[string]int{}, Workloads: []workloadCount{}}
	type hit struct {
		at    int64
		grade grade
	}
	var hits []hit
	var oldest time.Time
	count := func(e *tallyman.Event) bool {
		oldest = e.Time
		if words := describe.Event(e); f.fits(e, words) {
			hits = append(hits, hit{e.Time.UnixMilli(), gradeOf(words)})
		}
		return true
	}
	workloads := map[[2]string]*workloadCount{}
	list := func(e *tallyman.Event) bool {
		words := describe.Event(e)
		left := f.leaves(e, words)
		one := func(of facet) int {
			if left[of] {
				return 1
			}
			return 0 // it is named all the same: somebody may have chosen it
		}
		out.Severities[gradeOf(words)] += one(bySeverity)
		out.Types[e.Type] += one(byType)
		out.Actions[e.Action] += one(byAction)
		out.Hosts[e.Host] += one(byHost)
		if key := [2]string{e.Host, e.Workload}; e.Workload != "" {
			if workloads[key] == nil {
				workloads[key] = &workloadCount{Host: e.Host, Workload: e.Workload, Name: e.Name}
			}
			workloads[key].Count += one(byWorkload)
		}
		return true
	}
	everything := tallyman.EventQuery{Start: start, End: end, Limit: walkPage}
	var last string
	if f.any() {
		f.q.Limit, f.q.End, f.q.Before = walkPage, end, ""
		if last, err = s.walkEvents(r.Context(), f.q, count); err == nil {
			_, err = s.walkEvents(r.Context(), everything, list)
		}
	} else {
		last, err = s.walkEvents(r.Context(), everything, func(e *tallyman.Event) bool { return count(e) && list(e) })
	}
	if err != nil {
		return err
	}
	if last != "" {
		out.Since = oldest.UnixMilli()
	}
	for _, c := range workloads {
		out.Workloads = append(out.Workloads, *c)
	}
	slices.SortFunc(out.Workloads, func(a, b workloadCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Workload, b.Workload))
	})
	out.Workloads = out.Workloads[:min(len(out.Workloads), maxCounted)]

	if start.IsZero() {
		start = oldest
		if len(hits) == 0 {
			start = end.Add(-time.Hour)
		}
	}
	step := columnStep(end.Sub(start), points).Milliseconds()
	out.Step = step
	out.Start = start.UnixMilli() / step * step
	n := int((end.UnixMilli()-out.Start)/step) + 1
	for _, name := range plain.Values() {
		out.Counts[grade(name)] = make([]int, n)
	}
	for _, h := range hits {
		if i := int((h.at - out.Start) / step); i >= 0 && i < n {
			out.Counts[h.grade][i]++
			out.Total++
		}
	}
	httpx.WriteJSON(w, out)
	return nil
}
