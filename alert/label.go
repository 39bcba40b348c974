// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/alert/problem"
	"tallyman/alert/rule"
	"tallyman/internal/clip"
	"tallyman/internal/nearest"
)

// choiceLabel is the key of the labels that are read, and what the others begin with:
//
//	tallyman.alarms=false                    nothing is alarmed of it
//	tallyman.alarms.severity=info            nothing graver than that
//	tallyman.alarms.crash=off                not of this kind of problem
//	tallyman.alarms.ContainerPaused=warning  another severity of this rule
//	tallyman.alarms.memory.threshold=95      another number, by the rule's short name
//
// A label that the image has with the same value is the image's: strangers have written
// it. It may lower a severity, down to warning, and do nothing else.
const choiceLabel = "tallyman.alarms"

// Bounds of what labels ask.
const (
	maxChoices  = 10_000 // workloads
	maxWishes   = 100    // of one container
	resolveWait = time.Minute
)

// wish is what is asked of one rule, one kind of problem, or of all.
type wish struct {
	off, on   bool
	severity  string
	image     bool // severity is the image's
	threshold *float64
}

// choice is what is asked for a workload, by the labels of its container or by a setting.
// It is not changed once it is made.
type choice struct {
	container *tallyman.Container
	resolved  bool // the labels of the image are known
	excluded  bool // by the setting
	all       wish
	by        map[string]wish // by rule or kind
	said      []string
	faults    []string
}

// Choice is what is asked of the alarms of a workload, in words.
type Choice struct {
	Host, Workload, Container, Name string
	// Asked is what is followed, Faults what is not.
	Asked, Faults []string
}

// asked are the labels of a container about alarms, sorted.
func asked(c *tallyman.Container) (keys []string) {
	for key := range c.Labels {
		if key == choiceLabel || strings.HasPrefix(key, choiceLabel+".") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// severityRank orders severities, the gravest first; -1 is none of them.
func severityRank(s string) int {
	return slices.Index([]string{rule.Critical, rule.Warning, rule.Info}, s)
}

// readChoice reads the labels of a container. Those of the image are nil while they are
// not known; then all count as the image's. Names are the rules that there are.
func readChoice(c *tallyman.Container, image map[string]string, known bool, names []string) *choice {
	x := &choice{container: c, resolved: known, by: map[string]wish{}}
	keys := asked(c)
	if len(keys) > maxWishes {
		x.faults = append(x.faults, fmt.Sprintf("of %d labels %s… only %d are read", len(keys), choiceLabel, maxWishes))
		keys = keys[:maxWishes]
	}
	for _, key := range keys {
		value := strings.TrimSpace(c.Labels[key])
		theirs, of := image[key]
		x.read(key, value, !known || of && theirs == c.Labels[key], names)
	}
	if !known {
		x.said, x.faults = []string{"it is not known yet which labels are those of the image; until then they lower severities to warning at most"}, nil
	}
	return x
}

// read takes one label.
func (x *choice) read(key, value string, image bool, names []string) {
	label := fmt.Sprintf("label %s=%s", clip.Text(key, 200), clip.Text(value, 100))
	fault := func(format string, args ...any) {
		x.faults = append(x.faults, label+": "+fmt.Sprintf(format, args...))
	}
	name, field, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(key, choiceLabel), "."), ".")
	w := &x.all
	subject := "nothing"
	if name == "severity" && field == "" {
		field, name = "severity", ""
	}
	if name != "" {
		full, ok := canonical(name, names)
		if !ok {
			fault("there is no rule and no kind of problem %q; did you mean %q?", clip.Text(name, 100), nearest.Of(name, choosable(names)))
			return
		}
		one := x.by[full]
		w, subject = &one, full
		defer func() { x.by[full] = *w }()
	}
	lower := func(to string) {
		if w.severity == "" || severityRank(to) > severityRank(w.severity) {
			w.severity, w.image = to, true
		}
		x.said = append(x.said, label+": it is the image's, so that the severity is lowered to warning at most")
	}
	switch word := strings.ToLower(value); {
	case field == "threshold":
		n, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
			fault("it is no number")
		case name == "" || !rule.HasThreshold(subject):
			fault("there is no threshold")
		case image:
			fault("an image cannot change it; give the label to the container")
		default:
			w.threshold = &n
			x.said = append(x.said, fmt.Sprintf("%s: the threshold of %s is %s", label, subject, value))
		}
	case field != "" && field != "severity":
		fault("there is no setting %q; write severity or threshold behind the name", clip.Text(field, 100))
	case severityRank(word) >= 0 && (field == "severity" || name != ""):
		if image {
			lower(rule.Warning)
			return
		}
		w.severity, w.image = word, false
		x.said = append(x.said, fmt.Sprintf("%s: the severity of %s is %s", label, cmpWord(subject == "nothing", "all alarms", subject), word))
	case field == "severity":
		fault("the severity is not known; write critical, warning or info")
	case slices.Contains([]string{"off", "false", "no"}, word):
		if image {
			lower(rule.Warning)
			return
		}
		w.off = true
		x.said = append(x.said, fmt.Sprintf("%s: %s", label, cmpWord(name == "", "nothing is alarmed", subject+" is off")))
	case slices.Contains([]string{"on", "true", "yes"}, word):
		w.on = !image
	default:
		fault("it is not known; write off, critical, warning or info")
	}
}

