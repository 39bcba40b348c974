// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"tallyman/config"
	"tallyman/internal/dockerapi"
	"tallyman/internal/testkit"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// load reads a configuration from text.
func load(t *testing.T, text string) (config.Config, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tallyman.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(config.Input{File: name, Hostname: "h"})
}

// Whoever copies a configuration from the documentation or from examples has
// one that loads.
func TestConfigurationsOfTheDocumentsLoad(t *testing.T) {
	n := 0
	for _, f := range tracked(t) {
		var texts []string
		switch {
		case strings.HasPrefix(f, "examples/rules/"): // the tests of cmd/tallyman check those
		case strings.HasPrefix(f, "examples/") && path.Ext(f) == ".yaml":
			texts = []string{read(t, f)}
		case path.Ext(f) == ".md":
			for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read(t, f), -1) {
				texts = append(texts, m[1])
			}
		}
		for _, text := range texts {
			n++
			if _, err := load(t, text); err != nil {
				t.Errorf("%s: %v in\n%s", f, err, text)
			}
		}
	}
	if n < 5 {
		t.Errorf("%d configurations found, want those of the README, docs and examples", n)
	}
}

// runLine are the flags of the docker run line of the documentation, by flag.
func runLine(t *testing.T) map[string][]string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, "docs/getting-started.md"), "docker run -d --name tallyman ")
	line, _, end := strings.Cut(rest, "\n```")
	if !ok || !end {
		t.Fatal("docs/getting-started.md has no docker run line")
	}
	out := map[string][]string{}
	f := strings.Fields(strings.ReplaceAll(line, "\\\n", " "))
	for i := 0; i < len(f)-1; i++ {
		name, value, ok := strings.Cut(f[i], "=")
		if !ok {
			i++
			value = f[i]
		}
		out[name] = append(out[name], value)
	}
	return out
}

