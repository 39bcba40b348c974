// SPDX-License-Identifier: Apache-2.0

package loki_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
)

// stored are the lines of a selector with their metadata, in the order of time.
func (f *fixture) stored(t *testing.T, selector string) (out []string) {
	t.Helper()
	w := f.get("query_range", with("query", selector+` | drop detected_level`, "direction", "forward", "limit", "1000")...)
	var a struct {
		Data struct {
			Result []struct {
				Stream map[string]string
				Values [][2]string
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	for _, s := range a.Data.Result {
		delete(s.Stream, "app")
		for _, v := range s.Values {
			text := v[0] + " " + v[1]
			if len(s.Stream) > 0 {
				text += fmt.Sprint(" ", s.Stream)
			}
			out = append(out, strings.TrimPrefix(text, "17951688"))
		}
	}
	slices.Sort(out)
	return out
}

func (f *fixture) pushJSON(body string) (int, string) {
	w := f.push("application/json", "", []byte(strings.NewReplacer("@0", nano(start), "@1", nano(start.Add(time.Second)), "@2", nano(start.Add(2*time.Second))).Replace(body)))
	return w.Code, w.Body.String()
}

// What is bad is left out, the rest is stored.
func TestPushStoresWhatIsGood(t *testing.T) {
	f := newFixture(t)
	n := 0
	check := func(message, body string) {
		t.Helper()
		n++
		app := fmt.Sprintf("good%d", n)
		code, text := f.pushJSON(strings.ReplaceAll(body, "APP", `{"app":"`+app+`"}`))
		if code != http.StatusBadRequest || !strings.Contains(text, message) {
			t.Errorf("%s: %d %s, want 400 … %s …", body, code, text, message)
		}
		if got := f.stored(t, `{app="`+app+`"}`); len(got) != 1 || !strings.Contains(got[0], "fine") {
			t.Errorf("%s: stored %q, want the line that is fine", body, got)
		}
	}
	for _, bad := range []string{`["x","a"]`, `[5,"a"]`, `["-5","a"]`, `["0","a"]`, `["@0",null]`, `["@0",5]`, `[]`, `5`, `{}`, `["@0","a",{"m":5}]`, `["@0","a",{"m":{"n":"o"}}]`,
		`["@0","a",{"":"1"}]`, `["@0","` + strings.Repeat("x", 300<<10) + `"]`, `["@0","a",{"m":"` + strings.Repeat("x", 70<<10) + `"}]`} {
		check("", `{"streams":[{"stream":APP,"values":[`+bad+`,["@1","fine"]]}]}`)
		check("", `{"streams":[{"stream":APP,"values":[["@1","fine"],`+bad+`]}]}`)
	}
	for _, bad := range []string{`{"stream":{},"values":[["@0","a"]]}`, `{"stream":{"a-b":"c"},"values":[["@0","a"]]}`, `{"stream":{"a":5},"values":[["@0","a"]]}`, `{"stream":5}`, `5`,
		`{"labels":"{a=","entries":[]}`, `{"stream":{"a":"` + strings.Repeat("x", 3000) + `"},"values":[["@0","a"]]}`} {
		check("", `{"streams":[`+bad+`,{"stream":APP,"values":[["@1","fine"]]}]}`)
		check("", `{"streams":[{"stream":APP,"values":[["@1","fine"]]},`+bad+`]}`)
	}
	check("2 more were refused", `{"streams":[{"stream":APP,"values":[["x","a"],["y","a"],["@1","fine"],["z","a"]]}]}`)

	// In protobuf too: a line without a time, and labels that are none.
	plain := func(b []byte) []byte {
		p, err := s2.Decode(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for i, bad := range [][]byte{request(`{app="x"}`, time.Unix(0, 0), "bad"), request(`{app=~"x"}`, start, "bad"), request(`{`, start, "bad"), request(`{}`, start, "bad")} {
		app := fmt.Sprintf(`{app="proto%d"}`, i)
		both := append(plain(bad), plain(request(app, start, "fine"))...)
		if w := f.push("application/x-protobuf", "", s2.EncodeSnappy(nil, both)); w.Code != http.StatusBadRequest {
			t.Errorf("%d %s, want 400", w.Code, w.Body)
		}
		if got := f.stored(t, app); len(got) != 1 {
			t.Errorf("stored %q, want the line that is fine", got)
		}
	}
}

// Lines that are there already are kept once.
func TestPushKeepsRepeatsOnce(t *testing.T) {
	f := newFixture(t)
	push := func(body string) {
		t.Helper()
		if code, text := f.pushJSON(body); code != http.StatusNoContent {
			t.Fatalf("%d %s", code, text)
		}
	}
	want := func(app string, lines ...string) {
		t.Helper()
		if got := f.stored(t, `{app="`+app+`"}`); !slices.Equal(got, lines) {
			t.Errorf("%s: stored %q, want %q", app, got, lines)
		}
	}
	const first = `{"streams":[{"stream":{"app":"r"},"values":[["@0","x"],["@0","x"],["@0","y"],["@0","x",{"a":"b"}],["@1","x"],["@0","x",{"a":"b"}]]}]}`
	all := []string{"00000000000 x", "00000000000 x map[a:b]", "00000000000 y", "01000000000 x"}
	push(first)
	want("r", all...)
	push(first)
	push(`{"streams":[{"stream":{"app":"r"},"values":[["@0","y"]]},{"stream":{"app":"r"},"values":[["@0","y"],["@1","x"]]}]}`)
	want("r", all...)
	push(`{"streams":[{"stream":{"app":"r"},"values":[["@1","x"],["@1","new"],["@2","newer"],["@0","late"]]}]}`)
	want("r", "00000000000 late", "00000000000 x", "00000000000 x map[a:b]", "00000000000 y", "01000000000 new", "01000000000 x", "02000000000 newer")

	// Another stream, more labels of the same too, is no repeat.
	push(`{"streams":[{"stream":{"app":"r2"},"values":[["@0","x"]]},{"stream":{"app":"r2","b":"c"},"values":[["@0","x"]]}]}`)
	push(`{"streams":[{"stream":{"app":"r2","b":"c"},"values":[["@0","x"]]},{"stream":{"app":"r2"},"values":[["@0","x"]]}]}`)
	want("r2", "00000000000 x", "00000000000 x map[b:c]")

	// So it is after a restart, and when the first try was not stored.
	f.restart()
	push(first)
	push(`{"streams":[{"stream":{"app":"r"},"values":[["@2","newer"]]}]}`)
	if got := f.stored(t, `{app="r"}`); len(got) != 7 {
		t.Errorf("after a restart: %q", got)
	}
	f.refused = errors.New("full")
	if code, _ := f.pushJSON(`{"streams":[{"stream":{"app":"r3"},"values":[["@0","x"]]}]}`); code != http.StatusServiceUnavailable {
		t.Errorf("%d, want 503", code)
	}
	f.refused = nil
	push(`{"streams":[{"stream":{"app":"r3"},"values":[["@0","x"]]}]}`)
	want("r3", "00000000000 x")

	// And when several come at once.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { push(`{"streams":[{"stream":{"app":"r4"},"values":[["@0","x"],["@1","y"]]}]}`) })
	}
	wg.Wait()
	want("r4", "00000000000 x", "01000000000 y")
}

func TestPushOlderForms(t *testing.T) {
	f := newFixture(t)
	ts := start.Format(time.RFC3339Nano)
	for _, c := range []struct{ body, want string }{
		{`{"streams":[{"labels":"{app=\"o1\", env=\"e\"}","entries":[{"ts":"` + ts + `","line":"old"}]}]}`, "00000000000 old map[env:e]"},
		{`{"streams":[{"stream":{"app":"o2"},"values":[["@0"]]}]}`, "00000000000 "},
		{`{"streams":[{"stream":{"app":"o3"},"values":[["@0","four",{"a":"b"},"more"]]}]}`, "00000000000 four map[a:b]"},
		{`{"streams":[{"stream":{"app":"o4"},"values":[["@0","five",{"a":"b"},{"c":"d"},5]]}]}`, "00000000000 five map[a:b]"},
	} {
		if code, text := f.pushJSON(c.body); code != http.StatusNoContent {
			t.Errorf("%s: %d %s", c.body, code, text)
		}
	}
	for i, want := range []string{"00000000000 old map[env:e]", "00000000000 ", "00000000000 four map[a:b]", "00000000000 five map[a:b]"} {
		if got := f.stored(t, fmt.Sprintf(`{app="o%d"}`, i+1)); len(got) != 1 || got[0] != want {
			t.Errorf("o%d: stored %q, want %q", i+1, got, want)
		}
	}
	if code, text := f.pushJSON(`{"streams":[{"labels":"{app=\"o5\"}","entries":[{"line":"x"},{"ts":"` + ts + `"},{"ts":"` + ts + `","line":"fine"}]}]}`); code != http.StatusBadRequest {
		t.Errorf("%d %s, want 400", code, text)
	}
	if got := f.stored(t, `{app="o5"}`); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
}

// Only tallyman writes under its own sources.
func TestPushReserved(t *testing.T) {
	f := newFixture(t)
	for _, source := range []string{"container", "journal", "file", "event"} {
		for i, body := range []string{
			`{"streams":[{"stream":{"app":"s","source":"` + source + `","exported_source":"y"},"values":[["@0","json"]]}]}`,
			`{"streams":[{"labels":"{app=\"s\", source=\"` + source + `\"}","entries":[{"ts":"` + start.Format(time.RFC3339) + `","line":"old"}]}]}`,
		} {
			if code, text := f.pushJSON(body); code != http.StatusNoContent {
				t.Errorf("%d: %d %s", i, code, text)
			}
		}
		if w := f.push("application/x-protobuf", "", request(`{app="s", source="`+source+`"}`, start, "protobuf")); w.Code != http.StatusNoContent {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if got := f.stored(t, `{app="s", exported_source="`+source+`", source=""}`); len(got) != 3 {
			t.Errorf("%s: %q, want three lines", source, got)
		}
	}
	if got := f.stored(t, `{source=~".+"}`); len(got) > 0 {
		t.Errorf("stored %q", got)
	}
}

// Names of metadata are made valid, in the same way each time.
func TestPushNames(t *testing.T) {
	f := newFixture(t)
	for i, c := range []struct{ meta, want string }{
		{`{"a.b":"1","a_b":"2"}`, "a_b:1"},
		{`{"a_b":"2","a.b":"1"}`, "a_b:1"},
		{`{"a.b":"1","a-b":"2","a_b":"3"}`, "a_b:2"},
		{`{"a_b":"3","a-b":"2","a.b":"1"}`, "a_b:2"},
		{`{"1x":"4"}`, "key_1x:4"},
		{`{"9":"1"}`, "key_9:1"},
		{`{"__y":"8","a__b":"9"}`, "_y:8 a_b:9"},
		{`{"a:b/c-d e":"1"}`, "a_b_c_d_e:1"},
		{`{"éa":"1","..b":"2","_x":"3"}`, "_a:1 _b:2 _x:3"},
		{`{"X.Y":"1","z":""}`, "X_Y:1"},
	} {
		for range 3 { // chance must not decide
			if code, text := f.pushJSON(fmt.Sprintf(`{"streams":[{"stream":{"app":"n%d"},"values":[["@0","x",%s]]}]}`, i, c.meta)); code != http.StatusNoContent {
				t.Fatalf("%s: %d %s", c.meta, code, text)
			}
		}
		if got := f.stored(t, fmt.Sprintf(`{app="n%d"}`, i)); len(got) != 1 || !strings.HasSuffix(got[0], "map["+c.want+"]") {
			t.Errorf("%s: %q, want %s", c.meta, got, c.want)
		}
	}
}
