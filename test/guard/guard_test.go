// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tallyman/catalog"
	"tallyman/config"
)

const root = "../.."

// rule says what packages under a path may import of this module.
type rule struct {
	of      string // the package or, with a trailing /, everything under it
	may     []string
	because string
}

// rules: the first that fits a package is its rule.
var rules = []rule{
	{"tallyman", nil, "the vocabulary imports the standard library only, so that everything may import it"},
	{"tallyman/internal/recordtest", []string{"tallyman"}, "an oracle knows the contract only"},
	{"tallyman/internal/testkit", []string{"tallyman"}, "help for tests knows no station"},
	{"tallyman/internal/", []string{"tallyman", "tallyman/internal/"}, "machinery knows no station of the flow"},
	{"tallyman/source/sourcetest", []string{"tallyman", "tallyman/internal/"}, "the suite knows contracts, not sources"},
	{"tallyman/source/", []string{"tallyman", "tallyman/internal/"}, "a source knows neither its siblings nor another station"},
	{"tallyman/service/servicetest", []string{"tallyman", "tallyman/internal/"}, "the suite knows the contract, not plugins"},
	{"tallyman/service/", []string{"tallyman", "tallyman/internal/", "tallyman/service/ask"}, "a plugin knows neither its siblings nor another station; what several ask alike is in ask"},
	{"tallyman/store/", []string{"tallyman", "tallyman/internal/"}, "a store knows neither its siblings nor another station"},
	{"tallyman/discover", []string{"tallyman", "tallyman/internal/"}, "discovery sees sources and stores only through contracts"},
	{"tallyman/discover/plugin", []string{"tallyman", "tallyman/internal/"}, "what fits a container is decided from what is handed in"},
	{"tallyman/attach/inside", []string{"tallyman", "tallyman/internal/"}, "what plugins see knows no station"},
	{"tallyman/attach/services", []string{"tallyman", "tallyman/attach", "tallyman/attach/inside", "tallyman/internal/"}, "plugins are run through contracts"},
	{"tallyman/attach", []string{"tallyman", "tallyman/internal/"}, "the collector sees sources only through contracts"},
	{"tallyman/alert/problem", []string{"tallyman"}, "the state machine is pure: it knows the words, and no clock"},
	{"tallyman/alert/", []string{"tallyman", "tallyman/alert/", "tallyman/internal/"}, "alarms see stores and queries only through what they are handed"},
	{"tallyman/alert", []string{"tallyman", "tallyman/alert/", "tallyman/internal/"}, "alarms see stores and queries only through what they are handed"},
	{"tallyman/forward/send", []string{"tallyman", "tallyman/forward/queue", "tallyman/forward/spool", "tallyman/internal/"}, "how something is sent knows nobody who sends"},
	{"tallyman/forward/spool", []string{"tallyman", "tallyman/internal/"}, "the spool is a store: it knows nobody who sends"},
	{"tallyman/forward/promwrite", []string{"tallyman", "tallyman/forward/queue", "tallyman/forward/send", "tallyman/forward/spool", "tallyman/internal/"}, "a forwarder of samples reads them from the spool"},
	{"tallyman/forward/otlp", []string{"tallyman", "tallyman/forward/queue", "tallyman/forward/send", "tallyman/forward/spool", "tallyman/internal/"}, "a forwarder of samples reads them from the spool"},
	{"tallyman/forward/influx", []string{"tallyman", "tallyman/forward/queue", "tallyman/forward/send", "tallyman/forward/spool", "tallyman/internal/"}, "a forwarder of samples reads them from the spool"},
	{"tallyman/forward/mackerel", []string{"tallyman", "tallyman/forward/queue", "tallyman/forward/send", "tallyman/forward/spool", "tallyman/internal/"}, "a forwarder of samples reads them from the spool"},
	{"tallyman/forward/forwardtest", []string{"tallyman", "tallyman/forward/spool", "tallyman/internal/"}, "the suite knows contracts, not forwarders"},
	{"tallyman/forward/", []string{"tallyman", "tallyman/forward/queue", "tallyman/forward/send", "tallyman/internal/"}, "a forwarder knows neither its siblings nor another station; what several keep is in the queue, and how they post in send"},
	{"tallyman/pipeline", []string{"tallyman", "tallyman/internal/"}, "the pipeline sees stores only through contracts"},
	{"tallyman/inventory", []string{"tallyman", "tallyman/api/view", "tallyman/internal/"}, "what is told of containers has the form of REST"},
	{"tallyman/receive", []string{"tallyman", "tallyman/internal/"}, "what agents send is taken through contracts"},
	{"tallyman/query", []string{"tallyman", "tallyman/internal/"}, "queries see stores only through what they are handed"},
	{"tallyman/query/", []string{"tallyman", "tallyman/internal/"}, "queries see stores only through what they are handed"},
	{"tallyman/config", []string{"tallyman", "tallyman/internal/"}, "settings know nothing of what they set"},
	{"tallyman/top", []string{"tallyman", "tallyman/api/view", "tallyman/internal/clip"}, "the terminal shows what the APIs tell"},
	{"tallyman/doctor", []string{"tallyman", "tallyman/internal/"}, "the doctor looks at nothing itself; it is told"},
	{"tallyman/api", []string{"tallyman", "tallyman/api/auth", "tallyman/internal/"}, "the table of routes is handed its parts, and guards them with the login"},
	{"tallyman/api/view", []string{"tallyman", "tallyman/query", "tallyman/internal/"}, "a view holds what it is given"},
	{"tallyman/api/", []string{"tallyman", "tallyman/query", "tallyman/query/", "tallyman/doctor", "tallyman/alert", "tallyman/alert/rule", "tallyman/alert/route", "tallyman/api/view", "tallyman/internal/"},
		"an interface knows neither its siblings, nor a store or a source; what two of them show is in api/view"},
	{"tallyman/web", nil, "the page is files"},
	{"tallyman/catalog", []string{"tallyman", "tallyman/source/", "tallyman/service/"}, "the catalog lists sources and plugins, nothing more"},
	{"tallyman/cmd/", []string{"tallyman/", "tallyman"}, "the wiring may import anything; nobody imports it"},
	{"tallyman/test/", []string{"tallyman/", "tallyman"}, "tests may import anything"},
}

