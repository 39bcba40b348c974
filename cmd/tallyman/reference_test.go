// SPDX-License-Identifier: Apache-2.0

package main

//go:generate go test -count=1 -run ^TestReference$ -update .

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/prometheus/model/rulefmt"

	"tallyman"
	"tallyman/alert/rule"
	"tallyman/catalog"
	"tallyman/config"
)

var update = flag.Bool("update", false, "write docs/reference anew")

const generated = "<!-- Written by make generate from the code; do not edit. -->\n\n"

// The reference is written from the code, and what is committed is fresh.
func TestReference(t *testing.T) {
	a := testApp(t, func(c *config.Config) {
		c.Forward.To = []config.Destination{{Loki: "http://127.0.0.1:1/loki/api/v1/push"}, {RemoteWrite: "http://127.0.0.1:1/api/v1/write"},
			{Syslog: "tcp://127.0.0.1:1"}, {Elasticsearch: "http://127.0.0.1:1"}, {OTLP: "http://127.0.0.1:1"}, {Influx: "http://127.0.0.1:1", Database: "d"},
			{Mackerel: "http://127.0.0.1:1", Service: "s", APIKeyFile: "/k"}}
		c.Forward.AMQP.URL, c.Forward.Webhook.URL = "amqp://127.0.0.1:1", "http://127.0.0.1:1"
	}) // their metrics, too
	pages := pluginPages(t)
	maps.Copy(pages, map[string][]byte{
		"config.md":    configReference(t),
		"metrics.md":   metricReference(t, a),
		"cli.md":       commandReference(t),
		"rules.md":     ruleReference(),
		"openapi.json": a.server.OpenAPI(),
	})
	there, err := filepath.Glob("../../docs/plugins/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range there {
		if pages["../plugins/"+filepath.Base(file)] == nil {
			t.Errorf("%s is of no plugin that there is", file)
		}
	}
	for name, want := range pages {
		file := filepath.Join("../../docs/reference", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("docs/reference/%s is not what the code says; run make generate", name)
		}
	}
}

// comments are those of the fields of the structs of package config, by type
// and field.
func comments(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := filepath.Glob("../../config/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			st, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, f := range st.Fields.List {
				for _, id := range f.Names {
					out[spec.Name.Name+"."+id.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
				}
			}
			return true
		})
	}
	return out
}

