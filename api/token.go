// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"tallyman/api/auth"
	"tallyman/internal/httpx"
)

// wanted is what a new token is for.
type wanted struct {
	Host string `json:"host" doc:"The host that the token writes about, as its tallyman calls itself"`
}

// made is a new token.
type made struct {
	auth.Writer
	Token string `json:"token" doc:"A secret that is told this once"`
}

// tokens is the answer of /tokens.
type tokens struct {
	Tokens []auth.Writer `json:"tokens"`
}

// tokenRoutes are those of the tokens of agents.
func (s *Server) tokenRoutes() []httpx.Route {
	route := func(pattern string, d httpx.Doc, f func(http.ResponseWriter, *http.Request) error) httpx.Route {
		return httpx.Route{Pattern: pattern, Doc: d, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r); err != nil {
				httpx.WriteError(w, err)
			}
		})}
	}
	return []httpx.Route{
		route("GET /api/tallyman/v1/tokens", httpx.Doc{Summary: "The tokens with which agents send what their hosts have", Text: "The tokens themselves are not kept, only their hashes.", Answer: tokens{}},
			func(w http.ResponseWriter, _ *http.Request) error {
				httpx.WriteJSON(w, tokens{append([]auth.Writer{}, s.o.Gate.Writers()...)})
				return nil
			}),
		route("POST /api/tallyman/v1/tokens", httpx.Doc{Summary: "Make a token for the agent of a host", Body: wanted{}, Answer: made{}, Errors: []int{http.StatusBadRequest}}, s.makeToken),
		route("DELETE /api/tallyman/v1/tokens/{ref}", httpx.Doc{Summary: "Revoke the token of an id, or all of a host", Text: "Each request with it is refused from now on.", Answer: tokens{}, Errors: []int{http.StatusNotFound}},
			func(w http.ResponseWriter, r *http.Request) error {
				gone, err := s.o.Gate.Revoke(r.PathValue("ref"))
				if err != nil {
					return err
				}
				for _, one := range gone {
					s.o.Log.Info("the token of an agent was revoked", "host", one.Host, "id", one.ID)
				}
				httpx.WriteJSON(w, tokens{gone})
				return nil
			}),
	}
}

func (s *Server) makeToken(w http.ResponseWriter, r *http.Request) error {
	var body wanted
	if err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&body); err != nil {
		return httpx.Bad("token", "the request is no JSON object", `send {"host": "web-1"}`)
	}
	if strings.EqualFold(body.Host, s.o.Host) {
		return httpx.Bad("host", fmt.Sprintf("%q is this tallyman's own host: nobody else writes about it", body.Host), "give the name of the agent's host")
	}
	token, one, err := s.o.Gate.NewWriter(body.Host)
	if err != nil {
		return httpx.Bad("host", err.Error(), `send {"host": "web-1"}`)
	}
	s.o.Log.Info("a token for an agent was made", "host", one.Host, "id", one.ID)
	httpx.WriteJSON(w, made{one, token})
	return nil
}