// only says which packages outside this module are wrapped in one place.
var only = map[string][]string{
	"github.com/moby/moby":                        {"tallyman/internal/dockerapi"},
	"github.com/prometheus/prometheus/tsdb":       {"tallyman/store/metric", "tallyman/query"},    // query: the chunk iterator of the store's interface
	"github.com/prometheus/prometheus/web/api/v1": {"tallyman/api/prom", "tallyman/cmd/tallyman"}, // cmd: the rules, handed from one to the other
	"github.com/coder/websocket":                  {"tallyman/api/loki", "tallyman/cmd/tallyman"},
	"github.com/goccy/go-yaml":                    {"tallyman/config"},
	"github.com/alecthomas/kong":                  {"tallyman/cmd/tallyman"},
	"go.yaml.in/yaml":                             {"tallyman/alert/rule", "tallyman/alert/rule/unit"}, // as the reader of rules has it
	"github.com/prometheus/alertmanager":          {"tallyman/alert/route", "tallyman/alert/notify"},
	"github.com/nicholas-fedor/shoutrrr":          {"tallyman/alert/notify"},
	"github.com/rabbitmq/amqp091-go":              {"tallyman/forward/amqp"},
	"go.opentelemetry.io/collector":               {"tallyman/forward/otlp"},
	"os/exec":                                     {"tallyman/internal/testkit", "tallyman/source/journald"}, // journalctl
}

type pkg struct {
	ImportPath, Doc string
	Imports         []string
	GoFiles         []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func fits(path, pattern string) bool {
	return path == pattern || strings.HasSuffix(pattern, "/") && strings.HasPrefix(path, pattern)
}

// Records have one way into their store, where they are counted: nothing but the
// pipeline appends, and the store of events, which goes that way.
func TestOnlyThePipelineAppends(t *testing.T) {
	may := []string{"pipeline/", "store/", "internal/recordtest/", "source/sourcetest/"}
	for _, name := range tracked(t) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "test/") || slices.ContainsFunc(may, func(m string) bool { return strings.HasPrefix(name, m) }) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(b), "\n") {
			if strings.Contains(line, ".AppendRecords(") && !strings.Contains(line, ".pushes.AppendRecords(") && !strings.Contains(line, ".ofAgents.AppendRecords(") {
				t.Errorf("%s:%d appends records; sources take a tallyman.RecordIntake", name, i+1)
			}
		}
	}
}

// A source is added by its folder alone: the wiring knows those by name that settings
// speak of, in one file.
func TestTheWiringKnowsFewSources(t *testing.T) {
	for _, name := range tracked(t) {
		if !strings.HasPrefix(name, "cmd/") || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == "cmd/tallyman/sources.go" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(`"tallyman/source/`)) {
			t.Errorf("%s imports a source; the catalog has them, and sources.go their options", name)
		}
	}
}

