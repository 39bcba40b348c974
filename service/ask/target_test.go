// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"fmt"
	"math"
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
