// SPDX-License-Identifier: Apache-2.0

package httpx

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"tallyman"
)

func TestWriteError(t *testing.T) {
	f := func(err error, status int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		WriteError(w, err)
		if w.Code != status || w.Body.String() != body+"\n" {
			t.Errorf("%v: %d %s, want %d %s", err, w.Code, w.Body, status, body)
		}
		if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v: the header is %v", err, w.Header())
		}
	}
	f(Bad("limit", "it is no number", "give one"), 400, `{"error":{"code":"bad_limit","message":"it is no number","next":"give one"}}`)
	f(fmt.Errorf("somewhere: %w", &Error{Status: 418, Code: "tea", Message: "a pot"}), 418, `{"error":{"code":"tea","message":"a pot"}}`)
	f(fmt.Errorf("the container x: %w", tallyman.ErrNotFound), 404, `{"error":{"code":"not_found","message":"the container x: `+tallyman.ErrNotFound.Error()+`"}}`)
	f(errors.New("oh"), 500, `{"error":{"code":"internal","message":"oh","next":"tallyman's log may say more"}}`)
	if err := Bad("a", "words", ""); err.Error() != "words" {
		t.Errorf("the error reads %q", err)
	}
}

func TestWriteJSON(t *testing.T) {
	w := httptest.NewRecorder()
	WriteJSON(w, map[string]int{"a": 1})
	if w.Code != 200 || w.Body.String() != "{\"a\":1}\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	WriteJSON(w, math.NaN()) // JSON has none
	if w.Code != 500 || !strings.Contains(w.Body.String(), "cannot encode") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// request has one parameter.
func request(value string) *http.Request {
	return httptest.NewRequest(http.MethodGet, "/?"+url.Values{"p": {value}}.Encode(), nil)
}

// refused wants a 400 for the parameter with a next step.
func refused(t *testing.T, value string, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Status != 400 || e.Code != "bad_p" || e.Next == "" {
		t.Errorf("%q: got error %v, want a 400 for it", value, err)
	}
}

func TestMillis(t *testing.T) {
	f := func(value string, want time.Time) {
		t.Helper()
		if got, err := Millis(request(value), "p"); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", value, got, err, want)
		}
	}
	f("", time.Time{})
	f("0", time.Time{})
	f("1700000000123", time.UnixMilli(1700000000123))
	for _, bad := range []string{"-1", "x", "1.5", "99999999999999", "99999999999999999999"} {
		_, err := Millis(request(bad), "p")
		refused(t, bad, err)
	}
}

func TestInt(t *testing.T) {
	f := func(value string, want int) {
		t.Helper()
		if got, err := Int(request(value), "p", 7, 1, 9); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", value, got, err, want)
		}
	}
	f("", 7)
	f("1", 1)
	f("9", 9)
	for _, bad := range []string{"0", "10", "-3", "x", "2.0", "99999999999999999999"} {
		_, err := Int(request(bad), "p", 7, 1, 9)
		refused(t, bad, err)
	}
}
