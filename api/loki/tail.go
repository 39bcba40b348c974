// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"tallyman/query/logql"
)

// Bounds of tails.
const (
	maxTails     = 32
	tailWrite    = 10 * time.Second
	tailPing     = 20 * time.Second
	tailMost     = 500 // entries of one message
	tailsOverlap = 10 * time.Second
)

// tailMessage is what goes over the socket.
type tailMessage struct {
	Streams []*streamResult `json:"streams"`
	Dropped []droppedEntry  `json:"dropped_entries,omitempty"`
	Flags   []string        `json:"encodingFlags,omitempty"`
}

// droppedEntry says that something was left out; how much is the label.
type droppedEntry struct {
	Timestamp string            `json:"timestamp"`
	Labels    map[string]string `json:"labels"`
}

// tail sends the newest lines and then each as it comes in.
func (a *API) tail(w http.ResponseWriter, r *http.Request) {
	t, p, err := a.openTail(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer t.Close()
	select {
	case a.tails <- struct{}{}:
		defer func() { <-a.tails }()
	default:
		a.fail(w, r, &statusError{http.StatusTooManyRequests, "max concurrent tail requests limit exceeded, count > limit (" + strconv.Itoa(maxTails) + ")"})
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it is answered
	}
	defer func() { _ = c.CloseNow() }() // it is over in any case
	c.SetReadLimit(1 << 10)
	ctx, cancel := context.WithCancel(c.CloseRead(r.Context()))
	var pings sync.WaitGroup
	defer pings.Wait()
	defer cancel()
	pings.Go(func() { ping(ctx, cancel, c) })
	if err := a.follow(ctx, c, t, p, wantsCategories(r)); ctx.Err() == nil {
		a.o.Log.Debug("a tail of logs ended", "err", err)
		_ = c.Close(websocket.StatusInternalError, err.Error()[:min(len(err.Error()), 120)]) // it may be gone
	}
}

// openTail follows first and asks for what is there already later, so that
// nothing is lost between the two.
func (a *API) openTail(r *http.Request) (*logql.Tail, logql.Params, error) {
	p := logql.Params{Query: r.FormValue("query"), Backward: true}
	now := time.Now()
	var err error
	if p.Start, err = timeParam(r, "start", now.Add(-defaultSince).UnixNano()); err != nil {
		return nil, p, err
	}
	if p.Limit, err = limit(r, "limit", defaultLimit); err != nil {
		return nil, p, err
	}
	p.Limit = min(p.Limit, a.o.Engine.Options().MaxEntries)
	t, err := logql.NewTail(a.o.Tailer, p.Query)
	p.End = now.Add(time.Second).UnixNano()
	return t, p, err
}

// ping finds out that nobody is there any more.
func ping(ctx context.Context, cancel context.CancelFunc, c *websocket.Conn) {
	defer cancel()
	tick := time.NewTicker(tailPing)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			wait, done := context.WithTimeout(ctx, tailWrite)
			err := c.Ping(wait)
			done()
			if err != nil {
				return
			}
		}
	}
}

// follow sends what is there and then what comes, until an error ends it.
func (a *API) follow(ctx context.Context, c *websocket.Conn, t *logql.Tail, p logql.Params, categorize bool) error {
	result, err := a.o.Engine.Query(ctx, p)
	if err != nil {
		return err
	}
	slices.Reverse(result.Entries)
	// What comes in while the query runs is in both.
	type same struct {
		time   int64
		line   string
		labels string
	}
	sent := map[same]int{}
	for _, e := range result.Entries {
		sent[same{e.Time, e.Line, e.Labels.All.String()}]++
	}
	overlap := time.Now().Add(tailsOverlap)
	if err := send(ctx, c, result.Entries, 0, categorize); err != nil {
		return err
	}
	for {
		entries, dropped, err := t.Next(ctx)
		if err != nil {
			return err
		}
		if time.Now().Before(overlap) {
			entries = slices.DeleteFunc(entries, func(e logql.Entry) bool {
				key := same{e.Time, e.Line, e.Labels.All.String()}
				sent[key]--
				return sent[key] >= 0
			})
		} else {
			sent = nil
		}
		if err := send(ctx, c, entries, dropped, categorize); err != nil {
			return err
		}
	}
}

// send sends entries in messages of a bounded size.
func send(ctx context.Context, c *websocket.Conn, entries []logql.Entry, dropped int, categorize bool) error {
	for len(entries) > 0 || dropped > 0 {
		n := min(len(entries), tailMost)
		m := tailMessage{Streams: streamsOf(entries[:n], categorize)}
		if categorize {
			m.Flags = []string{categorizeFlag}
		}
		if dropped > 0 {
			m.Dropped = []droppedEntry{{strconv.FormatInt(time.Now().UnixNano(), 10), map[string]string{"dropped": strconv.Itoa(dropped)}}}
		}
		entries, dropped = entries[n:], 0
		b, err := json.Marshal(m)
		if err != nil {
			return err
		}
		wait, done := context.WithTimeout(ctx, tailWrite)
		err = c.Write(wait, websocket.MessageText, b)
		done()
		if err != nil {
			return err
		}
	}
	return nil
}