// configReference is docs/reference/config.md.
func configReference(t *testing.T) []byte {
	t.Helper()
	words := comments(t)
	flags := map[string]bool{}
	for _, f := range flagsOf(commandModel(t).Children[0]) {
		flags[f.Name] = true
	}
	var b bytes.Buffer
	b.WriteString("# Settings\n\n" + generated)
	b.WriteString("Every setting has one key. In the file it is nested YAML, in the environment it has a name, and `--set KEY=VALUE` gives it\n" +
		"on the command line. A flag overrides the environment, which overrides the file (`" + config.DefaultFile + "`, another with\n" +
		"`--config` or `TALLYMAN_CONFIG`). The environment name with `_FILE` behind it names a file that holds the value. Times are\n" +
		"written as `90s`, `1h30m`, `7d`, sizes as `512MiB`, `2GB`.\n\n")
	b.WriteString("| key | type | default | environment | flag | what it is |\n|---|---|---|---|---|---|\n")
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() {
				continue
			}
			key := prefix + f.Tag.Get("yaml")
			if f.Anonymous { // its keys stand among those around it
				walk(v.Field(i), prefix)
				continue
			}
			if f.Type.Kind() == reflect.Struct {
				walk(v.Field(i), key+".")
				continue
			}
			text := words[v.Type().Name()+"."+f.Name]
			if text == "" {
				t.Errorf("the setting %s has no comment", key)
			}
			name := strings.NewReplacer(".", "-", "_", "-").Replace(key)
			if flags[name] {
				name = "`--" + name + "`"
			} else {
				name = ""
			}
			preset := defaultText(v.Field(i))
			if preset != "" {
				text = withoutDefault(text)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | `%s` | %s | %s |\n", key, typeName(f.Type), preset, config.EnvName(key), name, cell(text))
		}
	}
	walk(reflect.ValueOf(config.Default()), "")
	b.WriteString("\nDefaults that depend on the machine: `host` is the host name; `docker.host`, `docker.context` and `docker.cert_path` are found as\nthe docker command finds them (`DOCKER_HOST`, `DOCKER_CONTEXT`, `DOCKER_CERT_PATH`, the current context, the local socket).\n")
	entries := func(of reflect.Type, title, what string) {
		b.WriteString("\n## Entries of " + title + "\n\n" + what + "\n\n| key | type | what it is |\n|---|---|---|\n")
		for i := range of.NumField() {
			f := of.Field(i)
			text := words[of.Name()+"."+f.Name]
			if text == "" {
				t.Errorf("the setting %s of an entry of %s has no comment", f.Name, title)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Tag.Get("yaml"), typeName(f.Type), cell(text))
		}
	}
	entries(reflect.TypeFor[config.Engine](), "engines", "Each entry of the list `engines` is one engine.")
	entries(reflect.TypeFor[config.LogFile](), "logs.files", "Each entry of the list `logs.files` is a log of the host that is a plain text file, or several that fit a pattern.")
	entries(reflect.TypeFor[config.LogRule](), "logs.rules", "Each entry of the list `logs.rules` says what is asked for the logs of some containers or units. All that fit are followed: files\nand redactions add up, of `start` and `level` the label of the container wins, then the first rule. Labels of a container say the\nsame: `tallyman.logs` (files), `tallyman.logs.start`, `tallyman.logs.level`, `tallyman.logs.redact`, `tallyman.logs.redact.<word>`.")
	entries(reflect.TypeFor[config.Destination](), "forward.to", "Each entry of the list `forward.to` is a destination of logs and events, or of metrics. One of the addresses, which come first, is needed. In the file `forward` itself may be that list, as\n`forward: [{loki: https://host/loki/api/v1/push}]`; in the environment `TALLYMAN_FORWARD=loki=https://host/loki/api/v1/push,remote_write=https://host/api/v1/write` is enough.")
	all, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	own, err := ownOptions(config.Default(), all, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.WriteString("\n## Options of sources\n\nWhat a source has of its own stands under `sources`, as `sources: {diskusage: {every: 6h}}`, `TALLYMAN_SOURCES_DISKUSAGE_EVERY=6h` or\n`--set sources.diskusage.every=6h`.\n\n| key | type | default | what it is |\n|---|---|---|---|\n")
	for _, source := range slices.Sorted(maps.Keys(own)) {
		for _, f := range config.Options(own[source]) {
			text := f.Tag.Get("doc")
			if text == "" {
				t.Errorf("the option %s of the source %s has no words", f.Name, source)
			}
			fmt.Fprintf(&b, "| `sources.%s.%s` | %s | %s | %s |\n", source, f.Tag.Get("yaml"), typeName(f.Type), defaultText(reflect.ValueOf(own[source]).FieldByIndex(f.Index)), cell(text))
		}
	}
	return b.Bytes()
}

// withoutDefault leaves out what a column of its own tells.
func withoutDefault(text string) string {
	return strings.TrimSpace(regexp.MustCompile(` Default ([^ ]+|.* for events)\.$`).ReplaceAllString(text, ""))
}

// cell makes text fit into a cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "|", "\\|"), "<", "&lt;")
}

func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[config.Duration](), reflect.TypeFor[time.Duration]():
		return "time"
	case reflect.TypeFor[config.Bytes]():
		return "size"
	case reflect.TypeFor[[]string]():
		return "list"
	case reflect.TypeFor[[]config.Engine]():
		return "list of engines"
	case reflect.TypeFor[[]config.LogFile]():
		return "list of files"
	case reflect.TypeFor[[]config.LogRule]():
		return "list of rules"
	case reflect.TypeFor[[]config.Destination]():
		return "list of destinations"
	case reflect.TypeFor[map[string]string](), reflect.TypeFor[map[string]config.Secret]():
		return "texts by name"
	case reflect.TypeFor[config.Sources]():
		return "options by name"
	case reflect.TypeFor[config.AlarmRules]():
		return "changes by name"
	case reflect.TypeFor[config.Secret]():
		return "secret text"
	case reflect.TypeFor[bool]():
		return "true or false"
	case reflect.TypeFor[int]():
		return "number"
	}
	return "text"
}

