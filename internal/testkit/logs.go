// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Lines are the lines that a LogQL selector gives, in order of time, page by page
// over Loki's API. A line that comes twice at one time is given once; Count tells.
func (c *Client) Lines(query string) (lines []string) {
	c.t.Helper()
	type one struct {
		time int64
		line string
	}
	const page = 5000
	start := int64(0)
	seen := map[one]bool{} // at the time at which pages meet
	for {
		var a struct {
			Data struct {
				Result []struct{ Values [][]any }
			}
		}
		c.JSON(fmt.Sprintf("/loki/api/v1/query_range?direction=forward&limit=%d&start=%d&end=%d&query=%s", page, start, time.Now().Add(time.Hour).UnixNano(), url.QueryEscape(query)), &a)
		var got []one
		for _, r := range a.Data.Result {
			for _, v := range r.Values {
				t, err := strconv.ParseInt(v[0].(string), 10, 64)
				if err != nil {
					c.t.Fatal(err)
				}
				got = append(got, one{t, v[1].(string)})
			}
		}
		slices.SortStableFunc(got, func(a, b one) int { return cmp.Compare(a.time, b.time) })
		for _, o := range got {
			if !seen[o] {
				lines = append(lines, o.line)
			}
		}
		if len(got) < page {
			return lines
		}
		last := got[len(got)-1].time
		if last == start {
			c.t.Fatalf("%d lines and more at one time", len(got))
		}
		clear(seen)
		for _, o := range got {
			if o.time == last {
				seen[o] = true
			}
		}
		start = last
	}
}

// Count is how many lines a LogQL selector gives.
func (c *Client) Count(query string) int {
	c.t.Helper()
	var a struct {
		Data struct {
			Result []struct{ Value []any }
		}
	}
	c.JSON("/loki/api/v1/query?query="+url.QueryEscape("sum(count_over_time("+query+"[24h]))"), &a)
	if len(a.Data.Result) == 0 {
		return 0
	}
	n, err := strconv.Atoi(a.Data.Result[0].Value[1].(string))
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}
