// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, looks := Kept{Every: time.Minute}, &tallyman.Desc{Name: "a"}, 0
		var fail error
		give := func() float64 {
			s := servicetest.NewSink()
			_ = k.Give(s, func(s tallyman.ServiceSink) error {
				looks++
				s.Add(d, float64(looks))
				return fail
			})
			return s.Values["a"]
		}
		if a, b := give(), give(); a != 1 || b != 1 {
			t.Errorf("%v %v", a, b)
		}
		time.Sleep(time.Minute)
		if a := give(); a != 2 {
			t.Errorf("%v", a)
		}
		time.Sleep(time.Minute)
		fail = errors.New("no")
		if a := give(); a != 0 || looks != 3 {
			t.Errorf("%v after %d", a, looks)
		}
		fail = nil
		if a := give(); a != 4 {
			t.Errorf("%v", a)
		}
	})
}