func defaultText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return "`" + x.String() + "`"
	case config.Duration:
		d := time.Duration(x)
		if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
			return fmt.Sprintf("`%dd`", d/(24*time.Hour))
		}
		return "`" + d.String() + "`"
	case config.Bytes:
		for _, u := range []struct {
			name string
			n    config.Bytes
		}{{"GiB", 1 << 30}, {"MiB", 1 << 20}} {
			if x%u.n == 0 {
				return fmt.Sprintf("`%d%s`", x/u.n, u.name)
			}
		}
		return fmt.Sprintf("`%dB`", x)
	case []string:
		if len(x) == 0 {
			return "none"
		}
		return "`" + strings.Join(x, "`, `") + "`"
	case []config.Engine, []config.LogFile, []config.LogRule, []config.Destination, config.AlarmRules, config.Sources:
		return "none"
	case config.Secret:
		return ""
	case string:
		if x == "" {
			return ""
		}
		return "`" + x + "`"
	default:
		return fmt.Sprintf("`%v`", x)
	}
}

// pluginPages are docs/plugins/README.md and a page for each plugin, beside docs/reference.
func pluginPages(t *testing.T) map[string][]byte {
	t.Helper()
	all, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	var index bytes.Buffer
	index.WriteString("# Plugins\n\n" + generated + "What asks the services in containers; [services.md](../services.md) says how they are found and told.\n\n| plugin | what it does | found without configuration |\n|---|---|---|\n")
	kinds := slices.SortedFunc(slices.Values(all.Services), func(x, y tallyman.ServiceKind) int { return cmp.Compare(x.Name, y.Name) })
	for _, k := range kinds {
		file := strings.ToLower(k.Name) + ".md"
		fmt.Fprintf(&index, "| [%s](%s) | %s | %s |\n", k.Name, file, cell(k.Summary), map[bool]string{true: "yes", false: ""}[k.Find != nil])
		var b bytes.Buffer
		fmt.Fprintf(&b, "# %s\n\n%s%s.", k.Name, generated, k.Summary)
		if len(k.Aliases) > 0 {
			fmt.Fprintf(&b, " Also called %s.", strings.Join(k.Aliases, ", "))
		}
		part := func(title, text string) {
			if text != "" {
				fmt.Fprintf(&b, "\n\n## %s\n\n%s", title, strings.TrimSpace(text))
			}
		}
		b.WriteString("\n\nA label of a container that asks for it:\n\n```\ntallyman.plugins=" + k.Docs.Example + "\n```")
		part("Found by", k.Docs.Detect)
		part("Without configuration", k.Docs.Free)
		part("A login with the least rights", k.Docs.Account)
		b.WriteString("\n\n## Keys\n\nBeside those that every plugin has: NAME, INTERVAL (default " + k.Every.String() + "), TIMEOUT, ENABLED.\n\n")
		if len(k.Keys) > 0 {
			b.WriteString("| key | value | default | what it is |\n|---|---|---|---|\n")
		}
		for _, key := range k.Keys {
			help := key.Help
			switch {
			case key.Rule:
				help += " (in rules alone)"
			case key.Write:
				help += " (not in labels of images)"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key.Name, key.Type, cell(key.Default), cell(help))
		}
		if len(k.Metrics) > 0 {
			b.WriteString("\n## Metrics\n\n| name | type | unit | what it is |\n|---|---|---|---|\n")
			for _, d := range slices.SortedFunc(slices.Values(k.Metrics), func(x, y *tallyman.Desc) int { return cmp.Compare(x.Name, y.Name) }) {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Type, d.Unit, cell(d.Help))
			}
		}
		part("Notes", k.Docs.Notes)
		out["../plugins/"+file] = append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
	}
	out["../plugins/README.md"] = index.Bytes()
	return out
}

