// SPDX-License-Identifier: Apache-2.0

// Package filecheck is the plugin FILECHECK: it looks at a file of a container without
// running anything in it.
package filecheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

var (
	up    = &tallyman.Desc{Name: "file_check_up", Type: tallyman.Gauge, Help: "1 when the file is as it should be"}
	size  = &tallyman.Desc{Name: "file_size_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Size of the file"}
	mtime = &tallyman.Desc{Name: "file_mtime_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Unix time at which the file was changed last"}
)

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "FILECHECK", Aliases: []string{"FILE"}, Summary: "Looks whether a file is there, large enough, new enough and says what it should",
		Keys: append([]tallyman.ServiceKey{
			{Name: "PATH", Type: tallyman.PathKey, Help: "file in the container, several for several checks", Example: "/backup/last.sql"},
			{Name: "MIN SIZE", Type: tallyman.NumberKey, Help: "bytes that it must have at least", Example: "1024"},
			{Name: "MAX AGE", Type: tallyman.DurationKey, Help: "time since its last change that is allowed", Example: "26h"},
			{Name: "CONTAINS", Type: tallyman.TextKey, Help: "text that must be in it, for files to 256 KiB", Example: "ok"},
		}, ask.CheckKeys()...),
		Metrics: []*tallyman.Desc{up, size, mtime, ask.CheckFailed},
		Charts: []tallyman.ServiceChart{
			{Title: "As it should be", Lines: []tallyman.ServiceLine{{Name: "file", Metric: up}}},
			{Title: "Size", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "file", Metric: size}}},
		},
		Every: 30 * time.Second,
		Where: func(c tallyman.ServiceConfig) string { return c.Text("PATH", "") },
		Check: check,
		Open:  open,
		Docs: tallyman.ServiceDocs{
			Detect: "It is never found; it is asked for.", Free: "Nothing: name a file.",
			Notes:   "Nothing is run in the container. Links are followed inside of it alone. A directory can be looked at as well, but not with `CONTAINS`.",
			Example: `[{"PluginType":"FILECHECK","Configuration":{"PATH":["/backup/last.sql"],"MAX AGE":["26h"],"MIN SIZE":["1024"]}}]`,
		},
	}
}

func check(c tallyman.ServiceConfig) error {
	if !path.IsAbs(c.Text("PATH", "")) {
		return errors.New("PATH is missing, or does not begin with /")
	}
	return nil
}

type instance struct {
	in       tallyman.Inside
	path     string
	minSize  float64
	maxAge   time.Duration
	contains string
	outcome  *ask.Outcome
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	if err := check(c); err != nil {
		return nil, &tallyman.ServiceError{Fault: tallyman.ConfigFault, Err: err}
	}
	return &instance{in: in, path: c.Text("PATH", ""), minSize: c.Number("MIN SIZE", 0), maxAge: c.Duration("MAX AGE", 0), contains: c.Text("CONTAINS", ""), outcome: ask.NewOutcome(c, c.Text("PATH", ""))}, nil
}

// Close implements tallyman.Service; nothing is kept open.
func (i *instance) Close() {}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	st, err := i.in.Stat(i.path)
	if errors.Is(err, fs.ErrNotExist) {
		i.tell(s, "there is no such file")
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the file: %w", err)
	}
	s.Add(size, float64(st.Size()))
	s.Add(mtime, float64(st.ModTime().UnixMilli())/1000)
	wrong := ""
	switch age := time.Since(st.ModTime()); {
	case float64(st.Size()) < i.minSize:
		wrong = fmt.Sprintf("it has %d bytes", st.Size())
	case i.maxAge > 0 && age > i.maxAge:
		wrong = fmt.Sprintf("it was changed %v ago", age.Round(time.Second))
	}
	if i.contains != "" {
		text, err := i.in.ReadFile(i.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			wrong = "there is no such file"
		case errors.Is(err, tallyman.ErrLimit):
			return tallyman.Faulty(tallyman.LimitFault, "Take CONTAINS out.", "the file is too large to look into")
		case err != nil:
			return fmt.Errorf("read the file: %w", err)
		case !bytes.Contains(text, []byte(i.contains)):
			wrong = "the text is not in it"
		}
	}
	i.tell(s, wrong)
	return ctx.Err()
}

// tell gives the outcome; wrong is empty when all is well.
func (i *instance) tell(s tallyman.ServiceSink, wrong string) {
	v, attributes := 1.0, map[string]string{}
	if wrong != "" {
		v, attributes["reason"] = 0, wrong
	}
	s.Add(up, v)
	i.outcome.Took(s, wrong == "", attributes)
}
