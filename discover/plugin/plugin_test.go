// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/service/servicetest"
)

// kinds are plugins that do nothing.
func kinds() []tallyman.ServiceKind {
	port := tallyman.ServiceKey{Name: "PORT", Type: tallyman.PortKey, Help: "port"}
	host := tallyman.ServiceKey{Name: "HOSTNAME", Type: tallyman.TextKey, Help: "host"}
	redis := tallyman.ServiceKind{
		Name: "REDIS", Aliases: []string{"VALKEY"}, Every: 15 * time.Second,
		Keys: []tallyman.ServiceKey{host, port, {Name: "PASSWORD", Type: tallyman.SecretKey, Help: "password"},
			{Name: "COMMAND CHECK", Type: tallyman.TextKey, Help: "command", Write: true}},
		Where: func(c tallyman.ServiceConfig) string {
			return c.Text("HOSTNAME", "localhost") + ":" + c.Port("PORT", 6379)
		},
		Find: func(in tallyman.Inside) []tallyman.ServiceConfig {
			if in.Facts().Is("redis", "bitnami/redis*") {
				return []tallyman.ServiceConfig{tallyman.NewServiceConfig(nil)}
			}
			return nil
		},
	}
	script := tallyman.ServiceKind{
		Name: "GENERICSCRIPT", Every: time.Minute, Runs: true,
		Keys:  []tallyman.ServiceKey{{Name: "SCRIPT", Type: tallyman.CommandKey, Help: "script"}, {Name: "USER", Type: tallyman.TextKey, Help: "user", Rule: true}},
		Where: func(c tallyman.ServiceConfig) string { return c.Text("SCRIPT", "") },
		Check: func(c tallyman.ServiceConfig) error {
			if !c.Has("SCRIPT") {
				return fmt.Errorf("SCRIPT is missing")
			}
			return nil
		},
	}
	scrape := tallyman.ServiceKind{
		Name: "PROMETHEUS", Every: 15 * time.Second, Keys: []tallyman.ServiceKey{{Name: "STATS URL", Type: tallyman.URLKey, Help: "url"}},
		Where: func(c tallyman.ServiceConfig) string { return c.Text("STATS URL", "") },
	}
	return []tallyman.ServiceKind{redis, script, scrape}
}

