// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"

	"tallyman"
)

type readings []tallyman.Reading

func (r readings) Latest(dst []tallyman.Reading) ([]tallyman.Reading, uint64) {
	return append(dst, r...), uint64(len(r))
}

func TestExposition(t *testing.T) {
	target := func(name string) *tallyman.Target {
		return &tallyman.Target{Job: "cadvisor", Instance: "h", Labels: []tallyman.Label{{Name: "name", Value: name}}}
	}
	bytes := &tallyman.Desc{Name: "b_bytes", Type: tallyman.Gauge, Help: `A "help" with \ and` + "\nnewline"}
	total := &tallyman.Desc{Name: "a_total", Type: tallyman.Counter, Help: "A counter"}
	odd := &tallyman.Desc{Name: "c_failcnt", Type: tallyman.Counter, Help: "A counter without the ending"}
	one := func(d *tallyman.Desc, name string, v float64, extra ...tallyman.Label) tallyman.Reading {
		return tallyman.Reading{Series: target(name).Series(d, extra...), Value: v}
	}
	r := readings{
		one(bytes, "z", 1), one(total, "a", 2), one(odd, "a", 3),
		one(bytes, "a<b>\"\n", 4, tallyman.Label{Name: "empty"}),
	}
	var e exposition
	render := func(f expfmt.Format) string {
		t.Helper()
		var b strings.Builder
		if err := e.render(&b, r, f); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	text := render(expfmt.NewFormat(expfmt.TypeTextPlain))
	want := `# HELP a_total A counter
# TYPE a_total counter
a_total{name="a"} 2
# HELP b_bytes A "help" with \\ and\nnewline
# TYPE b_bytes gauge
b_bytes{name="a<b>\"\n"} 4
b_bytes{name="z"} 1
# HELP c_failcnt A counter without the ending
# TYPE c_failcnt counter
c_failcnt{name="a"} 3
`
	if text != want {
		t.Errorf("text:\n%s\nwant:\n%s", text, want)
	}
	r[0].Value = 7
	if again := render(expfmt.NewFormat(expfmt.TypeTextPlain)); again != strings.Replace(want, `name="z"} 1`, `name="z"} 7`, 1) {
		t.Errorf("a second time:\n%s\nwant the same order with the new value", again)
	}
	open := render(expfmt.NewFormat(expfmt.TypeOpenMetrics))
	for _, w := range []string{"# TYPE a counter\n", "a_total{name=\"a\"} 2.0\n", "# TYPE c_failcnt unknown\n", "c_failcnt{name=\"a\"} 3.0\n", "# EOF\n"} {
		if !strings.Contains(open, w) {
			t.Errorf("OpenMetrics:\n%s\nwant it to hold %q", open, w)
		}
	}
}