// metricReference is docs/reference/metrics.md.
func metricReference(t *testing.T, a *app) []byte {
	t.Helper()
	all, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("# Metrics\n\n" + generated)
	b.WriteString("What `/metrics` and the Prometheus HTTP API have, by source. Names, labels and meaning are those of cAdvisor (`container_`,\n" +
		"`machine_`) and node_exporter (`node_`); those of tallyman itself begin with `tallyman_` and `process_`.\n\n" +
		"Where a table says so, a number comes from that file of the kernel, or, where those cannot be reached, from that field of\n" +
		"the engine's stats API; an empty field there means that it is absent then. *Row* is the number in the table of metrics that\n" +
		"tallyman sets out to fill (37 rows), which a test compares with readings by hand.\n")
	table := func(title, summary string, metrics []*tallyman.Desc) {
		slices.SortFunc(metrics, func(x, y *tallyman.Desc) int { return cmp.Compare(x.Name, y.Name) })
		metrics = slices.Compact(metrics)
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n", title, summary)
		if !slices.ContainsFunc(metrics, func(d *tallyman.Desc) bool { return d.Origin != tallyman.Origin{} }) {
			b.WriteString("| name | type | unit | what it is |\n|---|---|---|---|\n")
			for _, d := range metrics {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Type, d.Unit, cell(d.Help))
			}
			return
		}
		b.WriteString("| name | type | unit | what it is | cgroup v1 | cgroup v2 | stats API | row |\n|---|---|---|---|---|---|---|---|\n")
		for _, d := range metrics {
			o := d.Origin
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", d.Name, d.Type, d.Unit, cell(d.Help),
				cell(o.V1), cell(cmp.Or(o.V2, o.V1)), cell(o.API), o.Row)
		}
	}
	told := map[string]bool{}
	section := func(name, summary string, metrics []*tallyman.Desc) {
		for _, d := range metrics {
			told[d.Name] = true
		}
		table("source/"+name, summary, slices.Clone(metrics))
	}
	for _, k := range all.Sources {
		section(k.Name, k.Summary, k.Metrics)
	}
	for _, k := range all.Records {
		section(k.Name, k.Summary, k.Metrics)
	}
	var own []*tallyman.Desc
	for _, m := range a.metrics() {
		if !told[m.Desc.Name] {
			own = append(own, m.Desc)
		}
	}
	table("tallyman itself", "What the stations of the flow count about themselves, given by source/self", own)
	return b.Bytes()
}

