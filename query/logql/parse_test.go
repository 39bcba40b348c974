// SPDX-License-Identifier: Apache-2.0

package logql_test

import (
	"errors"
	"strings"
	"testing"

	"tallyman/query/logql"
)

// What is printed is the same query.
func TestPrintIsStable(t *testing.T) {
	n := 0
	for _, q := range corpusQueries(t) {
		e, err := logql.Parse(q)
		if err != nil {
			continue
		}
		n++
		again, err := logql.Parse(e.String())
		if err != nil {
			t.Errorf("%s\nprints as %s, which cannot be parsed: %v", q, e, err)
		} else if again.String() != e.String() {
			t.Errorf("%s\nprints as %s, then as %s", q, e, again)
		}
	}
	if n < 300 {
		t.Errorf("%d queries can be parsed, want most of the corpus", n)
	}
}

func TestPrint(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		e, err := logql.Parse(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		} else if got := e.String(); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", query, got, want)
		}
	}
	f(`{a="b",c=~"d"}|="x"|json|e>5`, `{a="b", c=~"d"} |= "x" | json | e > 5`)
	f(`sum(rate({a="b"}[90s]))by(c)`, `sum by (c) (rate({a="b"} [1m30s]))`)
	f(`count_over_time(({a="b"}|="x")[1h] offset 1d)`, `count_over_time({a="b"} |= "x" [1h] offset 1d)`)
	f("{a=`b\"c`} # comment\n| logfmt --strict", "{a=`b\"c`} | logfmt --strict")
	f(`1 + 2 * 3 ^ 2`, `19`)
	f(`{a="b"} | c=1 or d=2 and e=3ms, f<4KB`, `{a="b"} | c == 1 or ((d == 2 and e == 3ms) and f < 4000B)`)
	f(`quantile_over_time(.5,{a="b"}|unwrap duration(x)|y="z"[1w]) without(c)`, `quantile_over_time(0.5, {a="b"} | unwrap duration(x) | y="z" [1w]) without (c)`)
	f(`SUM(RATE({a="b"}[1m] OFFSET 1m))BY(c) AND VECTOR(1)`, `sum by (c) (rate({a="b"} [1m] offset 1m)) and vector(1)`)
	f("{a=`b`} // one\n|= /* two */ `x` or IP(`::1`)|c!=ip(`10.0.0.0/8`)", `{a="b"} |= "x" or ip("::1") | c!=ip("10.0.0.0/8")`)
	f(`{a="b"} | c > 1_000 | d < +5`, `{a="b"} | c > 1000 | d < 5`)
	f(`rate({a="b"}[1m])/on(x)group_left(y)rate({a="c"}[1m])`, `rate({a="b"} [1m]) / on (x) group_left (y) rate({a="c"} [1m])`)
}

// An error says where it is and what would be right.
func TestParseErrors(t *testing.T) {
	f := func(query string, line, column int, message string) {
		t.Helper()
		_, err := logql.Parse(query)
		var e *logql.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: got %v, want an error", query, err)
			return
		}
		if e.Line != line || e.Column != column || !strings.Contains(e.Message, message) {
			t.Errorf("%s\ngot  %v\nwant line %d, column %d: … %s …", query, e, line, column, message)
		}
	}
	f(``, 1, 1, "empty")
	f(`{a="b"`, 1, 7, `expected ","`)
	f(`{a="b"} |= x`, 1, 12, "expected a string")
	f("{a=\"b\"}\n  | jsn", 2, 5, `is it "json"?`)
	f(`{a="é"} | nope x`, 1, 11, `no stage "nope"`)
	f(`{a=~"("}`, 1, 5, "missing closing )")
	f(`{a=""}`, 1, 1, "needs one matcher")
	f(`cout_over_time({a="b"}[5m])`, 1, 1, `is it "count_over_time"?`)
	f(`sum({a="b"})`, 1, 5, "log query")
	f(`count_over_time({a="b"})`, 1, 24, "window of time")
	f(`sum_over_time({a="b"}[5m])`, 1, 1, "unwrap")
	f(`rate({a="b"}[5m]) by (x)`, 1, 1, "cannot be grouped")
	f(`{a="b"} | unwrap x`, 1, 9, "range aggregation only")
	f(`{a="b"} | x > "5"`, 1, 13, "expected one of")
	f(`{a="b"} | line_format "{{.x"`, 1, 23, "the template is wrong")
	f(`{a="b"} | pattern "<a><b>"`, 1, 19, "without a text between")
	f(`{a="b"} | regexp "x"`, 1, 18, "no named group")
	f(`{a="b"} | json x="a["`, 1, 18, "cannot be read")
	f(`{a="b"} | x=ip("1.2.3.400")`, 1, 16, "no address, network or range")
	f(`{a="b"} | x=~ip("1.2.3.4")`, 1, 14, "goes with = and !=")
	f(`{a="b"} | x>ip("1.2.3.4")`, 1, 13, "goes with = and !=")
	f(`{a="b"} |~ ip("1.2.3.4")`, 1, 12, "goes with |= and !=")
	f(`{a="b"} |= ip(1.2.3.4)`, 1, 15, "in quotes")
	f("{a=\"b\"} /* x\n", 1, 9, "the comment has no end")
	f("{a=\"b\"} // one\n /* two\n */ |= x", 3, 8, "expected a string")
	f(`1__0`, 1, 1, "is no number")
	f(`{a=~"["}`, 1, 5, "missing closing ]: `[`")
	f(`{a="b", c!~"x(["}`, 1, 12, "missing closing ]: `[`")
	f(`{a="b"} | x=~"["`, 1, 14, "missing closing ]: `[`")
	f(`{a="b"} | drop x=~"["`, 1, 19, "missing closing ]: `[`")
	f(`{a="b"} |~ "["`, 1, 12, "missing closing ]: `[`")
	f(`{a="b"} | regexp "(?P<x>["`, 1, 18, "missing closing ]: `[`")
	f(`label_replace(vector(1), "a", "b", "c", "[")`, 1, 41, "missing closing ]: `[`")
	f(`label_replace(vector(1), "", "b", "c", "")`, 1, 26, "is empty")
	f(`label_replace(1, "a", "b", "c", "")`, 1, 1, "not a number")
	f(`topk(sum(rate({a="b"}[1m])))`, 1, 6, "whole number")
	f(`{a="b"} ~ 1`, 1, 9, "unexpected character")
	f(`{a="\q"}`, 1, 4, "escape")
	f(strings.Repeat("(", 200)+"1", 1, 101, "nested deeper")
	f(`1 and vector(1)`, 1, 3, "set operator")
	f(`vector(1) + bool vector(2)`, 1, 11, "goes with a comparison")
}

func FuzzParse(f *testing.F) {
	for _, q := range corpusQueries(f) {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		e, err := logql.Parse(query)
		if err != nil {
			return
		}
		again, err := logql.Parse(e.String())
		if err != nil {
			t.Fatalf("%q prints as %q, which cannot be parsed: %v", query, e, err)
		}
		if again.String() != e.String() {
			t.Fatalf("%q prints as %q, then as %q", query, e, again)
		}
	})
}
