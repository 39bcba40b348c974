// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"tallyman/config"
	"tallyman/internal/clip"
)

type logsCmd struct {
	settings
	Follow bool          `short:"f" help:"Go on with lines as they come in."`
	Since  time.Duration `help:"From how long ago." default:"1h"`
	Limit  int           `short:"n" help:"The newest so many lines." default:"100"`
	Output string        `short:"o" help:"text, raw (the lines alone) or json (a line each)." enum:"text,raw,json" default:"text"`
	Query  string        `arg:"" help:"LogQL, or the name of a container."`
}

// logLine is one line of an answer.
type logLine struct {
	Time   int64             `json:"time,string"` // nanoseconds since the epoch
	Labels map[string]string `json:"labels"`
	Line   string            `json:"line"`
}

// Run asks the running tallyman over Loki's API.
func (c *logsCmd) Run(ctx context.Context, out io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	query := c.Query
	if !strings.ContainsAny(query, "{}") {
		query = `{source=~"container|file", name=` + strconv.Quote(query) + `}`
	}
	start := time.Now().Add(-c.Since)
	if c.Follow {
		return c.follow(ctx, cfg, query, start, out)
	}
	params := url.Values{"query": {query}, "limit": {strconv.Itoa(c.Limit)}, "start": {strconv.FormatInt(start.UnixNano(), 10)}, "end": {strconv.FormatInt(time.Now().UnixNano(), 10)}}
	body, err := askLoki(ctx, cfg, "query_range", params)
	if err != nil {
		return err
	}
	var a struct {
		Data struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if a.Data.ResultType != "streams" {
		return fmt.Errorf("that query gives numbers (a %s), not lines; ask for it on the page, or with logcli or Grafana", a.Data.ResultType)
	}
	lines, err := linesOf(a.Data.Result, true)
	if err != nil {
		return err
	}
	return c.print(out, lines)
}

// linesOf are the lines of all streams, in order of time and of one time as they
// were written; backward says that the newest come first in the answer.
func linesOf(raw json.RawMessage, backward bool) (lines []logLine, err error) {
	var streams []struct {
		Stream map[string]string
		Values [][]json.RawMessage
	}
	if err := json.Unmarshal(raw, &streams); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	for _, s := range streams {
		if backward {
			slices.Reverse(s.Values)
		}
		for _, v := range s.Values {
			var at, line string
			if len(v) < 2 || json.Unmarshal(v[0], &at) != nil || json.Unmarshal(v[1], &line) != nil {
				return nil, errors.New("read the answer: a line without a time")
			}
			t, err := strconv.ParseInt(at, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("read the answer: %w", err)
			}
			lines = append(lines, logLine{t, s.Stream, line})
		}
	}
	slices.SortStableFunc(lines, func(a, b logLine) int { return cmp.Compare(a.Time, b.Time) })
	return lines, nil
}

// print writes lines for people or programs. For people control characters are
// made harmless: a log may hold anything.
func (c *logsCmd) print(out io.Writer, lines []logLine) error {
	var b strings.Builder
	for _, l := range lines {
		switch c.Output {
		case "raw":
			b.WriteString(l.Line)
			b.WriteByte('\n')
		case "json":
			text, err := json.Marshal(l)
			if err != nil {
				return err
			}
			b.Write(text)
			b.WriteByte('\n')
		default:
			name := cmp.Or(l.Labels["name"], l.Labels["source"])
			fmt.Fprintf(&b, "%s %s %s\n", time.Unix(0, l.Time).Format("2006-01-02 15:04:05.000"), clip.Plain(name), clip.Plain(strings.TrimRight(l.Line, "\r")))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// follow prints the newest lines and then each as it comes in.
func (c *logsCmd) follow(ctx context.Context, cfg config.Config, query string, start time.Time, out io.Writer) error {
	params := url.Values{"query": {query}, "limit": {strconv.Itoa(c.Limit)}, "start": {strconv.FormatInt(start.UnixNano(), 10)}}
	base, client, err := running(cfg)
	if err != nil {
		return err
	}
	conn, resp, err := websocket.Dial(ctx, base+"/loki/api/v1/tail?"+params.Encode(), &websocket.DialOptions{HTTPHeader: tokenHeader(cfg), HTTPClient: client})
	if err != nil {
		if resp != nil && resp.Body != nil {
			defer resp.Body.Close()
			return refused(resp)
		}
		return notThere(cfg, err)
	}
	defer conn.CloseNow()
	conn.SetReadLimit(64 << 20)
	for {
		_, body, err := conn.Read(ctx)
		if ctx.Err() != nil {
			return nil // the reader has seen enough
		}
		if err != nil {
			return fmt.Errorf("the connection to tallyman at %s has ended: %w", cfg.Listen, err)
		}
		var m struct {
			Streams json.RawMessage   `json:"streams"`
			Dropped []json.RawMessage `json:"dropped_entries"`
		}
		if err := json.Unmarshal(body, &m); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		lines, err := linesOf(m.Streams, false)
		if err != nil {
			return err
		}
		if err := c.print(out, lines); err != nil {
			return err
		}
		if len(m.Dropped) > 0 {
			fmt.Fprintln(os.Stderr, "tallyman: lines come faster than they can be shown; some were left out here, they are all stored")
		}
	}
}

// tokenHeader logs in with the token of the data directory, if it can be read.
func tokenHeader(cfg config.Config) http.Header {
	h := http.Header{}
	if token, err := os.ReadFile(filepath.Join(cfg.Data, "token")); err == nil {
		h.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	return h
}

// askLoki asks the running tallyman for something of Loki's API.
func askLoki(ctx context.Context, cfg config.Config, what string, params url.Values) ([]byte, error) {
	base, client, err := running(cfg)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/loki/api/v1/"+what+"?"+params.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = tokenHeader(cfg)
	resp, err := client.Do(req)
	if err != nil {
		return nil, notThere(cfg, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, refused(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256<<20))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return body, nil
}

func notThere(cfg config.Config, err error) error {
	return fmt.Errorf("no tallyman answers at %s: %w; start it, or name its address with --listen", cfg.Listen, err)
}

// refused is what the running tallyman has against a query.
func refused(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return errors.New("it asks for a login, and the token cannot be read; name its data directory with --data, as a user who may read it")
	case http.StatusNotFound:
		return errors.New("it keeps no logs (keep.logs: false)")
	}
	return fmt.Errorf("%s", strings.TrimSpace(string(text)))
}