// ruleReference is docs/reference/rules.md.
func ruleReference() []byte {
	var b bytes.Buffer
	b.WriteString("# Default rules\n\n" + generated)
	b.WriteString("The rules that come with tallyman; [alarms](../alarms.md) says what they rest on, and how one is changed. *For* is how long the\n" +
		"condition must hold, *keep* for how long the alarm stays after it has ended.\n")
	metrics, logs := rule.Defaults(nil)
	for _, groups := range []rulefmt.RuleGroups{metrics, logs} {
		for _, g := range groups.Groups {
			fmt.Fprintf(&b, "\n## %s\n\nEvery %s.\n\n| rule | severity | for | keep | expression |\n|---|---|---|---|---|\n", g.Name, g.Interval)
			for _, r := range g.Rules {
				keep := ""
				if r.KeepFiringFor > 0 {
					keep = r.KeepFiringFor.String()
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | `%s` |\n", r.Alert, r.Labels["severity"], r.For, keep, cell(r.Expr))
			}
		}
	}
	return b.Bytes()
}

func commandModel(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := kong.New(&cli{}, kong.Name("tallyman"))
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

func flagsOf(n *kong.Node) []*kong.Flag {
	var out []*kong.Flag
	for _, f := range n.Flags {
		if f.Name != "help" {
			out = append(out, f)
		}
	}
	return out
}

// commandReference is docs/reference/cli.md.
func commandReference(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("# Commands\n\n" + generated)
	b.WriteString("`tallyman` alone is `tallyman run`. A command ends with status 0 when all is well, else with 1 and one line that says what to do.\n" +
		"Flags override the environment, which overrides the file: see [config.md](config.md).\n")
	shared := flagsOf(commandModel(t).Children[0])
	var walk func(n *kong.Node, name string)
	walk = func(n *kong.Node, name string) {
		for _, c := range n.Children {
			if c.Type == kong.ArgumentNode {
				continue
			}
			full := name + " " + c.Name
			if len(c.Children) > 0 {
				walk(c, full)
				continue
			}
			line := full
			for _, p := range c.Positional {
				line += " [" + cmp.Or(p.Tag.PlaceHolder, strings.ToUpper(p.Name)) + "]"
			}
			fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n\n%s\n", full, line, c.Help)
			for _, p := range c.Positional {
				fmt.Fprintf(&b, "\n`%s`: %s\n", cmp.Or(p.Tag.PlaceHolder, strings.ToUpper(p.Name)), p.Help)
			}
			switch flags := flagsOf(c); {
			case len(flags) == 0:
			case full != "tallyman run" && slices.EqualFunc(flags, shared, func(x, y *kong.Flag) bool { return x.Name == y.Name }):
				b.WriteString("\nIt takes the flags of `tallyman run`.\n")
			default:
				b.WriteString("\n| flag | what it is |\n|---|---|\n")
				for _, f := range flags {
					value := ""
					if !f.IsBool() {
						value = " " + f.FormatPlaceHolder()
					}
					fmt.Fprintf(&b, "| `--%s%s` | %s |\n", f.Name, value, cell(f.Help))
				}
			}
		}
	}
	walk(commandModel(t).Node, "tallyman")
	return b.Bytes()
}

// openAPI is what these tests read of the document.
type openAPI struct {
	Paths map[string]map[string]struct {
		OperationID string
		Summary     string
		Security    []any
		Parameters  []struct{ Name, In string }
		Responses   map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct{ Schemas map[string]map[string]any }
}

func readOpenAPI(t *testing.T, a *app) (d openAPI) {
	t.Helper()
	w := ask(a, "GET", "/api/tallyman/v1/openapi.json", bearer(t, a), "")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("the OpenAPI document: %d %s", w.Code, w.Header())
	}
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Every route is described, with its parameters and who may call it.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	a := testApp(t, nil)
	d := readOpenAPI(t, a)
	count := 0
	for _, r := range a.server.Routes() {
		method, path, _ := strings.Cut(r.Pattern, " ")
		if path == "/assets/" {
			path = "/assets/{path}"
		}
		op, ok := d.Paths[path][strings.ToLower(method)]
		if !ok {
			t.Errorf("%s is not in the OpenAPI document", r.Pattern)
			continue
		}
		count++
		if r.Doc.Summary == "" || op.Summary != r.Doc.Summary {
			t.Errorf("%s: its Doc has no summary", r.Pattern)
		}
		if open := slices.Contains(open, r.Pattern); open != (op.Security != nil) {
			t.Errorf("%s: open = %v, but its security is %v", r.Pattern, open, op.Security)
		}
		for _, m := range regexp.MustCompile(`\{([^}]+)\}`).FindAllStringSubmatch(path, -1) {
			if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == m[1] && p.In == "path" }) {
				t.Errorf("%s: the parameter %s is missing", r.Pattern, m[1])
			}
		}
	}
	ids := map[string]bool{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			count--
			if ids[op.OperationID] {
				t.Errorf("%s %s: the operationId %s comes twice", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	if count != 0 {
		t.Errorf("%d more routes than operations, want as many", count)
	}
}

// The answers have the form that the document promises.
func TestAnswersFitTheOpenAPIDocument(t *testing.T) {
	a := testApp(t, nil)
	d := readOpenAPI(t, a)
	if err := a.eventStore.AppendEvents([]tallyman.Event{{ID: "1", Time: time.Now(), Host: "harbor", Type: "container", Action: "die", Actor: "c", Attributes: map[string]string{"exitCode": "3"}}}); err != nil {
		t.Fatal(err)
	}
	f := func(path, template string, status int) {
		t.Helper()
		w := ask(a, "GET", path, bearer(t, a), "")
		if w.Code != status {
			t.Errorf("GET %s: %d %s, want %d", path, w.Code, w.Body, status)
			return
		}
		answer, ok := d.Paths[template]["get"].Responses[fmt.Sprint(status)]
		if !ok {
			t.Errorf("GET %s: the document has no answer %d", template, status)
			return
		}
		var v any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Errorf("GET %s: %v", path, err)
			return
		}
		for _, e := range d.check(answer.Content["application/json"].Schema, v, "answer") {
			t.Errorf("GET %s: %s", path, e)
		}
	}
	const own = "/api/tallyman/v1/"
	for _, path := range []string{own + "servers", own + "containers", own + "events", own + "session", "/api/v1/status/buildinfo", "/api/v1/metadata", "/api/v1/labels"} {
		f(path, path, http.StatusOK)
	}
	line := func(memory string) string { return `{"HostConfig":{"Memory":` + memory + `},"Id":"c"}` }
	for i, memory := range []string{"1", "2"} {
		st := &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: "harbor"}, {Name: "source", Value: "snapshot"}, {Name: "workload", Value: "w"}}}
		r := tallyman.Record{Time: int64(i), Line: []byte(line(memory)), Meta: []tallyman.Label{{Name: "container_id", Value: "c"}, {Name: "hash", Value: "h" + memory}}}
		if err := a.records.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: st, Records: []tallyman.Record{r}}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{own + "doctor", own + "configurations", own + "events/summary"} {
		f(path, path, http.StatusOK)
	}
	f(own+"siblings?host=harbor&workload=w", own+"siblings", http.StatusOK)
	f(own+"snapshots?workload=w", own+"snapshots", http.StatusOK)
	f(own+"snapshots", own+"snapshots", http.StatusBadRequest)
	f(own+"snapshots/h1", own+"snapshots/{hash}", http.StatusOK)
	f(own+"snapshots/h3", own+"snapshots/{hash}", http.StatusNotFound)
	f(own+"diff?a=h1&b=h2", own+"diff", http.StatusOK)
	f(own+"diff?a=h1", own+"diff", http.StatusBadRequest)
	f(own+"diff?a=h1&b=h3", own+"diff", http.StatusNotFound)
	f(own+"history?host=harbor&workload=x&start="+fmt.Sprint(time.Now().Add(-time.Minute).UnixMilli()), own+"history", http.StatusOK)
	f(own+"history", own+"history", http.StatusBadRequest)
	f(own+"events?before=nobody", own+"events", http.StatusNotFound)
	f(own+"containers/nobody", own+"containers/{ref}", http.StatusNotFound)
	f("/api/v1/query?query="+url.QueryEscape("1+1"), "/api/v1/query", http.StatusOK)
	f("/api/v1/query?query=(", "/api/v1/query", http.StatusBadRequest)
	f("/docker-monitor/api/v1.0/metrics", "/docker-monitor/api/v1.0/metrics", http.StatusInternalServerError) // there is no engine
	w := ask(a, "GET", own+"servers", nil, "")
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	for _, e := range d.check(d.Paths[own+"servers"]["get"].Responses["401"].Content["application/json"].Schema, v, "answer") {
		t.Errorf("without a login: %s", e)
	}
}

