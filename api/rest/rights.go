// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"tallyman/internal/httpx"
	"tallyman/internal/inspect"
)

const (
	// maxSet is how many settings one question may ask for.
	maxSet = 8
	// maxRights bounds the configurations whose rights are remembered.
	maxRights = 5000
)

// rights remembers what configurations allow, by their hash: it follows from nothing else.
type rights struct {
	mu sync.Mutex
	of map[string][]inspect.Right
}

// known are the rights of a configuration, if they were found out.
func (r *rights) known(hash string) ([]inspect.Right, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of, ok := r.of[hash]
	return of, ok
}

func (r *rights) keep(hash string, of []inspect.Right) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || len(r.of) >= maxRights {
		r.of = map[string][]inspect.Right{}
	}
	r.of[hash] = of
}

// setting is one that is asked for, as set=name=value.
type setting struct{ name, value string }

// settings are those that a request asks for.
func settings(r *http.Request) ([]setting, error) {
	if err := r.ParseForm(); err != nil {
		return nil, httpx.Bad("set", "the query cannot be read: "+err.Error(), "")
	}
	var out []setting
	for _, text := range r.Form["set"] {
		name, value, ok := strings.Cut(text, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, httpx.Bad("set", "a setting is asked for without a value", "give set=NAME=VALUE, as in set=privileged=yes or set=HostConfig.NetworkMode=host")
		}
		out = append(out, setting{name, strings.TrimSpace(value)})
	}
	if len(out) > maxSet {
		return nil, httpx.Bad("set", "too many settings are asked for at once", "give 8 at most")
	}
	return out, nil
}

// judge finds out what the configuration n of a container allows, and whether it has all
// of the settings. Its line is read only when that is not known.
func (s *Service) judge(ctx context.Context, n *snapshot, wanted []setting) (of []inspect.Right, has bool, err error) {
	hash := n.label("hash")
	of, known := s.rights.known(hash)
	var line []byte
	read := func() (err error) {
		if line == nil {
			line, err = s.text(ctx, n)
		}
		return err
	}
	if !known {
		if err := read(); err != nil {
			return nil, false, err
		}
		if of, err = inspect.Rights(line); err != nil {
			return nil, false, err
		}
		s.rights.keep(hash, of)
	}
	for _, w := range wanted {
		if asked, is := rightOf(of, w); asked {
			if !is {
				return of, false, nil
			}
			continue
		}
		if err := read(); err != nil {
			return nil, false, err
		}
		if has, err := inspect.Has(line, w.name, w.value); err != nil || !has {
			return of, false, err
		}
	}
	return of, true, nil
}

// rightOf reports whether a setting is asked for by the name of a right, and is so.
func rightOf(of []inspect.Right, w setting) (asked, is bool) {
	wanted := ""
	for _, id := range inspect.RightID("").Values() {
		if strings.EqualFold(id, w.name) {
			wanted = id
		}
	}
	if wanted == "" {
		return false, false
	}
	for _, r := range of {
		if string(r.ID) == wanted {
			switch value := strings.ToLower(w.value); value {
			case "yes", "true":
				return true, true
			case "no", "none", "false":
				return true, false
			default:
				return true, strings.Contains(strings.ToLower(r.Detail), value)
			}
		}
	}
	value := strings.ToLower(w.value)
	return true, value == "no" || value == "none" || value == "false"
}
