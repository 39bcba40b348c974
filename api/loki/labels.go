// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"maps"
	"net/http"
	"slices"

	"tallyman"
	"tallyman/internal/httpx"
	"tallyman/query/logql"
)

// maxListed is how many values or series one answer has.
const maxListed = 50_000

// selected are the streams of a request: those of the parameter query, or all.
func (a *API) selected(r *http.Request) ([]*tallyman.Stream, error) {
	matchers, err := logql.ParseSelector(r.FormValue("query"))
	if err != nil {
		return nil, err
	}
	start, end, err := span(r, labelsSince)
	if err != nil {
		return nil, err
	}
	return a.o.Store.Streams(r.Context(), matchers, start, end)
}

func (a *API) labels(w http.ResponseWriter, r *http.Request) error {
	return a.list(w, r, func(l tallyman.Label) string { return l.Name })
}

func (a *API) values(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	return a.list(w, r, func(l tallyman.Label) string {
		if l.Name == name {
			return l.Value
		}
		return ""
	})
}

// list answers with what is taken of the labels of the streams, in order.
func (a *API) list(w http.ResponseWriter, r *http.Request, take func(tallyman.Label) string) error {
	streams, err := a.selected(r)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, s := range streams {
		for _, l := range s.Labels {
			if v := take(l); v != "" {
				seen[v] = true
			}
		}
	}
	names := slices.Sorted(maps.Keys(seen))
	httpx.WriteJSON(w, listAnswer{"success", append([]string{}, names[:min(len(names), maxListed)]...)})
	return nil
}

func (a *API) series(w http.ResponseWriter, r *http.Request) error {
	start, end, err := span(r, defaultSince)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return badRequest(err.Error())
	}
	groups := append(r.Form["match[]"], r.Form["match"]...)
	if len(groups) == 0 {
		groups = []string{""}
	}
	found := map[string]logql.Labels{}
	for _, g := range groups {
		matchers, err := logql.ParseSelector(g)
		if err != nil {
			return err
		}
		streams, err := a.o.Store.Streams(r.Context(), matchers, start, end)
		if err != nil {
			return err
		}
		for _, s := range streams {
			found[logql.Labels(s.Labels).String()] = s.Labels
		}
	}
	out := []map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if len(out) == maxListed {
			break
		}
		out = append(out, found[key].Map())
	}
	httpx.WriteJSON(w, seriesAnswer{"success", out})
	return nil
}
