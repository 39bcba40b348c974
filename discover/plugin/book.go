// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"tallyman"
)

// Prefixes are what the keys of labels begin with that name plugins.
var Prefixes = []string{"com.coscale.monitoring", "tallyman.plugins"}

// Options of a book.
type Options struct {
	Rules []Rule
	// ExecFromImages lets labels of images run commands in their own containers.
	ExecFromImages bool
	// Detect finds services without being asked, Conventions follows the labels
	// prometheus.io/scrape and the like.
	Detect, Conventions bool
	// Later are types that are known and have no plugin yet.
	Later []string
	// Secrets is the directory below which rules may refer to files of the host; Getenv
	// is tallyman's own environment.
	Secrets string
	Getenv  func(string) string
}

// Book decides which plugins fit.
type Book struct {
	kinds map[string]*tallyman.ServiceKind // by name and alias
	order []*tallyman.ServiceKind
	later []string
	rules []rule
	o     Options
}

// New makes a book of the plugins that there are. A rule that is wrong is an error.
func New(kinds []tallyman.ServiceKind, o Options) (*Book, error) {
	b := &Book{kinds: map[string]*tallyman.ServiceKind{}, later: o.Later, o: o}
	if o.Getenv == nil {
		b.o.Getenv = func(string) string { return "" }
	}
	for i := range kinds {
		k := &kinds[i]
		b.order = append(b.order, k)
		for _, name := range append([]string{k.Name}, k.Aliases...) {
			b.kinds[name] = k
		}
	}
	for i, r := range o.Rules {
		one, err := b.compile(i, r)
		if err != nil {
			return nil, err
		}
		b.rules = append(b.rules, one)
	}
	return b, nil
}

// Label reads one label by itself.
func (b *Book) Label(key, value string, origin tallyman.ServiceOrigin) (wishes []tallyman.ServiceWish, none bool, mistakes []tallyman.ServiceMistake) {
	list, none, mistakes := entries(key, value)
	for i, e := range list {
		more, wrong := b.wishes(e, i+1, key, origin)
		wishes, mistakes = append(wishes, more...), append(mistakes, wrong...)
	}
	return wishes, none, mistakes
}

// Choose says what is to run in a container, and what is wrong in its labels. image are the
// labels of the container's image: the same key with the same value is a word of the
// image's author.
func (b *Book) Choose(in tallyman.Inside, image map[string]string) (wishes []tallyman.ServiceWish, mistakes []tallyman.ServiceMistake) {
	c := choice{by: map[string]int{}, off: map[string]bool{}, named: map[string]bool{}}
	for i := range b.rules {
		if r := &b.rules[i]; r.fits(in) {
			if r.Exclude {
				return nil, nil
			}
			c.add(r.wishes...)
		}
	}
	labels := in.Container().Labels
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(labels)), func(key string) bool {
		return !slices.ContainsFunc(Prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
	})
	none := false
	by := map[tallyman.ServiceOrigin][]tallyman.ServiceWish{}
	for _, key := range keys {
		origin := tallyman.FromRunLabel
		if v, ok := image[key]; ok && v == labels[key] {
			origin = tallyman.FromImageLabel
		}
		list, off, wrong := b.Label(key, labels[key], origin)
		mistakes = append(mistakes, wrong...)
		none = none || off && slices.Contains(Prefixes, key)
		// Within one source the later key wins.
		by[origin] = append(list, by[origin]...)
	}
	if none {
		return c.wishes, mistakes
	}
	c.add(by[tallyman.FromRunLabel]...)
	c.add(by[tallyman.FromImageLabel]...)
	if b.o.Conventions {
		list, wrong := b.conventions(in)
		mistakes = append(mistakes, wrong...)
		c.add(list...)
	}
	if b.o.Detect {
		for _, k := range b.order {
			if k.Find == nil || c.named[k.Name] {
				continue
			}
			for _, config := range k.Find(in) {
				c.add(tallyman.ServiceWish{Kind: k, Origin: tallyman.FromDetection, Config: config})
			}
		}
	}
	return c.wishes, mistakes
}

// choice collects wishes, the strongest first.
type choice struct {
	wishes []tallyman.ServiceWish
	by     map[string]int  // by identity
	off    map[string]bool // types that a stronger source has switched off
	named  map[string]bool // types that somebody has asked for
}

func (c *choice) add(list ...tallyman.ServiceWish) {
	off := map[string]bool{}
	for _, w := range list {
		if c.off[w.Kind.Name] && w.Origin != tallyman.FromRule {
			continue
		}
		if w.Origin != tallyman.FromDetection {
			c.named[w.Kind.Name] = true
		}
		if !w.Config.Bool("ENABLED", true) {
			off[w.Kind.Name] = true
			continue
		}
		id := w.Kind.Name + " " + w.Where()
		if _, ok := c.by[id]; ok {
			continue
		}
		c.by[id] = len(c.wishes)
		c.wishes = append(c.wishes, w)
	}
	for name := range off {
		c.off[name] = true
	}
}

// conventions reads the labels by which Prometheus' users say what is to be scraped.
func (b *Book) conventions(in tallyman.Inside) (wishes []tallyman.ServiceWish, mistakes []tallyman.ServiceMistake) {
	labels := in.Container().Labels
	for _, prefix := range []string{"prometheus.io/", "prometheus.io.", "prometheus."} {
		asked := labels[prefix+"scrape"]
		if asked == "" && prefix == "prometheus." {
			asked = labels["prometheus.enable"]
		}
		if yes, err := strconv.ParseBool(strings.ToLower(asked)); err != nil || !yes {
			continue
		}
		port := labels[prefix+"port"]
		if port == "" {
			port = onlyPort(in.Facts())
		}
		if port == "" {
			return nil, []tallyman.ServiceMistake{{Source: prefix + "scrape", Offset: -1, Text: "the container has no TCP port, or several: add the label " + prefix + "port"}}
		}
		scheme, path := labels[prefix+"scheme"], labels[prefix+"path"]
		if scheme == "" {
			scheme = "http"
		}
		if path == "" {
			path = "/metrics"
		}
		e := Entry{Type: "PROMETHEUS", at: -1, Configuration: map[string][]string{
			"STATS URL": {scheme + "://" + net.JoinHostPort("localhost", port) + "/" + strings.TrimPrefix(path, "/")}}}
		if job := labels[prefix+"job"]; job != "" {
			e.Labels = map[string]string{"job_name": job}
		}
		return b.wishes(e, 0, prefix+"scrape", tallyman.FromConvention)
	}
	return nil, nil
}

// onlyPort is the one TCP port that a container has, empty when it has none or several.
func onlyPort(f *tallyman.ServiceFacts) string {
	ports := slices.Clone(f.Exposed)
	if len(ports) != 1 {
		ports = nil
		for _, s := range f.Listening {
			if s.Network == "tcp" && !slices.Contains(ports, s.Port) {
				ports = append(ports, s.Port)
			}
		}
	}
	if len(ports) != 1 {
		return ""
	}
	return strconv.Itoa(int(ports[0]))
}
