// SPDX-License-Identifier: Apache-2.0

package script

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestContract(t *testing.T) {
	servicetest.Run(t, Kind(), servicetest.Config("SCRIPT", "/script.sh"))
}

const config = `{"maxruntime":5000,"period":60,"metrics":[
 {"id":1,"name":"Queue length","description":"Jobs that wait","groups":"Shop","unit":"#","datatype":"DOUBLE","calctype":"Instant"},
 {"id":2,"name":"Requests","unit":"req","datatype":"COUNTER","calctype":"Difference","dimensions":[{"id":1,"name":"Page name"},{"id":2,"name":"code"}]},
 {"id":"3","name":"Sold","datatype":"COUNT","calctype":"Instant"},
 {"id":4,"name":"queue-length","datatype":"GUAGE"}],
 "events":[{"id":1,"name":"deploy","description":"","attributeDescriptions":[{"name":"version","type":"string"}]}]}`

// inside runs a script that answers as the test has it.
func inside(answers map[string]string, code int, argv *[]string) *servicetest.Inside {
	return &servicetest.Inside{Run: func(_ context.Context, words []string, _ tallyman.ExecOptions) (tallyman.ExecResult, error) {
		if argv != nil {
			*argv = words
		}
		return tallyman.ExecResult{Code: code, Stdout: []byte(answers[words[len(words)-1]])}, nil
	}}
}

func scrape(t *testing.T, in *servicetest.Inside, pairs ...string) (*servicetest.Sink, tallyman.Service, error) {
	t.Helper()
	i, err := open(in, servicetest.Config(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	s := servicetest.NewSink()
	err = i.Scrape(t.Context(), s)
	for k := range s.Values {
		if strings.HasPrefix(k, "script_duration_seconds") {
			delete(s.Values, k)
		}
	}
	return s, i, err
}

func TestCoScale(t *testing.T) {
	answers := map[string]string{"-c": config, "-d": `
# a comment
M1 42
M2 "1:/a, b,2:200" 100
M2 "1:/c,2:500" 7
M3 2
M4 5%
E1 0 0 "deployed it" "{"version":"1.2"}" S
E1 1700000000 1700000001 "then" "{}" A
M9 1
M1 NaN
M2 "9:x" 1
nothing
`}
	s, i, err := scrape(t, inside(answers, 0, nil), "SCRIPT", "/script.sh")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		`script_queue_length{script="/script.sh"}`: 42, `script_requests{code="200",page_name="/a, b",script="/script.sh"}`: 100,
		`script_requests{code="500",page_name="/c",script="/script.sh"}`: 7, `script_sold{script="/script.sh"}`: 2, `script_queue_length_4{script="/script.sh"}`: 5,
		`script_exit_code{script="/script.sh"}`: 0, `script_bad_lines{script="/script.sh"}`: 4,
	}
	if d := cmp.Diff(want, s.Values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
	if s.Types["script_requests"] != tallyman.Counter || s.Types["script_queue_length"] != tallyman.Gauge || s.Types["script_sold"] != tallyman.Counter {
		t.Errorf("types %v", s.Types)
	}
	if d := cmp.Diff([]string{"service script attribute_version=1.2 event=deploy message=deployed it", "service script event=deploy message=then of=application"}, s.Events); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	// Amounts are added, and an event with a time is told once.
	again := servicetest.NewSink()
	if err := i.Scrape(t.Context(), again); err != nil || again.Values[`script_sold{script="/script.sh"}`] != 4 || len(again.Events) != 1 {
		t.Errorf("then %v, %v, %v", again.Values, again.Events, err)
	}
}

func TestArguments(t *testing.T) {
	var argv []string
	if _, _, err := scrape(t, inside(map[string]string{"-c": config, "-d": "M1 1"}, 0, &argv), "SCRIPT", `python3 "/opt/a b.py" --x 'y z'`); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"python3", "/opt/a b.py", "--x", "y z", "-d"}, argv); d != "" {
		t.Errorf("arguments (-want +got):\n%s", d)
	}
}

func TestOtherFormats(t *testing.T) {
	s, _, err := scrape(t, inside(map[string]string{"-c": "# TYPE a gauge\na 1\n", "/s": "# TYPE a gauge\na{x=\"y\"} 5\n"}, 0, nil), "SCRIPT", "/s")
	if err != nil || s.Values[`a{x="y"}`] != 5 {
		t.Errorf("a text of metrics: %v, %v", s.Values, err)
	}
	s, _, err = scrape(t, inside(map[string]string{"/s": `{"a": 5, "b": "text", "c d": 1.5}`}, 0, nil), "SCRIPT", "/s", "FORMAT", "json")
	if err != nil || s.Values[`script_a{script="/s"}`] != 5 || s.Values[`script_c_d{script="/s"}`] != 1.5 {
		t.Errorf("JSON: %v, %v", s.Values, err)
	}
	s, _, err = scrape(t, inside(map[string]string{"/s": "DISK WARNING - low | /=2643MB;5948;5958;0;5968 'time to go'=12ms load=x rate=5/s\nmore"}, 1, nil), "SCRIPT", "/s", "FORMAT", "nagios")
	if err != nil || s.Values[`nagios_state{script="/s"}`] != 1 || s.Values[`nagios_perfdata{label="/",script="/s"}`] != 2643e6 ||
		s.Values[`nagios_perfdata{label="time to go",script="/s"}`] != 0.012 || s.Values[`script_bad_lines{script="/s"}`] != 2 {
		t.Errorf("a check of Nagios: %v, %v", s.Values, err)
	}
}

func TestWhatGoesWrong(t *testing.T) {
	for _, one := range []struct {
		answers map[string]string
		code    int
		fault   tallyman.ServiceFault
	}{
		{map[string]string{"-c": "no JSON"}, 0, tallyman.ParseFault}, {map[string]string{"-c": "{}"}, 0, tallyman.ParseFault}, {map[string]string{"-c": config}, 3, tallyman.ConfigFault},
		{nil, 127, tallyman.ConfigFault}, {map[string]string{"-c": `{"metrics":[{"id":1,"name":"a","datatype":"WORD"}]}`}, 0, tallyman.ParseFault},
	} {
		var fault *tallyman.ServiceError
		if _, _, err := scrape(t, inside(one.answers, one.code, nil), "SCRIPT", "/s"); !errors.As(err, &fault) || fault.Fault != one.fault {
			t.Errorf("%v, exit %d: %v, want %s", one.answers, one.code, err, one.fault)
		}
	}
	for _, pairs := range [][]string{{}, {"SCRIPT", `/a "b`}, {"SCRIPT", "/a", "FORMAT", "xml"}} {
		if err := check(servicetest.Config(pairs...)); err == nil {
			t.Errorf("%v is taken", pairs)
		}
	}
}

func FuzzData(f *testing.F) {
	f.Add(`M2 "1:a,2:b" 5`)
	f.Add(`E1 0 0 "m" "{"a":1}" S`)
	f.Add(`M1 1e400`)
	f.Add(`E1 0 0 " "{}`)
	p, err := readConfig([]byte(config))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		i := &instance{config: p, counts: map[string]float64{}, told: map[[2]string]string{}}
		i.data(text, servicetest.NewSink())
		i.nagios(tallyman.ExecResult{Stdout: []byte(text)}, servicetest.NewSink())
	})
}
