// SPDX-License-Identifier: Apache-2.0

package beanstalkd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/service/ask"
	"tallyman/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) { servicetest.Run(t, Kind(), servicetest.Config("PORT", "11300")) }

// serve is a container whose server answers each line by a function.
func serve(answer func(line string) string) *servicetest.Inside {
	return &servicetest.Inside{Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for lines := bufio.NewScanner(server); lines.Scan(); {
				if _, err := io.WriteString(server, answer(lines.Text())); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

// document is an answer as the server forms it.
func document(text string) string { return fmt.Sprintf("OK %d\r\n%s\r\n", len(text), text) }

// talk answers as a server with some tubes. What it does not know it does not answer: a
// command too many is seen.
func talk(t *testing.T, list string, tube func(name string) string) *servicetest.Inside {
	return serve(func(line string) string {
		command, name, _ := strings.Cut(line, " ")
		switch command {
		case "stats":
			return document("---\nversion: \"1.13\"\n")
		case "list-tubes":
			return document(list)
		case "stats-tube":
			return tube(name)
		}
		t.Errorf("the server is sent %q", line)
		return "UNKNOWN_COMMAND\r\n"
	})
}

func scrape(t *testing.T, in tallyman.Inside) (*servicetest.Sink, error) {
	t.Helper()
	i, err := open(in, servicetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	s := servicetest.NewSink()
	return s, i.Scrape(t.Context(), s)
}

func TestScrape(t *testing.T) {
	s, err := scrape(t, serve(func(line string) string {
		switch line {
		case "stats":
			return document("---\ncurrent-jobs-ready: 3\ncmd-put: 9\npid: 12\nversion: 1.12\nrusage-utime: 0.250000\ndraining: true\nid: 1e5\nhostname: 77\nuptime: nan\nbinlog-max-size: 10485760\n")
		case "list-tubes":
			return document("---\n- default\n- null\n- gone\n")
		case "stats-tube default":
			return document("---\nname: default\ncurrent-jobs-ready: 1\ntotal-jobs: 4\npause: 0\n")
		case "stats-tube null":
			return document("---\nname: \"null\"\ncurrent-jobs-buried: 2\n")
		}
		return "NOT_FOUND\r\n"
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"beanstalkd_up": 1, `beanstalkd_version{version="1.12"}`: 1, "beanstalkd_current_jobs_ready": 3, "beanstalkd_cmd_put": 9, "beanstalkd_rusage_utime": 0.25, "beanstalkd_draining": 1, "beanstalkd_binlog_max_size": 10485760,
		`beanstalkd_tube_current_jobs_ready{tube="default"}`: 1, `beanstalkd_tube_total_jobs{tube="default"}`: 4, `beanstalkd_tube_pause{tube="default"}`: 0, `beanstalkd_tube_current_jobs_buried{tube="null"}`: 2,
	}
	if d := cmp.Diff(want, s.Values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
}

func TestTubesAreBounded(t *testing.T) {
	var list strings.Builder
	list.WriteString("- " + ask.Other + "\n")
	for n := range 5000 {
		fmt.Fprintf(&list, "- tube-%04d\n", n)
	}
	asked := 0
	s, err := scrape(t, talk(t, list.String(), func(name string) string {
		asked++
		var n int
		_, _ = fmt.Sscanf(name, "tube-%d", &n)
		return document(fmt.Sprintf("total-jobs: %d\ncurrent-jobs-ready: 1\npause: 5\n", n))
	}))
	if err != nil {
		t.Fatal(err)
	}
	ready, alone := 0.0, 0
	for series, v := range s.Values {
		if strings.HasPrefix(series, "beanstalkd_tube_current_jobs_ready{") {
			ready += v
			alone++
		}
	}
	if asked != maxAsked || ready != maxAsked || alone != maxRows+1 {
		t.Errorf("%d tubes asked, %v jobs in %d series", asked, ready, alone)
	}
	if v, ok := s.Values[`beanstalkd_tube_total_jobs{tube="tube-1998"}`]; !ok || v != 1998 {
		t.Errorf("the tube with the most jobs has %v", v)
	}
	if _, ok := s.Values[`beanstalkd_tube_pause{tube="`+ask.Other+`"}`]; ok || s.Values[`beanstalkd_tube_current_jobs_ready{tube="`+ask.Other+`"}`] != maxAsked-maxRows {
		t.Errorf("the rest is %v", s.Values[`beanstalkd_tube_current_jobs_ready{tube="`+ask.Other+`"}`])
	}
}

// All series of the largest answer fit into what an instance may give, 2,000.
func TestSeriesFit(t *testing.T) {
	if n := 1 + 1 + len(ofServer) + (maxRows+1)*len(ofTube); n > 2000 {
		t.Errorf("there can be %d series", n)
	}
}

func TestHostileNames(t *testing.T) {
	list := "---\n- good\n- a b\n- x\rdelete 1\n- \n- -dash\n- \x00\n- tübe\n- " + strings.Repeat("x", maxName+1) + "\n- \"quoted\"\n- *ref\n-good2\n- " + strings.Repeat("y", maxName) + "\n- tr"
	var asked []string
	if _, err := scrape(t, talk(t, list, func(name string) string {
		asked = append(asked, name)
		return document("total-jobs: 1\n")
	})); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"good", "quoted", strings.Repeat("y", maxName), "tr"}, asked); d != "" {
		t.Errorf("tubes (-want +got):\n%s", d)
	}
}

func TestFaults(t *testing.T) {
	for name, one := range map[string]struct {
		answer string
		want   tallyman.ServiceFault
		fix    bool
	}{
		"web":      {"HTTP/1.1 400 Bad Request\r\n\r\n", tallyman.ParseFault, true},
		"unknown":  {"UNKNOWN_COMMAND\r\n", tallyman.ParseFault, true},
		"gone":     {"NOT_FOUND\r\n", tallyman.ParseFault, true},
		"memory":   {"OUT_OF_MEMORY\r\n", tallyman.ParseFault, true},
		"internal": {"INTERNAL_ERROR\r\n", tallyman.ParseFault, true},
		"negative": {"OK -3\r\n", tallyman.ParseFault, true},
		"no size":  {"OK\r\n", tallyman.ParseFault, true},
		"wrong":    {"OK 3\r\nversion: 1\r\n", tallyman.ParseFault, true},
		"nothing":  {document("---\n"), tallyman.ParseFault, true},
		"large":    {"OK 2000000000\r\n", tallyman.LimitFault, false},
		"larger":   {"OK 99999999999999999999\r\n", tallyman.ParseFault, true},
		"line":     {strings.Repeat("x", 1<<20), tallyman.ParseFault, true},
		"binary":   {"\x1b]0;owned\a\x00\r\n", tallyman.ParseFault, true},
	} {
		_, err := scrape(t, serve(func(string) string { return one.answer }))
		var fault *tallyman.ServiceError
		if !errors.As(err, &fault) || fault.Fault != one.want || (fault.Fix != "") != one.fix {
			t.Errorf("%s: %v (%+v)", name, err, fault)
		} else if strings.ContainsAny(err.Error(), "\x1b\a\x00") {
			t.Errorf("%s: what it answers is told as it is: %q", name, err)
		}
	}
	// It goes in the middle of an answer.
	if _, err := scrape(t, &servicetest.Inside{Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if _, err := bufio.NewReader(server).ReadString('\n'); err == nil {
				_, _ = io.WriteString(server, "OK 8000000\r\n---\n")
			}
		}()
		return client, nil
	}}); err == nil || !strings.Contains(err.Error(), "closes the connection") {
		t.Errorf("cut off: %v", err)
	}
	// A tube that says too much, or nonsense.
	for _, answer := range []string{document(strings.Repeat("x", maxTube+1)), "BAD_FORMAT\r\n"} {
		if s, err := scrape(t, talk(t, "- a\n", func(string) string { return answer })); err == nil || len(s.Values) > 0 {
			t.Errorf("a tube answers %.20q: %v, %v", answer, err, s.Values)
		}
	}
}

// A server that never ends its answer is left when the time is over.
func TestEndless(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in := &servicetest.Inside{Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if _, err := bufio.NewReader(server).ReadString('\n'); err != nil {
				return
			}
			_, err := io.WriteString(server, "OK 8000000\r\n")
			for n := 0; err == nil; n++ {
				if _, err = io.WriteString(server, "a: 1\n"); n == 1000 {
					cancel()
				}
			}
		}()
		return client, nil
	}}
	i, err := open(in, servicetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Scrape(ctx, servicetest.NewSink()); err == nil {
		t.Error("an answer without an end is good")
	}
}

func TestCheck(t *testing.T) {
	for answer, good := range map[string]bool{"USING default\r\n": true, "NOT_FOUND\r\n": false, "OK 3\r\n": false, "DRAINING\r\n": false, "": false} {
		in := serve(func(line string) string {
			if line != "list-tube-used" {
				t.Errorf("the check sends %q", line)
			}
			return answer
		})
		if answer == "" {
			in.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
		}
		i, _ := open(in, servicetest.Config())
		if err := i.(tallyman.ServiceChecker).Check(t.Context()); (err == nil) != good {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestFind(t *testing.T) {
	process := func(args ...string) tallyman.ServiceFacts {
		return tallyman.ServiceFacts{Processes: []tallyman.ServiceProcess{{Name: "sh"}, {Name: "beanstalkd", Args: append([]string{"beanstalkd"}, args...)}}}
	}
	for name, one := range map[string]struct {
		facts tallyman.ServiceFacts
		want  string
	}{
		"other":    {tallyman.ServiceFacts{Image: "nginx"}, ""},
		"image":    {tallyman.ServiceFacts{Image: "schickling/beanstalkd"}, "11300"},
		"library":  {tallyman.ServiceFacts{Image: "beanstalkd", Command: []string{"beanstalkd", "-p", "11400"}}, "11400"},
		"process":  {process(), "11300"},
		"port":     {process("-p11301", "-V"), "11301"},
		"wildcard": {process("-l", "0.0.0.0", "-p", "11301"), "11301"},
		"wide":     {process("-l", "::"), "11300"},
		"loopback": {process("-l", "127.0.0.1"), "11300"},
		"address":  {process("-l", "10.0.0.5"), "10.0.0.5:11300"},
		"socket":   {process("-l", "unix:/run/b.sock"), "/run/b.sock"},
		"twice": {tallyman.ServiceFacts{Processes: []tallyman.ServiceProcess{
			{Name: "beanstalkd", Args: []string{"beanstalkd"}}, {Name: "beanstalkd", Args: []string{"beanstalkd"}}, {Name: "beanstalkd", Args: []string{"beanstalkd", "-p", "2"}}}}, "11300 2"},
	} {
		var got []string
		for _, c := range find(&servicetest.Inside{F: one.facts}) {
			got = append(got, Kind().Where(c))
		}
		if strings.Join(got, " ") != one.want {
			t.Errorf("%s: %q, want %q", name, got, one.want)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add(document("---\nversion: \"1.13\"\nuptime: 3\n- default\n- a b\n"))
	f.Add("NOT_FOUND\r\n")
	f.Add("OK 5\r\n- \"\"\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := &client{r: bufio.NewReaderSize(strings.NewReader(text), maxLine)}
		b, err := c.document("stats", 1<<16)
		if err != nil {
			return
		}
		for _, v := range fields(b) {
			number(v)
		}
		names := tubes(b, 10)
		if len(names) > 10 {
			t.Errorf("%d names", len(names))
		}
		for _, name := range names {
			if strings.ContainsAny(name, " \r\n") || len(name) > maxName {
				t.Errorf("%q is taken for a tube", name)
			}
		}
	})
}