// Compose gives the agent what the docker run line gives, and each flag of
// that line is explained.
func TestComposeAndTheRunLineAreTheSame(t *testing.T) {
	line := runLine(t)
	var file struct {
		Services map[string]struct {
			Image, Pid, Cgroup      string
			CapDrop                 []string `yaml:"cap_drop"`
			CapAdd                  []string `yaml:"cap_add"`
			Ports, Volumes, Devices []string
			Privileged              bool
			NetworkMode             string `yaml:"network_mode"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	s := file.Services["tallyman"]
	got := map[string][]string{"--pid": {s.Pid}, "--cgroupns": {s.Cgroup}, "--cap-drop": s.CapDrop, "--cap-add": s.CapAdd, "-p": s.Ports, "-v": s.Volumes}
	for _, flag := range slices.Sorted(maps.Keys(line)) {
		want := slices.Sorted(slices.Values(line[flag]))
		if have := slices.Sorted(slices.Values(got[flag])); !slices.Equal(have, want) {
			t.Errorf("%s: deploy/compose.yaml has %q, the docker run line %q", flag, have, want)
		}
	}
	if len(line) != len(got) || s.Privileged || s.NetworkMode != "" || len(s.Devices) > 0 || s.Image != "tallyman" {
		t.Errorf("the line has %v, compose.yaml %+v", slices.Sorted(maps.Keys(line)), s)
	}
	text := read(t, "docs/getting-started.md")
	_, block, _ := strings.Cut(text, "\ndocker run -d --name tallyman ")
	block, _, _ = strings.Cut(block, "\n```")
	if !strings.Contains(read(t, "README.md"), block) {
		t.Error("the README has another docker run line than docs/getting-started.md")
	}
	for flag, values := range line {
		for _, v := range values {
			v, _, _ = strings.Cut(v, ":/")
			if !strings.Contains(text, "| `"+flag+" "+v) && !strings.Contains(text, "| `"+flag+"="+v) {
				t.Errorf("docs/getting-started.md does not explain %s %s", flag, v)
			}
		}
	}
}

// The commands that make certificates make such as the client takes.
func TestTheCommandsForCertificates(t *testing.T) {
	testkit.Need(t, "openssl", "install Debian's package openssl")
	dir := t.TempDir()
	n := 0
	for line := range strings.Lines(read(t, "docs/getting-started.md")) {
		if !strings.HasPrefix(line, "openssl ") {
			continue
		}
		n++
		// Shorter keys, for the sake of time.
		argv := strings.Fields(strings.ReplaceAll(line, "rsa:3072", "rsa:2048"))
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	if n != 3 {
		t.Errorf("%d commands, want 3", n)
	}
	for _, pair := range [][2]string{{"cert.pem", "key.pem"}, {"server-cert.pem", "server-key.pem"}} {
		if _, err := (dockerapi.TLS{CA: dir + "/ca.pem", Cert: dir + "/" + pair[0], Key: dir + "/" + pair[1]}).Config("db.example"); err != nil {
			t.Errorf("%s: %v", pair[0], err)
		}
	}
	for name, purpose := range map[string]string{"cert.pem": "sslclient", "server-cert.pem": "sslserver"} {
		if out, err := exec.Command("openssl", "verify", "-CAfile", dir+"/ca.pem", "-purpose", purpose, dir+"/"+name).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// messages are the string literals of the code by file; those that are given
// to a function which makes or logs an error are told apart.
type messages struct {
	all    map[string][]string
	errors map[string][]string
}

func messagesOf(t *testing.T) messages {
	t.Helper()
	m := messages{map[string][]string{}, map[string][]string{}}
	for _, f := range tracked(t) {
		if path.Ext(f) != ".go" || strings.HasSuffix(f, "_test.go") || strings.HasPrefix(f, "internal/testkit/") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		text := func(n ast.Node) string {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				s, _ := strconv.Unquote(l.Value) // the file is parsed
				return s
			}
			return ""
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s := text(n); s != "" {
				m.all[f] = append(m.all[f], s)
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			name := ""
			switch fun := call.Fun.(type) {
			case *ast.Ident:
				name = fun.Name
			case *ast.SelectorExpr:
				name = fun.Sel.Name
			}
			if slices.Contains([]string{"Errorf", "New", "wrong", "Warn", "Error"}, name) {
				if s := text(call.Args[0]); s != "" {
					m.errors[f] = append(m.errors[f], s)
				}
			}
			return true
		})
	}
	return m
}

var verb = regexp.MustCompile(`%[#+.0-9]*[a-zA-Z]`)

// fragments are the parts of a message that do not vary.
func fragments(s, variable string) (out []string) {
	for _, f := range strings.Split(s, variable) {
		if f = strings.TrimSpace(f); len(f) > 3 {
			out = append(out, f)
		}
	}
	return out
}

// A message that somebody looks up is in the code as it stands in the document.
func TestTroubleshootingQuotesTheCode(t *testing.T) {
	var code strings.Builder // with the variable parts as the document has them
	for _, list := range messagesOf(t).all {
		for _, s := range list {
			code.WriteString(verb.ReplaceAllString(s, "…") + "\n")
		}
	}
	text := code.String()
	n := 0
	for line := range strings.Lines(read(t, "docs/troubleshooting.md")) {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			n++
			for _, f := range fragments(m[1], "…") {
				if !strings.Contains(text, f) {
					t.Errorf("docs/troubleshooting.md quotes %q; no message of the code has %q", m[1], f)
				}
			}
		}
	}
	if n < 80 {
		t.Errorf("%d messages found, want all", n)
	}
}

// forPeople are the files whose errors reach a person.
var forPeople = []string{
	"internal/datadir/datadir.go", "internal/dockerapi/tls.go", "internal/fsx/space.go", "config/config.go", "config/bounds.go", "config/keys.go", "config/engines.go", "config/choice.go", "config/sources.go", "config/forward.go",
	"cmd/tallyman/listen.go", "internal/machine/descriptors.go", "cmd/tallyman/health.go", "pipeline/pipeline.go", "pipeline/events.go", "store/metric/mend.go", "attach/attach.go", "attach/poll.go", "attach/records.go",
	"discover/discover.go", "discover/stream.go", "api/auth/auth.go", "forward/amqp/amqp.go", "forward/dockermonitor/stream.go", "forward/webhook/webhook.go",
}

// unexplained need no entry, with the reason.
var unexplained = map[string]string{
	"not everything closed cleanly":                             "the reason stands behind it and nothing can be done",
	"a source did not close cleanly":                            "the same",
	"there is no engine %q":                                     "for the wiring, not for people",
	"discovery runs already":                                    "for the wiring, not for people",
	"two engines are named %q":                                  "the configuration finds it first",
	"two engines have the host %q; give each a host of its own": "the configuration finds it first",
	"the metric store is closed":                                "for the wiring, not for people",
}

// Every error that reaches a person is explained; words that only say where
// another error happened are not errors of their own.
func TestEveryErrorIsExplained(t *testing.T) {
	doc := read(t, "docs/troubleshooting.md")
	wrapper := regexp.MustCompile(`: %[ws](; %s|; choose another with --data)?$`)
	m := messagesOf(t)
	for _, f := range forPeople {
		if len(m.errors[f]) == 0 {
			t.Errorf("%s has no errors; take it off the list", f)
		}
		for _, s := range m.errors[f] {
			if wrapper.MatchString(s) || unexplained[s] != "" || strings.Count(s, " ") < 2 {
				continue
			}
			explained := false
			for _, part := range verb.Split(s, -1) {
				for _, words := range regexp.MustCompile(`[;:,] `).Split(part, -1) {
					if words = strings.Trim(words, " :("); len(words) > 8 && strings.Contains(doc, words) {
						explained = true
					}
				}
			}
			if !explained {
				t.Errorf("%s: docs/troubleshooting.md does not explain %q", f, s)
			}
		}
	}
}

// The OpenAPI document is JSON and is what the documents link to.
func TestOpenAPIIsThere(t *testing.T) {
	var d struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.Unmarshal([]byte(read(t, "docs/reference/openapi.json")), &d); err != nil || d.OpenAPI == "" || len(d.Paths) < 20 {
		t.Errorf("docs/reference/openapi.json: %v, %d paths", err, len(d.Paths))
	}
}

// A test that was flaky twice is to be mended, not written down once more.
func TestNoTestIsFlakyThrice(t *testing.T) {
	_, table, ok := strings.Cut(read(t, "docs/testing.md"), "\n| test | date | what was found |\n")
	if !ok {
		t.Fatal("docs/testing.md has no table of flaky tests")
	}
	row := regexp.MustCompile("^\\| `((?:Test|Fuzz|Example)\\w+)` \\| \\d{4}-\\d\\d-\\d\\d \\| .+ \\|\n$")
	seen := map[string]int{}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		m := row.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "|---"):
		case m == nil:
			t.Errorf("%q is not test, date and what was found", line)
		case seen[m[1]] == 2:
			t.Errorf("%s was flaky three times; mend it", m[1])
		default:
			seen[m[1]]++
		}
	}
}