func newBook(t *testing.T, o Options) *Book {
	t.Helper()
	b, err := New(kinds(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shown is what a wish is, in a line.
func shown(list []tallyman.ServiceWish) (out []string) {
	for _, w := range list {
		line := fmt.Sprintf("%s %s %s", w.Kind.Name, w.Where(), w.Origin)
		out = append(out, line)
	}
	return out
}

func TestLabels(t *testing.T) {
	b := newBook(t, Options{ExecFromImages: true, Later: []string{"CASSANDRA"}})
	for _, one := range []struct {
		name, label string
		want        []string // wishes
		mistake     string   // a part of the first
		warning     bool
	}{
		{name: "of the documents", label: `[{"PluginType":"GENERICSCRIPT","Configuration":{"SCRIPT":["/script.sh"]}}]`, want: []string{"GENERICSCRIPT /script.sh run label"}},
		{name: "a later one", label: `[{"PluginType":"CASSANDRA","Configuration":{"JMX HOSTNAME":["localhost"],"JMX PORT":["7199"]}}]`, mistake: "CASSANDRA comes with a later version"},
		{name: "an object", label: `{"PluginType":"redis"}`, want: []string{"REDIS localhost:6379 run label"}},
		{name: "an alias", label: `[{"PluginType":"VALKEY"}]`, want: []string{"REDIS localhost:6379 run label"}},
		{name: "scalars", label: `[{"PluginType":"REDIS","Configuration":{"port":6380}}]`, want: []string{"REDIS localhost:6380 run label"}},
		{name: "keys are written in many ways", label: `[{"PluginType":"PROMETHEUS","Configuration":{"stats_url":["http://localhost:1/metrics"]}}]`, want: []string{"PROMETHEUS http://localhost:1/metrics run label"}},
		{name: "instances", label: `[{"PluginType":"REDIS","Configuration":{"HOSTNAME":["localhost","localhost"],"PORT":["7005","7006"]}}]`,
			want: []string{"REDIS localhost:7005 run label", "REDIS localhost:7006 run label"}},
		{name: "one value for all", label: `[{"PluginType":"REDIS","Configuration":{"HOSTNAME":["localhost"],"PORT":["7005","7006"]}}]`,
			want: []string{"REDIS localhost:7005 run label", "REDIS localhost:7006 run label"}},
		{name: "lengths", label: `[{"PluginType":"REDIS","Configuration":{"HOSTNAME":["a","b"],"PORT":["1","2","3"]}}]`, mistake: "has 2 values where another key has 3"},
		{name: "single quotes", label: `[{'PluginType':'REDIS'}]`, mistake: "single quotes"},
		{name: "typographic quotes", label: `[{“PluginType”:“REDIS”}]`, mistake: "typographic quotes"},
		{name: "entities", label: `[{&quot;PluginType&quot;:1}]`, mistake: "&quot;"},
		{name: "a bracket", label: `[{"PluginType":"REDIS"}`, mistake: "a bracket is missing"},
		{name: "quotes eaten", label: `[{PluginType:REDIS}]`, mistake: "eaten by the shell"},
		{name: "text behind", label: `[{"PluginType":"REDIS"}] x`, mistake: "text behind its end"},
		{name: "a number", label: `5`, mistake: "no list of plugins"},
		{name: "an unknown type", label: `[{"PluginType":"REDDIS"}]`, mistake: "did you mean REDIS?"},
		{name: "no type", label: `[{"Configuration":{}}]`, mistake: "has no PluginType"},
		{name: "not supported", label: `[{"PluginType":"IIS"}]`, mistake: "known and not supported"},
		{name: "always on", label: `[{"PluginType":"RESOURCES","Configuration":{}}]`},
		{name: "an unknown key", label: `[{"PluginType":"REDIS","Configuration":{"PROT":["1"]}}]`, want: []string{"REDIS localhost:6379 run label"}, mistake: "did you mean PORT?", warning: true},
		{name: "a bad port", label: `[{"PluginType":"REDIS","Configuration":{"PORT":["99999"]}}]`, mistake: "PORT is no port"},
		{name: "a bad URL", label: `[{"PluginType":"PROMETHEUS","Configuration":{"STATS URL":["localhost"]}}]`, mistake: "STATS URL is no URL"},
		{name: "another entry stands", label: `[{"PluginType":"X"},{"PluginType":"REDIS"}]`, want: []string{"REDIS localhost:6379 run label"}, mistake: `no plugin "X"`},
		{name: "twice", label: `[{"PluginType":"REDIS","PluginType":"VALKEY"}]`, want: []string{"REDIS localhost:6379 run label"}, mistake: "stands twice", warning: true},
		{name: "deep", label: `[{"PluginType":"REDIS","Configuration":{"PORT":[["1"]]}}]`, mistake: "nested deeper"},
		{name: "long", label: `[{"PluginType":"REDIS","Name":"` + strings.Repeat("x", maxLabel) + `"}]`, mistake: "longer than 64 KiB"},
		{name: "many", label: "[" + strings.Repeat(`{"PluginType":"REDIS"},`, 32) + `{"PluginType":"REDIS"}]`, mistake: "more than 32 entries"},
		{name: "an interval", label: `[{"PluginType":"REDIS","Configuration":{"INTERVAL":["1s"]}}]`, mistake: "INTERVAL is less than 5s"},
		{name: "the agent's own", label: `[{"PluginType":"REDIS","Configuration":{"PASSWORD":["${agentenv:SECRET}"]}}]`, mistake: "only rules of the configuration may"},
		{name: "for rules alone", label: `[{"PluginType":"GENERICSCRIPT","Configuration":{"SCRIPT":["/a"],"USER":["root"]}}]`, mistake: "USER is for rules"},
		{name: "a check of its own", label: `[{"PluginType":"GENERICSCRIPT"}]`, mistake: "SCRIPT is missing"},
	} {
		t.Run(one.name, func(t *testing.T) {
			wishes, _, mistakes := b.Label("tallyman.plugins", one.label, tallyman.FromRunLabel)
			if d := cmp.Diff(one.want, shown(wishes)); d != "" {
				t.Errorf("wishes (-want +got):\n%s", d)
			}
			switch {
			case one.mistake == "" && len(mistakes) > 0:
				t.Errorf("mistakes %v", mistakes)
			case one.mistake != "" && (len(mistakes) == 0 || !strings.Contains(mistakes[0].Text, one.mistake) || mistakes[0].Warning != one.warning):
				t.Errorf("mistakes %+v, want %q", mistakes, one.mistake)
			}
		})
	}
}

// What is wrong is said with keys and places, and never with a value.
func TestMistakesTellNoValues(t *testing.T) {
	b := newBook(t, Options{})
	for _, label := range []string{
		`[{"PluginType":"REDIS","Configuration":{"PASSWORD":["hunter2"],"PORT":["hunter2"]}}]`,
		`[{"PluginType":"REDIS","Configuration":{"PASSWORD":["hunter2"`,
		`[{"PluginType":"REDIS","Configuration":{"PASSWORD":{"a":"hunter2"}}}]`,
		`[{"PluginType":"PROMETHEUS","Configuration":{"STATS URL":["ftp://me:hunter2@x"]}}]`,
	} {
		_, _, mistakes := b.Label("tallyman.plugins", label, tallyman.FromRunLabel)
		if len(mistakes) == 0 || strings.Contains(fmt.Sprint(mistakes), "hunter2") {
			t.Errorf("%s: %v", label, mistakes)
		}
	}
}

func TestChoose(t *testing.T) {
	redis := func(port string) string { return `[{"PluginType":"REDIS","Configuration":{"PORT":["` + port + `"]}}]` }
	for _, one := range []struct {
		name          string
		o             Options
		image         string
		labels        map[string]string
		imageLabels   map[string]string
		want, mistake string
	}{
		{name: "detected", o: Options{Detect: true}, image: "redis", want: "REDIS localhost:6379 detection"},
		{name: "not when it is off", image: "redis"},
		{name: "a label is in place of it", o: Options{Detect: true}, image: "redis", labels: map[string]string{"tallyman.plugins": redis("7000")}, want: "REDIS localhost:7000 run label"},
		{name: "a bad label is not", o: Options{Detect: true}, image: "redis", labels: map[string]string{"tallyman.plugins": "x"}, want: "REDIS localhost:6379 detection", mistake: "it is no JSON"},
		{name: "the image's", labels: map[string]string{"com.coscale.monitoring": redis("1")}, imageLabels: map[string]string{"com.coscale.monitoring": redis("1")}, want: "REDIS localhost:1 image label"},
		{name: "another value is not the image's", labels: map[string]string{"com.coscale.monitoring": redis("2")}, imageLabels: map[string]string{"com.coscale.monitoring": redis("1")}, want: "REDIS localhost:2 run label"},
		{name: "another key adds", labels: map[string]string{"com.coscale.monitoring": redis("1"), "com.coscale.monitoring.extra": redis("2")},
			imageLabels: map[string]string{"com.coscale.monitoring": redis("1")}, want: "REDIS localhost:2 run label, REDIS localhost:1 image label"},
		{name: "a rule wins", o: Options{Rules: []Rule{{Image: "redis", Plugins: []Entry{{Type: "REDIS", Configuration: map[string][]string{"PASSWORD": {"x"}}}}}}}, image: "redis",
			labels: map[string]string{"tallyman.plugins": redis("6379")}, want: "REDIS localhost:6379 rule"},
		{name: "a rule excludes", o: Options{Detect: true, Rules: []Rule{{Image: "redis", Exclude: true}}}, image: "redis", labels: map[string]string{"tallyman.plugins": redis("6379")}},
		{name: "a rule for another tag", o: Options{Rules: []Rule{{Image: "redis", Tag: "6.*", Plugins: []Entry{{Type: "REDIS"}}}}}, image: "redis"},
		{name: "switched off", o: Options{Detect: true}, image: "redis", labels: map[string]string{"tallyman.plugins": `[{"PluginType":"REDIS","Configuration":{"ENABLED":["false"]}}]`}},
		{name: "none", o: Options{Detect: true, Conventions: true}, image: "redis", labels: map[string]string{"tallyman.plugins": "none", "com.coscale.monitoring": redis("1")}},
		{name: "a convention", o: Options{Conventions: true}, labels: map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9100", "prometheus.io/path": "/m"},
			want: "PROMETHEUS http://localhost:9100/m convention"},
		{name: "a convention without a port", o: Options{Conventions: true}, labels: map[string]string{"prometheus.io/scrape": "true"}, mistake: "has no TCP port"},
		{name: "an image may not write", labels: map[string]string{"tallyman.plugins": `[{"PluginType":"REDIS","Configuration":{"COMMAND CHECK":["PING"]}}]`},
			imageLabels: map[string]string{"tallyman.plugins": `[{"PluginType":"REDIS","Configuration":{"COMMAND CHECK":["PING"]}}]`}, mistake: "COMMAND CHECK is for rules and labels of docker run"},
		{name: "an image may run", o: Options{ExecFromImages: true}, labels: map[string]string{"tallyman.plugins": `[{"PluginType":"GENERICSCRIPT","Configuration":{"SCRIPT":["/a"]}}]`},
			imageLabels: map[string]string{"tallyman.plugins": `[{"PluginType":"GENERICSCRIPT","Configuration":{"SCRIPT":["/a"]}}]`}, want: "GENERICSCRIPT /a image label"},
		{name: "an image may not when that is off", labels: map[string]string{"tallyman.plugins": `[{"PluginType":"GENERICSCRIPT","Configuration":{"SCRIPT":["/a"]}}]`},
			imageLabels: map[string]string{"tallyman.plugins": `[{"PluginType":"GENERICSCRIPT","Configuration":{"SCRIPT":["/a"]}}]`}, mistake: "may not run commands here"},
	} {
		t.Run(one.name, func(t *testing.T) {
			in := &servicetest.Inside{C: tallyman.Container{Name: "one", Labels: one.labels}, F: tallyman.ServiceFacts{Image: one.image, Tag: "7.2"}}
			wishes, mistakes := newBook(t, one.o).Choose(in, one.imageLabels)
			if got := strings.Join(shown(wishes), ", "); got != one.want {
				t.Errorf("wishes %q, want %q", got, one.want)
			}
			if one.mistake == "" != (len(mistakes) == 0) || one.mistake != "" && !strings.Contains(mistakes[0].Text, one.mistake) {
				t.Errorf("mistakes %v, want %q", mistakes, one.mistake)
			}
		})
	}
}

func TestRules(t *testing.T) {
	in := &servicetest.Inside{
		C:   tallyman.Container{Name: "shop-cache-1", Labels: map[string]string{"tier": "cache-a"}},
		F:   tallyman.ServiceFacts{Image: "bitnami/redis-cluster", Tag: "7.0.1", Processes: []tallyman.ServiceProcess{{Name: "redis-server"}}},
		Env: map[string]string{"REDIS_MODE": "x"},
	}
	for _, one := range []struct {
		rule Rule
		want bool
	}{
		{Rule{Image: "bitnami/redis*"}, true}, {Rule{Image: "redis*"}, false}, {Rule{Image: "re:^bitnami/.*cluster$"}, true}, {Rule{Image: "*/redis-cluster"}, true},
		{Rule{Tag: "7.*"}, true}, {Rule{Tag: "6.*"}, false}, {Rule{Names: "shop-*"}, true}, {Rule{Names: "shop"}, false},
		{Rule{Labels: map[string]string{"tier": "cache*"}}, true}, {Rule{Labels: map[string]string{"other": "*"}}, false},
		{Rule{Env: map[string]string{"REDIS_MODE": "*"}}, true}, {Rule{Env: map[string]string{"OTHER": "*"}}, false},
		{Rule{Process: "redis-*"}, true}, {Rule{Process: "nginx"}, false}, {Rule{}, true},
	} {
		one.rule.Plugins = []Entry{{Type: "REDIS"}}
		wishes, _ := newBook(t, Options{Rules: []Rule{one.rule}}).Choose(in, nil)
		if got := len(wishes) == 1; got != one.want {
			t.Errorf("%+v fits: %v", one.rule, got)
		}
	}
	for _, bad := range []Rule{
		{}, {Image: "re:(", Plugins: []Entry{{Type: "REDIS"}}}, {Image: "[", Plugins: []Entry{{Type: "REDIS"}}}, {Plugins: []Entry{{Type: "NO"}}},
		{Plugins: []Entry{{Type: "REDIS", Configuration: map[string][]string{"PROT": {"1"}}}}},
	} {
		if _, err := New(kinds(), Options{Rules: []Rule{bad}}); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestReferences(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("from-host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBook(t, Options{Secrets: dir, Getenv: func(name string) string { return map[string]string{"OWN": "own"}[name] }})
	in := &servicetest.Inside{
		Env:   map[string]string{"PASSWORD": "secret", "PW_FILE": "/run/secrets/pw", "GONE_FILE": "/no", "P": "6390"},
		Files: map[string]string{"/run/secrets/pw": "from-file\n", "/etc/pw": "in-file", "/big": strings.Repeat("x", maxFile+1)},
	}
	for value, want := range map[string]string{
		"plain": "plain", "$PASSWORD": "secret", "${PASSWORD}": "secret", "${env:PASSWORD}": "secret", "$PW": "from-file", "$/etc/pw": "in-file",
		"${file:/etc/pw}": "in-file", "${agentenv:OWN}": "own", "${agentfile:token}": "from-host", "a$PASSWORD": "a$PASSWORD", "$remote - $status": "$remote - $status",
	} {
		w := tallyman.ServiceWish{Kind: &kinds()[0], Config: servicetest.Config("PASSWORD", value)}
		c, err := b.Resolve(in, &w)
		if err != nil || c.Text("PASSWORD", "") != want {
			t.Errorf("%s: %q, %v", value, c.Text("PASSWORD", ""), err)
		}
	}
	// What is not there is never an empty password.
	for _, value := range []string{"$NOWHERE", "$GONE", "$/no", "${file:/big}", "${agentenv:NO}", "${agentfile:../../etc/passwd}", "${agentfile:/etc/passwd}"} {
		w := tallyman.ServiceWish{Kind: &kinds()[0], Config: servicetest.Config("PASSWORD", value)}
		if c, err := b.Resolve(in, &w); err == nil {
			t.Errorf("%s is %q", value, c.Text("PASSWORD", ""))
		} else if !strings.Contains(err.Error(), "PASSWORD") {
			t.Errorf("%s: the error names no key: %v", value, err)
		}
	}
	w := tallyman.ServiceWish{Kind: &kinds()[0], Config: servicetest.Config("PORT", "$P")}
	if c, err := b.Resolve(in, &w); err != nil || c.Port("PORT", 0) != "6390" {
		t.Errorf("a port by reference: %v", err)
	}
	w.Config = servicetest.Config("PORT", "$PASSWORD")
	if _, err := b.Resolve(in, &w); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a port that is none: %v", err)
	}
}

func FuzzLabel(f *testing.F) {
	f.Add(`[{"PluginType":"REDIS","Configuration":{"PORT":["1"]}}]`)
	f.Add(`none`)
	f.Add(`[[[[[[`)
	b, err := New(kinds(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		wishes, none, mistakes := b.Label("tallyman.plugins", text, tallyman.FromImageLabel)
		if none && len(wishes) > 0 || len(wishes) > maxEntries*maxValues {
			t.Error("too much")
		}
		for _, m := range mistakes {
			if m.Text == "" || slices.Contains([]string{"", "\x00"}, m.Source) {
				t.Errorf("%+v says nothing", m)
			}
		}
	})
}