// So have the messages of the live stream.
func TestMessagesFitTheOpenAPIDocument(t *testing.T) {
	t.Parallel()
	a := testApp(t, nil)
	schema := readOpenAPI(t, a).Paths["/api/tallyman/v1/live"]["get"].Responses["200"].Content["text/event-stream"].Schema
	items, ok := schema["items"].(map[string]any)
	if !ok {
		t.Fatalf("the document has no messages: %v", schema)
	}
	d := readOpenAPI(t, a)
	server := httptest.NewServer(a.server.Handler())
	defer server.Close()
	f := func(query, wanted string) {
		t.Helper()
		ctx, leave := context.WithTimeout(t.Context(), time.Minute)
		defer leave()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/tallyman/v1/live?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", bearer(t, a)["Authorization"])
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		missing := strings.Fields(wanted)
		event := ""
		for lines := bufio.NewScanner(answer.Body); len(missing) > 0; {
			if !lines.Scan() {
				t.Errorf("%s: no %v came: %v", query, missing, lines.Err())
				return
			}
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				event = value
			case "data":
				var data any
				if err := json.Unmarshal([]byte(value), &data); err != nil {
					t.Fatal(err)
				}
				for _, e := range d.check(items, map[string]any{"event": event, "data": data}, event) {
					t.Errorf("%s: %s", query, e)
				}
				missing = slices.DeleteFunc(missing, func(m string) bool { return m == event })
				if event == "snapshot" {
					c := &tallyman.Container{ID: "c", Name: "web", Host: "harbor", State: tallyman.Running, Workload: tallyman.Workload{Key: "w"}}
					a.hub.ObserveContainer(c)
					a.hub.ObserveEngine(tallyman.EngineStatus{Name: "local", Host: "harbor"})
					a.hub.ObserveEvent(tallyman.Event{ID: "1", Time: time.Now(), Host: "harbor", Type: "container", Action: "die", Workload: "w"})
				}
			}
		}
	}
	f("view=servers", "interval snapshot tick container event engine")
	f("view=container&host=harbor&workload=w", "interval snapshot tick container event engine")
	f("view=events", "interval snapshot tick event engine")
}

