// SPDX-License-Identifier: Apache-2.0

package influx

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/forward/forwardtest"
	"tallyman/forward/send"
	"tallyman/forward/spool"
	"tallyman/internal/secret"
	"tallyman/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func decode(r *http.Request, body []byte) (out []string, err error) {
	text, err := forwardtest.Unpack(r.Header, body)
	if err != nil {
		return nil, err
	}
	for l := range strings.Lines(string(text)) {
		var n string
		head, value, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " value=")
		for _, tag := range strings.Split(head, ",") {
			if v, ok := strings.CutPrefix(tag, "n="); ok {
				n = v
			}
		}
		v, at, _ := strings.Cut(value, " ")
		number, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return nil, err
		}
		ms, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return nil, err
		}
		if n == "" {
			out = append(out, "probe")
			continue
		}
		out = append(out, forwardtest.SampleLine(n, ms, number))
	}
	return out, nil
}

func mustNew(t testing.TB, url string, r *spool.Reader) *send.SampleForwarder[series] {
	t.Helper()
	c, err := send.New(send.Options{URL: secret.Text(url)})
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(Options{Client: c, Host: "h", patience: time.Nanosecond}, send.SampleOptions{Name: forwardtest.Name, Reader: r, Gather: time.Millisecond, Line: send.LineOptions{Least: time.Millisecond, Hold: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestContract(t *testing.T) {
	forwardtest.TestSamples(t, forwardtest.SampleForwarder{Decode: decode,
		New: func(t *testing.T, url string, r *spool.Reader) (func(context.Context) error, func() forwardtest.Counts) {
			f := mustNew(t, url, r)
			return f.Run, func() forwardtest.Counts {
				read, sent, _ := f.Counts()
				return forwardtest.Counts{Read: read, Sent: sent, Refused: f.Stats().Refused}
			}
		}})
}

// hard are labels that are hard to write.
var hard = []tallyman.Label{{Name: "a b", Value: "x,y=z \\"}, {Name: "c", Value: "line\nfeed\x00"}, {Name: "d", Value: "back\\slash"}, {Name: "e", Value: `\,"ü`}, {Name: "empty"}, {Name: "f", Value: "\xff"}}

func TestLines(t *testing.T) {
	f := &format{opt: Options{External: []tallyman.Label{{Name: "dc", Value: "fra"}, {Name: "c", Value: "no"}}}}
	s := f.Series(&spool.Series{Name: "m, n", Labels: hard})
	r := f.Request([]point{{Series: s, Time: 1000, Value: 1e-7}, {Series: s, Time: 2000, Value: 1 << 60}})
	got, err := forwardtest.Unpack(r.Header, r.Body)
	const head = `m\,\ n,a\ b=x\,y\=z\ /,c=line\ feed\ ,d=back\slash,dc=fra,e=/\,"ü,f=` + "\ufffd"
	if want := head + " value=1e-07 1000\n" + head + " value=1.152921504606847e+18 2000\n"; err != nil || string(got) != want {
		t.Errorf("got\n%s, want\n%s %v", got, want, err)
	}
}

func TestOutcome(t *testing.T) {
	for body, want := range map[string]struct {
		n      int
		reason string
	}{
		`{"error":"partial write: points beyond retention policy dropped=3"}`:                                                                               {3, "too_old"},
		`{"error":"partial write: field type conflict: input field \"value\" on measurement \"m\" is type string, already exists as type float dropped=1"}`: {1, "type_conflict"},
		`{"error":"partial write: unable to parse 'a b': invalid\nunable to parse 'c': missing fields dropped=0"}`:                                          {2, "unreadable"},
		`{"error":"unable to parse 'm value=': invalid number"}`:                                                                                            {1, "unreadable"},
		`{"error":"max-values-per-tag limit exceeded (100000/100000) dropped=99"}`:                                                                          {5, "limit"},
		"\xff": {5, send.Otherwise},
	} {
		out := (&format{}).Outcome(&send.Answer{Verdict: send.Refuse, Status: 400, Body: []byte(body)}, make([]point, 5))
		if out.Refused != want.n || out.Reason != want.reason {
			t.Errorf("%s: %d for %s, want %+v", body, out.Refused, out.Reason, want)
		}
	}
}

// A real InfluxDB 1 takes samples, waits for its database, tells what it does not take, and is
// killed in between: it has each sample once.
func TestRealInfluxDB(t *testing.T) {
	dir, address, other := t.TempDir(), testkit.FreeAddress(t), testkit.FreeAddress(t)
	config := filepath.Join(dir, "influxdb.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, "reporting-disabled = true\nbind-address = %q\n[meta]\ndir = \"%s/meta\"\n[data]\ndir = \"%s/data\"\nwal-dir = \"%s/wal\"\n[http]\nbind-address = %q\nlog-enabled = false\n[monitor]\nstore-enabled = false\n", other, dir, dir, dir, address), 0o600); err != nil {
		t.Fatal(err)
	}
	base := "http://" + address
	start := func() *testkit.Server {
		s := testkit.StartServer(t, "influxd", "install Debian's package influxdb", "-config", config)
		testkit.Eventually(t, time.Minute, "InfluxDB answers", func() error {
			r, err := http.Get(base + "/ping")
			if err == nil {
				r.Body.Close()
			}
			return err
		})
		return s
	}
	query := func(q string) (count int, text string) {
		t.Helper()
		r, err := http.PostForm(base+"/query", url.Values{"db": {"tallyman"}, "q": {q}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Results []struct{ Series []struct{ Values [][]any } }
		}
		if err := json.Unmarshal(b, &answer); err == nil && len(answer.Results) > 0 && len(answer.Results[0].Series) > 0 {
			n, _ := answer.Results[0].Series[0].Values[0][1].(float64)
			count = int(n)
		}
		return count, string(b)
	}
	server := start()
	s, reader := forwardtest.NewSpool(t)
	f := mustNew(t, base+"/write?db=tallyman&precision=ms", reader)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	good := forwardtest.Host.Series(forwardtest.Desc, hard...)
	bad := forwardtest.Host.Series(&tallyman.Desc{Name: "taken"}, tallyman.Label{Name: "n", Value: "1"})
	begin := time.Now().Add(-time.Hour).UnixMilli()
	put := func(from, to int, bad ...*tallyman.Series) {
		for i := from; i < to; i++ {
			b := &tallyman.Batch{Time: time.UnixMilli(begin + int64(i))}
			b.Add(good, float64(i))
			for _, one := range bad {
				b.Add(one, float64(i))
			}
			b.Add(forwardtest.Host.Series(forwardtest.Desc, tallyman.Label{Name: "n", Value: "nan"}), math.NaN())
			if _, err := s.AppendSamples(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	taken := func() {
		t.Helper()
		testkit.Eventually(t, time.Minute, "all is answered", func() error {
			if st := f.Stats(); st.Waiting > 0 {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
	}
	put(0, 10)
	testkit.Eventually(t, time.Minute, "the database is missing", func() error {
		if st := f.Stats(); st.Up || !strings.Contains(st.Reason, "database not found") {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	query("CREATE DATABASE tallyman")
	taken()
	if r, err := http.Post(base+"/write?db=tallyman", "", strings.NewReader(`taken,host=x value="text"`)); err != nil || r.StatusCode != http.StatusNoContent {
		t.Fatalf("%v", err)
	} else {
		r.Body.Close()
	}
	put(10, 20, bad)
	taken()
	server.Kill()
	put(20, 40)
	start()
	put(40, 50)
	taken()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	n, text := query(`SELECT COUNT(value) FROM m_bytes_total WHERE "d"='back\\slash' AND "f"='` + "\ufffd" + `'`)
	read, sent, refused := f.Counts()
	t.Logf("%d read, %d sent, refused %v; InfluxDB has %d", read, sent, refused, n)
	if n != 50 || read != 60 || sent+refused["type_conflict"] != read || refused["type_conflict"] == 0 {
		t.Errorf("it has %d, want 50: %s; %d read, %d sent, %v", n, text, read, sent, refused)
	}
}

// FuzzSeries writes any labels: a line has one field and one time, and no line feed.
func FuzzSeries(f *testing.F) {
	f.Add("m", "a=,\\ ", "x\n\\")
	f.Fuzz(func(t *testing.T, name, label, value string) {
		head := string((&format{}).Series(&spool.Series{Name: name, Labels: []tallyman.Label{{Name: label, Value: value}}}).head)
		plain, spaces := false, 0 // a backslash before
		for i := range len(head) {
			if c := head[i]; c == '\n' || c == 0 {
				t.Fatalf("%q", head)
			} else if c == ' ' && !plain {
				spaces++
			}
			plain = head[i] == '\\'
		}
		if spaces != 1 {
			t.Fatalf("%q has %d spaces", head, spaces)
		}
	})
}
