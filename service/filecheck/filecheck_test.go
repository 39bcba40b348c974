// SPDX-License-Identifier: Apache-2.0

package filecheck

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestContract(t *testing.T) { servicetest.Run(t, Kind(), servicetest.Config("PATH", "/a")) }

// inside is a container whose files have ages.
type inside struct {
	servicetest.Inside
	fs fstest.MapFS
}

func (i *inside) Stat(name string) (fs.FileInfo, error) {
	return i.fs.Stat(strings.TrimPrefix(name, "/"))
}

func (i *inside) ReadFile(name string) ([]byte, error) {
	b, err := i.fs.ReadFile(strings.TrimPrefix(name, "/"))
	if len(b) > 1000 {
		return nil, tallyman.ErrLimit
	}
	return b, err
}

func TestScrape(t *testing.T) {
	in := &inside{fs: fstest.MapFS{
		"a":   {Data: []byte("all ok"), ModTime: time.Now().Add(-time.Hour)},
		"big": {Data: make([]byte, 2000)},
	}}
	for name, one := range map[string]struct {
		pairs []string
		want  float64
		fault tallyman.ServiceFault
	}{
		"there":       {[]string{"PATH", "/a"}, 1, ""},
		"not there":   {[]string{"PATH", "/b"}, 0, ""},
		"large":       {[]string{"PATH", "/a", "MIN SIZE", "6"}, 1, ""},
		"small":       {[]string{"PATH", "/a", "MIN SIZE", "7"}, 0, ""},
		"new":         {[]string{"PATH", "/a", "MAX AGE", "2h"}, 1, ""},
		"old":         {[]string{"PATH", "/a", "MAX AGE", "1800"}, 0, ""},
		"contains":    {[]string{"PATH", "/a", "CONTAINS", "ok"}, 1, ""},
		"contains no": {[]string{"PATH", "/a", "CONTAINS", "bad"}, 0, ""},
		"too large":   {[]string{"PATH", "/big", "CONTAINS", "x"}, 0, tallyman.LimitFault},
	} {
		i, err := open(in, servicetest.Config(one.pairs...))
		if err != nil {
			t.Fatal(err)
		}
		s := servicetest.NewSink()
		err = i.Scrape(t.Context(), s)
		var fault *tallyman.ServiceError
		if one.fault != "" {
			if !errors.As(err, &fault) || fault.Fault != one.fault {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if got, ok := s.Values["file_check_up"]; err != nil || !ok || got != one.want {
			t.Errorf("%s: %v, %v", name, s.Values, err)
		}
		if _, ok := s.Values["file_size_bytes"]; ok != (name != "not there") {
			t.Errorf("%s: %v", name, s.Values)
		}
	}
	if _, err := open(in, servicetest.Config("PATH", "a")); err == nil {
		t.Error("a relative path is taken")
	}
}