// What is absent is decided by its code: the words are for people.
func TestNobodyDecidesByWords(t *testing.T) {
	words := regexp.MustCompile(`strings\.(HasPrefix|HasSuffix|Contains)\([a-zA-Z.]*\.(Reason|Unlock), "`)
	for _, name := range tracked(t) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if m := words.Find(b); m != nil {
			t.Errorf("%s decides by the words of an absence: %s", name, m)
		}
	}
}

func TestWhoImportsWhom(t *testing.T) {
	for _, p := range packages(t) {
		at := slices.IndexFunc(rules, func(r rule) bool { return fits(p.ImportPath, r.of) })
		if at < 0 {
			t.Errorf("%s: there is no rule for this package; add one to the guard", p.ImportPath)
			continue
		}
		r := rules[at]
		for _, i := range p.Imports {
			if i != "tallyman" && !strings.HasPrefix(i, "tallyman/") {
				continue
			}
			if strings.HasPrefix(i, "tallyman/cmd/") || !slices.ContainsFunc(r.may, func(m string) bool { return fits(i, m) }) {
				t.Errorf("%s imports %s: %s", p.ImportPath, i, r.because)
			}
		}
		if p.ImportPath == "tallyman" {
			for _, i := range p.Imports {
				if strings.Contains(i, ".") {
					t.Errorf("the root package imports %s: %s", i, r.because)
				}
			}
		}
		for lib, homes := range only {
			for _, i := range p.Imports {
				if (i == lib || strings.HasPrefix(i, lib+"/")) && !slices.Contains(homes, p.ImportPath) && !strings.HasPrefix(p.ImportPath, "tallyman/test/") {
					t.Errorf("%s imports %s, which is wrapped in %v", p.ImportPath, i, homes)
				}
			}
		}
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && len(p.Doc) < 30 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// tracked are the files of the tree that are committed or would be.
func tracked(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("no git checkout: %v", err)
	}
	var files []string
	for _, f := range strings.Fields(string(out)) {
		if _, err := os.Stat(filepath.Join(root, f)); err == nil {
			files = append(files, f)
		}
	}
	return files
}

func TestLicenceLines(t *testing.T) {
	for _, f := range tracked(t) {
		switch path.Ext(f) {
		case ".go", ".ts", ".tsx", ".css", ".sh", ".mjs":
		default:
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b[:min(len(b), 200)], []byte("SPDX-License-Identifier: Apache-2.0")) {
			t.Errorf("%s has no licence line", f)
		}
	}
}

func TestNothingBuiltOrLargeIsCommitted(t *testing.T) {
	for _, f := range tracked(t) {
		if strings.HasPrefix(f, "web/dist/") || strings.Contains(f, "node_modules/") || strings.HasPrefix(f, "vendor/") {
			t.Errorf("%s is built or somebody else's", f)
		}
		if st, err := os.Stat(filepath.Join(root, f)); err == nil && st.Size() > 1<<20 {
			t.Errorf("%s has %d bytes, at most 1 MiB may be committed", f, st.Size())
		}
		if path.Base(f) == "package-lock.json" {
			b, err := os.ReadFile(filepath.Join(root, f))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(b, []byte(`"resolved": "http`)) {
				t.Errorf("%s records download addresses", f)
			}
		}
	}
}

// What a package does at load time, or through variables that change, cannot
// be seen by whoever wires it.
func TestNoInitAndNoExitBelowMain(t *testing.T) {
	for _, f := range tracked(t) {
		if path.Ext(f) != ".go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", f)
			}
		}
		if file.Name.Name == "main" || strings.HasSuffix(f, "_test.go") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if !ok {
				return true
			}
			for _, bad := range []string{"os.Exit", "log.Fatal", "log.Fatalf", "fmt.Print", "fmt.Println", "fmt.Printf", "os.Getenv", "os.Environ"} {
				if x.Name+"."+s.Sel.Name == bad && !strings.HasPrefix(f, "internal/testkit/") {
					t.Errorf("%s uses %s below main", f, bad)
				}
			}
			return true
		})
	}
}

func TestGeneratedFilesAreFresh(t *testing.T) {
	name := filepath.Join(root, "catalog/catalog_gen.go")
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, folder := range []string{"source", "service"} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(root, folder))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "catalog"), 0o700); err != nil {
		t.Fatal(err)
	}
	gen, err := filepath.Abs(filepath.Join(root, "catalog/gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", gen)
	cmd.Dir = filepath.Join(dir, "catalog")
	cmd.Env = append(os.Environ(), "GO111MODULE=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "catalog/catalog_gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("catalog/catalog_gen.go does not list the folders of source/ and service/; run make generate")
	}
}

