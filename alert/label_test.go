// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tallyman"
	"tallyman/alert/rule"
)

// What labels ask, of the container and of the image, and what is said of those that
// cannot be followed.
func TestLabels(t *testing.T) {
	type is struct {
		off       bool
		severity  string
		threshold float64
	}
	for _, c := range []struct {
		what          string
		labels, image map[string]string
		rule, kind    string
		want          is
		said, fault   string
	}{
		{"all off", map[string]string{"tallyman.alarms": "false"}, nil, "ContainerCrashed", "crash", is{off: true}, "nothing is alarmed", ""},
		{"all off but one", map[string]string{"tallyman.alarms": "off", "tallyman.alarms.crash": "on"}, nil, "ContainerCrashed", "crash", is{}, "nothing is alarmed", ""},
		{"a kind off", map[string]string{"tallyman.alarms.crash": "off"}, nil, "ContainerCrashed", "crash", is{off: true}, "crash is off", ""},
		{"another kind off", map[string]string{"tallyman.alarms.crash": "off"}, nil, "ContainerPaused", "paused", is{}, "", ""},
		{"a rule off", map[string]string{"tallyman.alarms.ContainerPaused": "No"}, nil, "ContainerPaused", "paused", is{off: true}, "ContainerPaused is off", ""},
		{"a rule of a file off", map[string]string{"tallyman.alarms.Own": "off"}, nil, "Own", "", is{off: true}, "Own is off", ""},
		{"the rule is narrower than its kind", map[string]string{"tallyman.alarms.crash": "off", "tallyman.alarms.ContainerCrashed": "on"}, nil, "ContainerCrashed", "crash", is{}, "", ""},
		{"a threshold", map[string]string{"tallyman.alarms.memory.threshold": "95"}, nil, "ContainerMemoryNearLimit", "", is{threshold: 95}, "the threshold of ContainerMemoryNearLimit is 95", ""},
		{"a severity of one", map[string]string{"tallyman.alarms.oom": "warning"}, nil, "ContainerOOMKilled", "oom", is{severity: "warning"}, "the severity of oom is warning", ""},
		{"a severity of all", map[string]string{"tallyman.alarms.severity": "info"}, nil, "ContainerOOMKilled", "oom", is{severity: "info"}, "the severity of all alarms is info", ""},
		{"a severity behind a name", map[string]string{"tallyman.alarms.memory.severity": "critical"}, nil, "ContainerMemoryNearLimit", "", is{severity: "critical"}, "", ""},

		{"the image's off", map[string]string{"tallyman.alarms": "false"}, map[string]string{"tallyman.alarms": "false"}, "ContainerCrashed", "crash", is{severity: "warning"}, "it is the image's", ""},
		{"the image's info", map[string]string{"tallyman.alarms.crash": "info"}, map[string]string{"tallyman.alarms.crash": "info"}, "ContainerCrashed", "crash", is{severity: "warning"}, "it is the image's", ""},
		{"the image's threshold", map[string]string{"tallyman.alarms.memory.threshold": "100"}, map[string]string{"tallyman.alarms.memory.threshold": "100"}, "ContainerMemoryNearLimit", "", is{}, "", "an image cannot change it"},
		{"another value than the image's", map[string]string{"tallyman.alarms": "false"}, map[string]string{"tallyman.alarms": "true"}, "ContainerCrashed", "crash", is{off: true}, "nothing is alarmed", ""},

		{"no such rule", map[string]string{"tallyman.alarms.memry.threshold": "95"}, nil, "ContainerMemoryNearLimit", "", is{}, "", `did you mean "memory"?`},
		{"no number", map[string]string{"tallyman.alarms.memory.threshold": "much"}, nil, "ContainerMemoryNearLimit", "", is{}, "", "it is no number"},
		{"no threshold", map[string]string{"tallyman.alarms.crash.threshold": "3"}, nil, "ContainerCrashed", "crash", is{}, "", "there is no threshold"},
		{"no such setting", map[string]string{"tallyman.alarms.memory.for": "5m"}, nil, "ContainerMemoryNearLimit", "", is{}, "", `no setting "for"`},
		{"no such word", map[string]string{"tallyman.alarms": "maybe"}, nil, "ContainerCrashed", "crash", is{}, "", "it is not known"},
		{"no such severity", map[string]string{"tallyman.alarms.severity": "loud"}, nil, "ContainerCrashed", "crash", is{}, "", "the severity is not known"},
	} {
		x := readChoice(&tallyman.Container{Labels: c.labels}, c.image, true, append(rule.Names(), "Own"))
		w := x.of(c.rule, c.kind)
		got := is{off: w.off, severity: w.severity}
		if w.threshold != nil {
			got.threshold = *w.threshold
		}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
		if said := strings.Join(x.said, "; "); !strings.Contains(said, c.said) {
			t.Errorf("%s: it says %q, want %q", c.what, said, c.said)
		}
		if faults := strings.Join(x.faults, "; "); !strings.Contains(faults, c.fault) || (faults == "") != (c.fault == "") {
			t.Errorf("%s: the faults are %q, want %q", c.what, faults, c.fault)
		}
	}
	if x := readChoice(&tallyman.Container{Labels: map[string]string{"tallyman.alarms": "false"}}, nil, false, nil); x.of("ContainerCrashed", "crash").off || len(x.said) != 1 {
		t.Errorf("before the image is known: %+v", x)
	}
}

