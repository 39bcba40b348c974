// SPDX-License-Identifier: Apache-2.0

package top

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/api/view"
)

// Client asks a tallyman. Its methods block until ctx ends.
type Client struct {
	// Base is its address, as http://127.0.0.1:8420; Header logs in.
	Base   string
	Header http.Header
	// HTTP is nil for a client of its own.
	HTTP *http.Client
}

// The messages of the live stream.
type (
	// Tick is the numbers of a second.
	Tick struct {
		Time  int64
		Hosts map[string]view.HostFigures
		Now   map[string]*view.Now
	}
	// EngineChange is an engine that came or went.
	EngineChange struct {
		Host   string
		Engine view.Engine
	}
	// Lost says that there is no stream; it is opened again.
	Lost struct{ Err error }
)

// maxMessage is how long a message may be, in bytes.
const maxMessage = 64 << 20

// silence is after how long without a message a stream counts as broken.
const silence = 30 * time.Second

func (c *Client) get(ctx context.Context, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+path, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range c.Header {
		r.Header[k] = v
	}
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	answer, err := h.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, err
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusUnauthorized {
		return nil, errors.New("it asks for a login, and the token cannot be read; name its data directory with --data, as a user who may read it")
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096)) // the status says enough
	return nil, fmt.Errorf("%s: %s", answer.Status, strings.TrimSpace(string(text)))
}

// Settle waits until a tallyman that has just been started knows its hosts, for a time at
// most: what they have is only in the first message of the stream.
func (c *Client) Settle(ctx context.Context, most time.Duration) {
	for end := time.Now().Add(most); ctx.Err() == nil && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		answer, err := c.get(ctx, "/api/tallyman/v1/servers")
		if err != nil {
			continue
		}
		var s view.Servers
		err = json.NewDecoder(io.LimitReader(answer.Body, maxMessage)).Decode(&s)
		_ = answer.Body.Close()
		if err == nil && len(s.Hosts) > 0 && s.Hosts[0].Cores != nil && s.Hosts[0].CPU != nil {
			return
		}
	}
}

// Follow gives the messages of the live stream to send until ctx ends: view.Servers,
// view.Container, Tick, EngineChange, and Lost when it breaks. It is opened again after a
// second, and after ten at last.
func (c *Client) Follow(ctx context.Context, send func(any)) {
	wait := time.Second
	for ctx.Err() == nil {
		begun := time.Now()
		err := c.follow(ctx, send)
		if ctx.Err() != nil {
			return
		}
		send(Lost{err})
		if time.Since(begun) > time.Minute {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 10*time.Second)
	}
}

func (c *Client) follow(ctx context.Context, send func(any)) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	quiet := time.AfterFunc(silence, func() { stop(fmt.Errorf("it has said nothing for %v", silence)) })
	defer quiet.Stop()
	answer, err := c.get(ctx, "/api/tallyman/v1/live?view=servers")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxMessage)
	event := ""
	for lines.Scan() {
		quiet.Reset(silence)
		line := lines.Bytes()
		if name, ok := strings.CutPrefix(string(line[:min(len(line), 64)]), "event: "); ok {
			event = name
			continue
		}
		if len(line) < 6 || string(line[:6]) != "data: " {
			continue
		}
		m, err := decode(event, line[6:])
		if err != nil {
			return fmt.Errorf("a message cannot be read: %w", err)
		}
		if m != nil {
			send(m)
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("it has ended the stream")
}

func decode(event string, data []byte) (any, error) {
	switch event {
	case "snapshot":
		return read[view.Servers](data)
	case "tick":
		return read[Tick](data)
	case "container":
		return read[view.Container](data)
	case "engine":
		return read[EngineChange](data)
	}
	return nil, nil
}

func read[T any](data []byte) (any, error) {
	var v T
	err := json.Unmarshal(data, &v)
	return v, err
}

// Line is a line of a log.
type Line struct {
	Time time.Time
	Text string
}

// Logs are the newest lines of a container of the last day, oldest first; its own and those
// of log files inside of it.
func (c *Client) Logs(ctx context.Context, host, name string, most int) ([]Line, error) {
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	now := time.Now()
	q := url.Values{"query": {`{source=~"container|file", host=` + strconv.Quote(host) + `, name=` + strconv.Quote(name) + `}`}, "limit": {strconv.Itoa(most)}, "direction": {"backward"},
		"start": {strconv.FormatInt(now.Add(-24*time.Hour).UnixNano(), 10)}, "end": {strconv.FormatInt(now.UnixNano(), 10)}}
	answer, err := c.get(ctx, "/loki/api/v1/query_range?"+q.Encode())
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var a struct {
		Data struct {
			Result []struct{ Values [][2]string }
		}
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxMessage)).Decode(&a); err != nil {
		return nil, fmt.Errorf("the lines cannot be read: %w", err)
	}
	var out []Line
	for _, s := range a.Data.Result {
		for _, v := range s.Values {
			n, err := strconv.ParseInt(v[0], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("a line has the time %q", v[0])
			}
			out = append(out, Line{time.Unix(0, n), v[1]})
		}
	}
	slices.SortStableFunc(out, func(a, b Line) int { return a.Time.Compare(b.Time) })
	return out[max(0, len(out)-most):], nil
}