// check compares a value with a schema; a key that the schema does not have
// is an error too.
func (d openAPI) check(schema map[string]any, v any, at string) (wrong []string) {
	if ref, ok := schema["$ref"].(string); ok {
		name := ref[strings.LastIndexByte(ref, '/')+1:]
		target, ok := d.Components.Schemas[name]
		if !ok {
			return []string{at + ": there is no schema " + name}
		}
		return d.check(target, v, at)
	}
	if v == nil && (schema["nullable"] == true || len(schema) == 0) {
		return nil
	}
	if all, ok := schema["allOf"].([]any); ok {
		for _, one := range all {
			wrong = append(wrong, d.check(one.(map[string]any), v, at)...)
		}
		return wrong
	}
	if kinds, ok := schema["oneOf"].([]any); ok {
		for _, one := range kinds {
			e := d.check(one.(map[string]any), v, at)
			if len(e) == 0 {
				return nil
			}
			wrong = append(wrong, e...)
		}
		return append([]string{at + " is nothing that the document says"}, wrong...)
	}
	if v == nil {
		return []string{at + " is null"}
	}
	if all, ok := schema["enum"].([]any); ok && !slices.Contains(all, v) {
		return []string{fmt.Sprintf("%s is %v, the document has %v", at, v, all)}
	}
	is := map[reflect.Kind]string{reflect.Bool: "boolean", reflect.String: "string", reflect.Float64: "number", reflect.Slice: "array", reflect.Map: "object"}[reflect.TypeOf(v).Kind()]
	want, _ := schema["type"].(string)
	if n, ok := v.(float64); ok && want == "integer" && n == float64(int64(n)) {
		is = "integer"
	}
	if want != "" && is != want {
		return []string{fmt.Sprintf("%s is a %s, the document says %s", at, is, want)}
	}
	switch v := v.(type) {
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, one := range v {
			wrong = append(wrong, d.check(items, one, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case map[string]any:
		properties, fixed := schema["properties"].(map[string]any)
		more, _ := schema["additionalProperties"].(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if p, ok := properties[k].(map[string]any); ok {
				wrong = append(wrong, d.check(p, v[k], at+"."+k)...)
			} else if more != nil {
				wrong = append(wrong, d.check(more, v[k], at+"."+k)...)
			} else if fixed {
				wrong = append(wrong, at+"."+k+" is not in the document")
			}
		}
		required, _ := schema["required"].([]any)
		for _, k := range required {
			if _, ok := v[k.(string)]; !ok {
				wrong = append(wrong, at+"."+k.(string)+" is missing")
			}
		}
	}
	return wrong
}