func cmpWord(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// canonical is the rule or the kind that a label names.
func canonical(name string, names []string) (string, bool) {
	if full, ok := rule.Shorts()[name]; ok {
		return full, true
	}
	if slices.Contains(problem.Kinds(), problem.Kind(name)) || slices.Contains(names, name) {
		return name, true
	}
	return "", false
}

// choosable are the names that a label may have.
func choosable(names []string) (out []string) {
	for _, k := range problem.Kinds() {
		out = append(out, string(k))
	}
	return slices.Concat(out, slices.Sorted(maps.Keys(rule.Shorts())), names)
}

// of is what is asked of a rule about a kind of problem: the narrower word wins.
func (x *choice) of(name, kind string) (out wish) {
	out = x.all
	for _, narrower := range []string{kind, name} {
		w, ok := x.by[narrower]
		if !ok || narrower == "" {
			continue
		}
		if w.off || w.on {
			out.off, out.on = w.off, w.on
		}
		if w.severity != "" {
			out.severity, out.image = w.severity, w.image
		}
		if w.threshold != nil {
			out.threshold = w.threshold
		}
	}
	if x.excluded {
		out.off = true
	}
	return out
}

func choiceKey(host, workload string) string { return host + "\x00" + workload }

// choose notes what a container and the settings ask for its workload. Labels are
// followed once those of its image are known.
func (s *Service) choose(c *tallyman.Container) {
	excluded := s.o.Excluded != nil && s.o.Excluded(c)
	asks := len(asked(c)) > 0
	key := choiceKey(c.Host, c.Workload.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.choices[key]
	if old != nil && old.container.ID != c.ID && old.container.Alive() && !c.Alive() {
		return // another one stands for the workload
	}
	if c.State == tallyman.Gone {
		if old != nil && old.container.ID == c.ID {
			n := *old
			n.container = c // what is open of it may go on for a while
			s.choices[key] = &n
		}
		return
	}
	if !asks && !excluded {
		delete(s.choices, key)
		return
	}
	if old == nil && len(s.choices) >= maxChoices {
		maps.DeleteFunc(s.choices, func(_ string, x *choice) bool { return x.container.State == tallyman.Gone })
		if len(s.choices) >= maxChoices {
			return
		}
	}
	if old != nil && old.container.ID == c.ID && old.resolved {
		n := *old
		n.container = c
		s.choices[key] = &n
		return
	}
	image, known := s.images[c.ImageID]
	x := readChoice(c, image, known || !asks, s.names)
	if x.excluded = excluded; excluded {
		x.said = append([]string{"setting alarms.exclude: nothing is alarmed"}, x.said...)
	}
	s.choices[key] = x
	if !x.resolved && s.o.Image != nil {
		poke(s.resolve)
	}
}

// resolver asks for the labels of the images of containers that have labels about
// alarms, until ctx ends. What fails is tried again.
func (s *Service) resolver(ctx context.Context) {
	for {
		failed := false
		for _, c := range s.unresolved() {
			if ctx.Err() != nil {
				return
			}
			labels, err := s.o.Image(ctx, c)
			if err != nil {
				failed = true
				s.o.Log.Debug("the labels of an image are not known; those of its container about alarms count as the image's", "image", c.Image, "err", err)
				continue
			}
			s.mu.Lock()
			if len(s.images) >= maxChoices {
				clear(s.images)
			}
			s.images[c.ImageID] = labels
			s.mu.Unlock()
			s.choose(c)
		}
		again := (<-chan time.Time)(nil)
		if failed {
			again = time.After(resolveWait)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.resolve:
		case <-again:
		}
	}
}

// unresolved are the containers whose images are to be asked for.
func (s *Service) unresolved() (out []*tallyman.Container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.choices {
		if !x.resolved && x.container.State != tallyman.Gone {
			out = append(out, x.container)
		}
	}
	return out
}

// choiceOf is what is asked for a workload, nil for nothing.
func (s *Service) choiceOf(host, workload string) *choice {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.choices) == 0 {
		return nil
	}
	return s.choices[choiceKey(host, workload)]
}

// wish is what a workload asks of a rule, for the engine of rules.
func (s *Service) wish(name, kind, host, workload string) rule.Wish {
	x := s.choiceOf(host, workload)
	if x == nil {
		return rule.Wish{}
	}
	w := x.of(name, kind)
	return rule.Wish{Off: w.off, Threshold: w.threshold}
}

// thresholds are the numbers that workloads ask of a rule, each once.
func (s *Service) thresholds(name string) (out []float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.choices {
		if w := x.of(name, ""); w.threshold != nil && !slices.Contains(out, *w.threshold) {
			out = append(out, *w.threshold)
		}
	}
	slices.Sort(out)
	return out
}

// severity is that of an alarm, as its workload wants it. The lock is held.
func (s *Service) severity(labels map[string]string) string {
	is := labels["severity"]
	x := s.choices[choiceKey(labels["host"], labels["workload"])]
	if x == nil || labels["workload"] == "" {
		return is
	}
	w := x.of(labels["alertname"], labels["kind"])
	if w.severity == "" || w.image && severityRank(is) >= severityRank(w.severity) {
		return is
	}
	return w.severity
}

// silent reports whether nothing is alarmed of a workload. The lock is held.
func (s *Service) silent(host, workload string) bool {
	x := s.choices[choiceKey(host, workload)]
	return x != nil && workload != "" && (x.excluded || x.all.off)
}

// Choices are what is asked of the alarms of workloads, by host and workload.
func (s *Service) Choices() (out []Choice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.choices)) {
		if x := s.choices[key]; x.container.State != tallyman.Gone {
			c := x.container
			out = append(out, Choice{Host: c.Host, Workload: c.Workload.Key, Container: c.ID, Name: c.Name, Asked: slices.Clone(x.said), Faults: slices.Clone(x.faults)})
		}
	}
	return out
}

// Absences say of a container that nothing is alarmed of it, and what of its labels is
// not followed.
func (s *Service) Absences(t tallyman.TargetKey) (out []tallyman.Absence) {
	if t.Kind != tallyman.ContainerTarget {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.choices {
		if x.container.ID != t.ID {
			continue
		}
		if x.excluded || x.all.off {
			out = append(out, tallyman.Absence{Code: tallyman.None, What: "alarms", Reason: "Nothing is alarmed of it: " + strings.Join(x.said, "; ") + "."})
		}
		if len(x.faults) > 0 {
			out = append(out, tallyman.Absence{What: "alarm labels", Reason: "Part of what its labels ask of alarms is not followed: " + strings.Join(x.faults, "; ") + "."})
		}
	}
	return out
}
