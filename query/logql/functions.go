// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode"

	"github.com/grafana/regexp"
)

// regexps keeps compiled expressions of one template.
type regexps map[string]*regexp.Regexp

func (r *regexps) get(expression string) (*regexp.Regexp, error) {
	if re, ok := (*r)[expression]; ok {
		return re, nil
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		return nil, err
	}
	if *r == nil || len(*r) >= 64 {
		*r = regexps{}
	}
	(*r)[expression] = re
	return re, nil
}

// bound refuses texts that are too long. Whatever makes a text of a text goes
// through it: doubling something a few dozen times fills any memory.
func bound(s string) (string, error) {
	if len(s) > maxFormatted {
		return "", errLong
	}
	return s, nil
}

// text bounds what a function makes of a text.
func text(f func(string) string) func(string) (string, error) {
	return func(s string) (string, error) { return bound(f(s)) }
}

// escape bounds a function of text/template.
func escape(f func(...any) string) func(...any) (string, error) {
	return func(v ...any) (string, error) {
		if err := boundArgs(v); err != nil {
			return "", err
		}
		return bound(f(v...))
	}
}

// boundArgs refuses arguments that are too long together.
func boundArgs(v []any) error {
	n := 0
	for _, x := range v {
		if s, ok := x.(string); ok {
			n += len(s)
		}
	}
	if n > maxFormatted {
		return errLong
	}
	return nil
}

// maxVerbs is how many things one printf prints.
const maxVerbs = 64

func printf(format string, v ...any) (string, error) {
	if strings.Count(format, "%") > maxVerbs {
		return "", errLong
	}
	if err := boundArgs(v); err != nil {
		return "", err
	}
	return bound(fmt.Sprintf(format, v...))
}

// replaceN replaces the first n of a text, all when n is negative.
func replaceN(s, from, to string, n int) (string, error) {
	count := strings.Count(s, from)
	if n >= 0 {
		count = min(count, n)
	}
	if len(s)+count*max(len(to)-len(from), 0) > maxFormatted {
		return "", errLong
	}
	return strings.Replace(s, from, to, n), nil
}

// replaceExpression replaces what an expression fits. literal takes to as it is.
func (t *lineTemplate) replaceExpression(expression, s, to string, literal bool) (string, error) {
	re, err := t.cache.get(expression)
	if err != nil {
		return "", err
	}
	var b []byte
	last := 0
	for _, at := range re.FindAllStringSubmatchIndex(s, -1) {
		b = append(b, s[last:at[0]]...)
		if literal {
			b = append(b, to...)
		} else {
			b = re.ExpandString(b, to, s, at)
		}
		if last = at[1]; len(b) > maxFormatted {
			return "", errLong
		}
	}
	return bound(string(append(b, s[last:]...)))
}

