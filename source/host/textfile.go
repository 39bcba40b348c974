// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/exposition"
	"tallyman/internal/fsx"
)

var (
	textfileError = gauge("node_textfile_scrape_error", "", "1 when a file of metrics could not be read or parsed, else 0")
	textfileTime  = gauge("node_textfile_mtime_seconds", "seconds", "Unix time at which a file of metrics was written")
)

// What strangers may write into a folder.
const (
	maxTextfiles    = 64
	maxTextfile     = 1 << 20
	maxTextSamples  = 2000
	maxTextLabels   = 24
	maxTextValue    = 1024
	maxTextEntries  = 4096
	textfilePattern = "*.prom"
)

// ownPrefixes are before names of containers, engines, alarms and tallyman itself, which
// nobody shall make up.
var ownPrefixes = []string{"container_", "machine_", "docker_", "tallyman_", "ALERTS"}

// textfileCollector reads the metrics that jobs of the host leave in files. A file that
// is broken is left out as a whole. Names that tallyman has itself are not taken.
var textfileCollector = collector{
	name: "textfile", what: "files of metrics", every: 10 * time.Second, aside: true, descs: []*tallyman.Desc{textfileError, textfileTime},
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.own.Textfile == "" {
				return none("No folder is set (sources.host.textfile).")
			}
			dir := s.own.Textfile
			if s.o.Path != nil {
				dir = cmp.Or(s.o.Path(dir), dir)
			}
			root, err := fsx.OpenRoot(dir)
			if err != nil {
				return missing(err, "There is no folder "+s.own.Textfile+" (sources.host.textfile).")
			}
			defer root.Close()
			root.Links = true // such as those of a folder that is replaced as a whole
			found, more, err := root.Glob("/", textfilePattern, maxTextEntries)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				to.Add(textfileError, 1)
				return err
			}
			var failed []string
			fail := func(name string, err error) {
				if len(failed) < 3 {
					failed = append(failed, clip.Text(path.Base(name), 64)+": "+clip.Text(err.Error(), 160))
				}
			}
			for i, name := range found {
				if i == maxTextfiles {
					fail(name, fmt.Errorf("%d files are read", maxTextfiles))
					break
				}
				mark := len(to.samples)
				written, err := s.textfile(to, root, strings.TrimPrefix(name, "/"))
				if err != nil {
					to.back(mark)
					fail(name, err)
					continue
				}
				to.Add(textfileTime, float64(written.Unix()), "file", filepath.Join(s.own.Textfile, path.Base(name)))
			}
			if more {
				fail(s.own.Textfile, errors.New("there are too many files"))
			}
			to.Add(textfileError, number(len(failed) > 0))
			if len(failed) > 0 {
				return errors.New(strings.Join(failed, "; "))
			}
			return nil
		}
	},
}

// textfile takes the metrics of one file and returns when it was written.
func (s *Source) textfile(to *sink, root *fsx.Root, name string) (written time.Time, err error) {
	f, err := root.Open("/", name)
	if err != nil {
		return written, err
	}
	defer f.Close()
	data, err := readAtMost(f, maxTextfile)
	if err != nil {
		return written, err
	}
	t := &textSink{to: to, own: s.ownNames, descs: s.o.Descs}
	if _, err := (exposition.Reader{}).Parse(data, "text/plain", t); err != nil {
		return written, errors.New("it is not the text of metrics") // of what strangers wrote nothing is repeated
	}
	if t.err != nil {
		return written, t.err
	}
	st, err := f.Stat()
	if err != nil {
		return written, err
	}
	return st.ModTime(), nil
}

// textSink bounds what a file has.
type textSink struct {
	to    *sink
	own   map[string]bool
	descs *tallyman.Descs
	pairs []string
	err   error
}

// Desc implements exposition.Sink.
func (t *textSink) Desc(name string, typ tallyman.MetricType, help string) *tallyman.Desc {
	if t.own[name] || slices.ContainsFunc(ownPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
		t.err = fmt.Errorf("tallyman has %s itself", clip.Text(name, 64))
		return nil
	}
	if len(name) > maxTextValue || t.descs == nil {
		t.err = errors.New("a name is too long")
		return nil
	}
	return t.descs.Of(name, typ, help)
}

// Add implements exposition.Sink.
func (t *textSink) Add(d *tallyman.Desc, v float64, labels ...string) {
	switch {
	case d == nil || t.err != nil:
		return
	case len(t.to.samples) >= maxTextSamples:
		t.err = fmt.Errorf("the files have more than %d series", maxTextSamples)
		return
	case len(labels) > 2*maxTextLabels:
		t.err = fmt.Errorf("a series has more than %d labels", maxTextLabels)
		return
	}
	t.pairs = t.pairs[:0]
	for i, l := range labels {
		if len(l) > maxTextValue {
			t.err = errors.New("a label is too long")
			return
		}
		if i%2 == 0 && (l == "job" || l == "instance" || l == "host") {
			l = "exported_" + l // as Prometheus does with what a scrape has itself
		}
		t.pairs = append(t.pairs, l)
	}
	t.to.Add(d, v, t.pairs...)
}