// A container that is not to be alarmed of is not, and that is said; an image may not ask
// for that. What an image that nobody knows asks is tried again.
func TestLabelsSilence(t *testing.T) {
	for _, c := range []struct {
		what, want string
		image      map[string]string
		excluded   bool
	}{
		{what: "the container's label", want: ""},
		{what: "the image's label", want: "ContainerCrashed fires", image: map[string]string{"tallyman.alarms": "false"}},
		{what: "the setting", want: "", image: map[string]string{"tallyman.alarms": "false"}, excluded: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newSite(t)
				x.inv.c.Labels = map[string]string{"tallyman.alarms": "false", "tallyman.alarms.memry": "off"}
				x.inv.c.RestartPolicy = "" // it stays dead
				var asked atomic.Int32
				x.options = func(o *Options) {
					o.Image = func(context.Context, *tallyman.Container) (map[string]string, error) {
						if asked.Add(1) == 1 {
							return nil, errors.New("the engine is busy")
						}
						return c.image, nil
					}
					if c.excluded {
						o.Excluded = func(*tallyman.Container) bool { return true }
					}
				}
				x.open()
				time.Sleep(2 * time.Minute)
				x.die("3")
				x.change(func(c *tallyman.Container) { c.State = tallyman.Exited })
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if got := x.told.text(); got != c.want {
					t.Errorf("said %q, want %q", got, c.want)
				}
				if c.want != "" && x.told.said[0].Labels["severity"] != "warning" {
					t.Errorf("told with %v, want severity warning", x.told.said[0].Labels)
				}
				if n := len(x.s.Problems()); (n == 0) != (c.want == "") {
					t.Errorf("%d open problems", n)
				}
				choices := x.s.Choices()
				if len(choices) != 1 || len(choices[0].Asked) == 0 || len(choices[0].Faults) != 1 || asked.Load() != 2 {
					t.Errorf("choices %+v, asked %d times", choices, asked.Load())
				}
				absent := x.s.Absences(tallyman.TargetKey{Kind: tallyman.ContainerTarget, ID: "a"})
				if c.want != "" && len(absent) != 1 || c.want == "" && (len(absent) != 2 || absent[0].Code != tallyman.None || !strings.Contains(absent[0].Reason, "Nothing is alarmed of it")) {
					t.Errorf("%+v; want the bad label, and whether nothing is alarmed", absent)
				}
				x.change(func(c *tallyman.Container) { c.ID, c.Labels, c.State, c.Pid = "b", nil, tallyman.Running, 9 }) // made anew without
				if n := len(x.s.Choices()); n != 0 && !c.excluded {
					t.Errorf("%d choices of one without labels", n)
				}
				x.stop()
			})
		})
	}
}