// functions are those of Loki's templates.
func (t *lineTemplate) functions() template.FuncMap {
	return template.FuncMap{
		tickName:        t.turn,
		"__line__":      func() string { return string(t.line.text) },
		"__timestamp__": func() time.Time { return time.Unix(0, t.line.time).UTC() },

		"print": escape(fmt.Sprint), "println": escape(fmt.Sprintln), "printf": printf,
		"html": escape(template.HTMLEscaper), "js": escape(template.JSEscaper), "urlquery": escape(template.URLQueryEscaper),

		"ToLower": text(strings.ToLower), "ToUpper": text(strings.ToUpper), "Replace": replaceN, "Trim": strings.Trim,
		"TrimLeft": strings.TrimLeft, "TrimRight": strings.TrimRight, "TrimPrefix": strings.TrimPrefix,
		"TrimSuffix": strings.TrimSuffix, "TrimSpace": strings.TrimSpace,
		"lower": text(strings.ToLower), "upper": text(strings.ToUpper), "title": text(title), "trim": strings.TrimSpace,
		"trunc": trunc, "substr": substr, "alignLeft": alignLeft, "alignRight": alignRight,
		"contains":   func(part, s string) bool { return strings.Contains(s, part) },
		"hasPrefix":  func(part, s string) bool { return strings.HasPrefix(s, part) },
		"hasSuffix":  func(part, s string) bool { return strings.HasSuffix(s, part) },
		"trimAll":    func(cut, s string) string { return strings.Trim(s, cut) },
		"trimPrefix": func(part, s string) string { return strings.TrimPrefix(s, part) },
		"trimSuffix": func(part, s string) string { return strings.TrimSuffix(s, part) },
		"replace":    func(from, to, s string) (string, error) { return replaceN(s, from, to, -1) },
		"repeat":     repeat, "indent": indent,
		"nindent": func(n int, s string) (string, error) {
			s, err := indent(n, s)
			return "\n" + s, err // one byte more does no harm
		},
		"default": func(fallback any, v ...any) any {
			if len(v) > 0 {
				if truth, ok := template.IsTrue(v[0]); ok && truth {
					return v[0]
				}
			}
			return fallback
		},

		"regexReplaceAll":        func(e, s, to string) (string, error) { return t.replaceExpression(e, s, to, false) },
		"regexReplaceAllLiteral": func(e, s, to string) (string, error) { return t.replaceExpression(e, s, to, true) },
		"count": func(expression, s string) (int, error) {
			re, err := t.cache.get(expression)
			if err != nil {
				return 0, err
			}
			return len(re.FindAllStringIndex(s, -1)), nil
		},

		"int": toInt, "float64": toFloat,
		"add":  func(v ...any) int64 { return fold(v, func(a, b int64) int64 { return a + b }) },
		"mul":  func(v ...any) int64 { return fold(v, func(a, b int64) int64 { return a * b }) },
		"sub":  func(a, b any) int64 { return toInt64(a) - toInt64(b) },
		"div":  divide,
		"mod":  modulo,
		"max":  func(v ...any) int64 { return fold(v, func(a, b int64) int64 { return max(a, b) }) },
		"min":  func(v ...any) int64 { return fold(v, func(a, b int64) int64 { return min(a, b) }) },
		"addf": func(v ...any) (float64, error) { return decimal(plus)(0, v...) },
		"subf": decimal(minus), "mulf": decimal(times), "divf": decimal(over),
		"maxf": func(v ...any) float64 { return foldf(v, math.Max) },
		"minf": func(v ...any) float64 { return foldf(v, math.Min) },
		"ceil": func(v any) float64 { return math.Ceil(toFloat(v)) }, "floor": func(v any) float64 { return math.Floor(toFloat(v)) },
		"round": round,

		"fromJson": func(s string) any {
			var v any
			_ = json.Unmarshal([]byte(s), &v) // what is no JSON is nothing
			return v
		},
		"bytes": func(s string) (float64, error) {
			v, ok := parseBytes(s)
			if !ok {
				return 0, fmt.Errorf("%q is no size", s)
			}
			return v, nil
		},
		"duration": seconds, "duration_seconds": seconds,
		"b64enc": text(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
		"b64dec": func(s string) (string, error) {
			b, err := base64.StdEncoding.DecodeString(s)
			return string(b), err
		},
		"urlencode": text(url.QueryEscape), "urldecode": url.QueryUnescape,

		"now":  time.Now,
		"date": func(layout string, v any) (string, error) { return bound(toTime(v).Format(layout)) },
		"toDate": func(layout, s string) time.Time {
			at, _ := time.ParseInLocation(layout, s, time.Local) // what is no date is the zero time
			return at
		},
		"toDateInZone": func(layout, zone, s string) time.Time {
			where, err := time.LoadLocation(zone)
			if err != nil {
				where = time.UTC
			}
			at, _ := time.ParseInLocation(layout, s, where) // the same
			return at
		},
		"unixEpoch":       func(v time.Time) string { return strconv.FormatInt(v.Unix(), 10) },
		"unixEpochMillis": func(v time.Time) string { return strconv.FormatInt(v.UnixMilli(), 10) },
		"unixEpochNanos":  func(v time.Time) string { return strconv.FormatInt(v.UnixNano(), 10) },
		"unixToTime":      unixToTime,
	}
}

func title(s string) string {
	previous := ' '
	return strings.Map(func(r rune) rune {
		first := !unicode.IsLetter(previous) && !unicode.IsDigit(previous) && previous != '_'
		previous = r
		if first {
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

func trunc(n int, s string) string {
	r := []rune(s)
	switch {
	case n < 0 && len(r)+n > 0:
		return string(r[len(r)+n:])
	case n >= 0 && len(r) > n:
		return string(r[:n])
	}
	return s
}

func substr(start, end int, s string) string {
	r := []rune(s)
	if start < 0 {
		start = 0
	}
	if end < 0 || end > len(r) {
		end = len(r)
	}
	if start >= end {
		return ""
	}
	return string(r[start:end])
}

func alignLeft(n int, s string) (string, error) {
	r := []rune(s)
	if n < 0 || len(r) >= n {
		return trunc(max(n, 0), s), nil
	}
	pad, err := repeat(n-len(r), " ")
	return s + pad, err
}

func alignRight(n int, s string) (string, error) {
	r := []rune(s)
	if n < 0 || len(r) >= n {
		return string(r[len(r)-min(max(n, 0), len(r)):]), nil
	}
	pad, err := repeat(n-len(r), " ")
	return pad + s, err
}

func repeat(n int, s string) (string, error) {
	if n <= 0 || s == "" {
		return "", nil
	}
	if n > maxFormatted/len(s) {
		return "", errLong
	}
	return strings.Repeat(s, n), nil
}

func indent(n int, s string) (string, error) {
	pad, err := repeat(n, " ")
	if err != nil {
		return "", err
	}
	if (strings.Count(s, "\n")+1)*len(pad) > maxFormatted {
		return "", errLong
	}
	return pad + strings.ReplaceAll(s, "\n", "\n"+pad), nil
}

func seconds(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	return d.Seconds(), err
}

func unixToTime(s string) (time.Time, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time", s)
	}
	switch len(s) {
	case 5: // days
		return time.Unix(n*24*60*60, 0), nil
	case 10:
		return time.Unix(n, 0), nil
	case 13:
		return time.UnixMilli(n), nil
	case 16:
		return time.UnixMicro(n), nil
	case 19:
		return time.Unix(0, n), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: it has neither 5, 10, 13, 16 nor 19 digits", s)
}

func toTime(v any) time.Time {
	switch v := v.(type) {
	case time.Time:
		return v
	case int64:
		return time.Unix(v, 0)
	case int:
		return time.Unix(int64(v), 0)
	default:
		return time.Now()
	}
}
