// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"tallyman/service/servicetest"
)

func TestTarget(t *testing.T) {
	for _, one := range []struct {
		pairs                   []string
		network, address, where string
	}{
		{nil, "tcp", "localhost:6379", "6379"},
		{[]string{"PORT", "7000"}, "tcp", "localhost:7000", "7000"},
		{[]string{"HOSTNAME", "::1"}, "tcp", "[::1]:6379", "6379"},
		{[]string{"HOSTNAME", "cache", "PORT", "1"}, "tcp", "cache:1", "cache:1"},
		{[]string{"SOCKET", "/run/x.sock"}, "unix", "/run/x.sock", "/run/x.sock"},
	} {
		c := servicetest.Config(one.pairs...)
		network, address := Target(c, 6379)
		if where := Where(c, 6379); network != one.network || address != one.address || where != one.where {
			t.Errorf("%v: %s %s %s", one.pairs, network, address, where)
		}
	}
}

func TestFlag(t *testing.T) {
	for _, one := range []struct {
		args []string
		want string
	}{
		{[]string{"x", "--port", "1"}, "1"}, {[]string{"x", "--port=2"}, "2"}, {[]string{"x", "-p", "3"}, "3"}, {[]string{"x", "-p4"}, "4"},
		{[]string{"x", "--ports", "5"}, ""}, {[]string{"x", "--port"}, ""},
	} {
		if got, ok := Flag(one.args, "--port", "-p"); got != one.want || ok != (one.want != "") {
			t.Errorf("%v: %q, %v", one.args, got, ok)
		}
	}
}

func TestTop(t *testing.T) {
	var rows []Row
	for i := range 10 {
		v := float64(i)
		if i == 0 {
			v = math.NaN()
		}
		rows = append(rows, Row{[]string{"db", fmt.Sprint(i)}, []float64{v, math.NaN()}, float64(i)})
	}
	top := Top(rows, 3)
	if len(top) != 4 || top[0].Labels[1] != "9" || top[3].Labels[0] != Other || top[3].Values[0] != 21 || !math.IsNaN(top[3].Values[1]) {
		t.Errorf("%v", top)
	}
	if few := Top(rows[:2], 3); len(few) != 2 {
		t.Errorf("%v", few)
	}
}

// Objects whose sizes go up and down do not take turns, and however many come and go, only
// so many get a place of their own in an hour.
func TestRanking(t *testing.T) {
	const places, all = 20, 100
	var k Ranking
	seen := map[string]bool{}
	take := func(rows []Row) (sum float64) {
		top := k.Top(rows, places)
		if len(top) > places+1 || top[len(top)-1].Labels[0] != Other {
			t.Fatalf("%d rows, the last of %v", len(top), top[len(top)-1].Labels)
		}
		for _, r := range top {
			seen[r.Labels[0]] = true
			sum += r.Values[0]
		}
		return sum
	}
	rows := func(prefix string, size func(i int) float64) (list []Row) {
		for i := range all {
			list = append(list, Row{[]string{fmt.Sprint(prefix, i)}, []float64{1}, size(i)})
		}
		return list
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		if got := take(rows("a", func(int) float64 { return 100 + random.Float64()*90 })); got != all {
			t.Fatalf("the rows add up to %v", got)
		}
	}
	if len(seen) != places+1 {
		t.Errorf("%d had a place while none was twice as large as another", len(seen)-1)
	}
	// One that is much larger gets its place at once.
	take(rows("a", func(i int) float64 { return map[bool]float64{true: 10_000, false: 100}[i == 99] }))
	if !seen["a99"] && !seen["a0"] || !k.held["a99"] {
		t.Error("the largest has no place")
	}
	for i := range 200 { // new ones in each round
		take(rows(fmt.Sprint("b", i, "-"), func(i int) float64 { return float64(1000 * i) }))
	}
	if n := len(seen); n > 3*places+2 {
		t.Errorf("%d had a place of their own", n)
	}
	if few := k.Top(rows("c", func(int) float64 { return 0 })[:3], places); len(few) != 3 {
		t.Errorf("%v", few)
	}
}