// Names follow prometheus.io/docs/practices/naming. Those of other exporters
// are theirs.
func TestMetricNames(t *testing.T) {
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	good := regexp.MustCompile(`^[a-z][a-zA-Z0-9_]*$`)
	// cAdvisor's counter without _total and its gauges with it.
	foreign := []string{"container_memory_failcnt", "container_fs_inodes_total", "container_network_tcp_usage_total", "container_network_tcp6_usage_total",
		"container_network_udp_usage_total", "container_network_udp6_usage_total"}
	services := map[string]bool{} // named by the exporters of old
	for _, k := range c.Services {
		for _, d := range k.Metrics {
			services[d.Name] = true
		}
	}
	for name, d := range c.Metrics() {
		if !good.MatchString(name) || d.Help == "" || strings.HasSuffix(d.Help, ".") {
			t.Errorf("%s: a name in lower case and a help text without a full stop, got %q", name, d.Help)
		}
		if total := strings.HasSuffix(name, "_total"); total != (d.Type.String() == "counter") && !slices.Contains(foreign, name) && !services[name] {
			t.Errorf("%s is a %s", name, d.Type)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)

func TestLinksOfDocumentsResolve(t *testing.T) {
	for _, f := range tracked(t) {
		if path.Ext(f) != ".md" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(b, -1) {
			target := string(m[1])
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := fs.Stat(os.DirFS(root), path.Join(path.Dir(f), target)); err != nil {
				t.Errorf("%s links to %s: %v", f, target, err)
			}
		}
	}
}

// The README's example is the default configuration, and it loads.
func TestREADMEShowsTheDefaults(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "```yaml\n")
	example, _, end := strings.Cut(rest, "```")
	if !ok || !end {
		t.Fatal("the README has no example of the configuration")
	}
	name := filepath.Join(t.TempDir(), "tallyman.yaml")
	if err := os.WriteFile(name, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(config.Input{File: name, Hostname: "h"})
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.Load(config.Input{Environ: []string{"TALLYMAN_CONFIG=/dev/null"}, Hostname: "h"})
	if err != nil {
		t.Fatal(err)
	}
	gotJSON, _ := json.Marshal(got)
	wantJSON, _ := json.Marshal(want)
	if !bytes.Equal(gotJSON, wantJSON) {
		t.Errorf("the README shows\n%s\nthe defaults are\n%s", gotJSON, wantJSON)
	}
	for _, key := range config.Keys() {
		last := key[strings.LastIndexByte(key, '.')+1:]
		if !strings.Contains(example, last+":") && key != "host" && key != "allowed_hosts" {
			t.Errorf("the README does not show %s", key)
		}
	}
}

// The commands of the README exist.
func TestREADMECommands(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`make ([a-z0-9-]+)").FindAllSubmatch(readme, -1) {
		if !bytes.Contains(makefile, []byte("\n"+string(m[1])+":")) {
			t.Errorf("the README names make %s, which is no target", m[1])
		}
	}
}

// Whoever starts a goroutine waits for it; a package that starts some looks, at
// the end of its tests, whether any is left.
func TestPackagesThatStartGoroutinesLookForThem(t *testing.T) {
	starts, looks := map[string]bool{}, map[string]bool{}
	for _, f := range tracked(t) {
		dir := path.Dir(f)
		if path.Ext(f) != ".go" || strings.HasPrefix(f, "internal/tools/") || strings.HasSuffix(f, "_test.go") && strings.HasPrefix(f, "test/") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				starts[dir] = starts[dir] || !strings.HasSuffix(f, "_test.go")
			case *ast.SelectorExpr:
				if n.Sel.Name == "Go" {
					starts[dir] = starts[dir] || !strings.HasSuffix(f, "_test.go")
				}
				if n.Sel.Name == "VerifyTestMain" && strings.HasSuffix(f, "_test.go") {
					looks[dir] = true
				}
			}
			return true
		})
	}
	for _, helps := range []string{"internal/testkit", "internal/dockerapi/dockertest", "source/sourcetest", "service/servicetest", "store/storetest", "test/bench/floor"} {
		delete(starts, helps) // those who call them look
	}
	for _, dir := range slices.Sorted(maps.Keys(starts)) {
		if !looks[dir] {
			t.Errorf("%s starts goroutines; its TestMain has to call goleak.VerifyTestMain", dir)
		}
	}
	if len(starts) < 10 {
		t.Errorf("%d packages start goroutines, want all", len(starts))
	}
}
