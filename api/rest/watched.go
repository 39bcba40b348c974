// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"time"

	"tallyman"
	"tallyman/api/view"
	"tallyman/internal/httpx"
)

// watchedAnswer is the answer of /watched.
type watchedAnswer struct {
	First int64 `json:"first,omitempty" doc:"When the oldest sample of the host is that is kept; left out without one"`
	Began bool  `json:"began,omitempty" doc:"Nothing was watched before. Else older samples were there once, and are no longer kept"`
}

// beganWithin is how long after tallyman's first start the first sample may be.
const beganWithin = 5 * time.Minute

// watched tells since when there are samples of a host, and why there are none before.
func (s *Service) watched(w http.ResponseWriter, r *http.Request) error {
	host := r.FormValue("host")
	if host == "" {
		return httpx.Bad("host", "a host is needed", "give that of a container, as /containers has it")
	}
	first, err := s.o.Query.First(r.Context(), host, time.Now())
	if err != nil {
		return err
	}
	if first.IsZero() {
		httpx.WriteJSON(w, watchedAnswer{})
		return nil
	}
	a := watchedAnswer{First: view.Millis(first)}
	events, _, err := s.o.Events.Events(r.Context(), tallyman.EventQuery{Types: []string{"tallyman"}, Actions: []string{"start"}, Start: first.Add(-beganWithin), End: first.Add(time.Second)})
	if err != nil {
		return err
	}
	for i := range events { // a start over kept samples tells for how long it was away
		a.Began = a.Began || events[i].Attributes["away"] == ""
	}
	httpx.WriteJSON(w, a)
	return nil
}
