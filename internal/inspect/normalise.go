// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"tallyman/internal/redact"
)

// MaxDocument bounds an encoded document, in bytes.
const MaxDocument = 512 << 10

// maxDepth bounds how deep objects and lists may lie in each other.
const maxDepth = 24

// Object is a document, or an object in it.
type Object = map[string]any

// limits are how much of a text, a list and an object is kept.
type limits struct{ text, items int }

// tries are the limits of which the first is taken that makes a document small
// enough.
var tries = []limits{{16 << 10, 4096}, {1 << 10, 512}, {256, 128}, {64, 32}}

// maker makes one document.
type maker struct {
	key []byte
	limits
}

// Container makes the document of a container.
func Container(raw, key []byte) (Object, error) {
	return makeDocument(raw, key, (*maker).container)
}

// Image makes the document of an image.
func Image(raw, key []byte) (Object, error) { return makeDocument(raw, key, (*maker).image) }

func makeDocument(raw, key []byte, build func(*maker, Object) Object) (Object, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var in Object
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("read an inspection: %w", err)
	}
	if str(in["Id"]) == "" {
		return nil, errors.New("read an inspection: it has no Id")
	}
	for _, l := range tries {
		m := &maker{key: key, limits: l}
		doc := build(m, in)
		if len(Encode(doc)) <= MaxDocument {
			return doc, nil
		}
	}
	return nil, errors.New("read an inspection: it is too large")
}

// Encode is a document as JSON, members sorted, without an end of line.
func Encode(doc Object) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(doc) != nil { // not reached: it came from JSON
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Hash names an encoded document: 32 hexadecimal digits.
func Hash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:16])
}

// The values of JSON as they may be.
func str(v any) string    { s, _ := v.(string); return s }
func object(v any) Object { o, _ := v.(Object); return o }
func list(v any) []any    { l, _ := v.([]any); return l }
func number(v any) string { n, _ := v.(json.Number); return n.String() }
func texts(v any) (out []string) {
	for _, e := range list(v) {
		out = append(out, str(e))
	}
	return out
}

// container picks and orders.
func (m *maker) container(in Object) Object {
	id := str(in["Id"])
	out := Object{
		"Id": m.cut(id), "Created": m.cut(str(in["Created"])), "Name": m.text("Name", strings.TrimPrefix(str(in["Name"]), "/")),
		"Image": m.text("Image", str(in["Image"])), "Platform": m.text("Platform", str(in["Platform"])), "Driver": m.text("Driver", str(in["Driver"])),
		"Config":     m.config(object(in["Config"]), id),
		"HostConfig": m.hostConfig(object(in["HostConfig"])),
		"Mounts":     m.mounts(list(in["Mounts"])),
		"Networks":   m.networks(object(object(in["NetworkSettings"])["Networks"]), id),
	}
	return tidy(out)
}

func (m *maker) image(in Object) Object {
	platform := strings.Trim(str(in["Os"])+"/"+str(in["Architecture"])+"/"+str(in["Variant"]), "/")
	out := Object{
		"Id": m.cut(str(in["Id"])), "Created": m.cut(str(in["Created"])), "Platform": m.text("Platform", platform),
		"RepoTags": m.sorted("RepoTags", list(in["RepoTags"])), "RepoDigests": m.sorted("RepoDigests", list(in["RepoDigests"])),
		"Config": m.config(object(in["Config"]), ""),
	}
	return tidy(out)
}

// config is the part that belongs to the container or image.
func (m *maker) config(in Object, id string) Object {
	out := Object{}
	for k, v := range in {
		switch k {
		case "AttachStdin", "AttachStdout", "AttachStderr": // of the client that made it
		case "Hostname":
			if h := str(v); len(h) < 12 || !strings.HasPrefix(id, h) {
				out[k] = m.text(k, h)
			}
		case "Env":
			out[k] = m.env(texts(v))
		case "Entrypoint", "Cmd": // together, below
		case "Shell":
			out[k] = m.argv(texts(v))
		case "Healthcheck":
			h := m.object(k, object(v), 0)
			h["Test"] = m.argv(texts(object(v)["Test"]))
			out[k] = h
		case "OnBuild":
			var lines []any
			for _, s := range texts(v) {
				lines = append(lines, m.shorten(s, redact.Command))
			}
			out[k] = m.items(lines)
		case "Labels":
			out[k] = m.named(object(v))
		case "ExposedPorts", "Volumes":
			var keys []any
			for k := range object(v) {
				keys = append(keys, k)
			}
			out[k] = m.sorted(k, keys)
		default:
			out[k] = m.value(k, v, 0)
		}
	}
	// What a flag means depends on the command, which may be in the other part.
	entrypoint, cmd := texts(in["Entrypoint"]), texts(in["Cmd"])
	clean := m.args(append(slices.Clone(entrypoint), cmd...))
	out["Entrypoint"], out["Cmd"] = m.items(clean[:len(entrypoint)]), m.items(clean[len(entrypoint):])
	return out
}

// inOrder are the lists of HostConfig whose order means something.
var inOrder = map[string]bool{"Dns": true, "DnsSearch": true}

var anonymous = regexp.MustCompile(`^[0-9a-f]{64}$`)

const anonymousMark = "[anonymous]"

// hostConfig is the part that depends on the host.
func (m *maker) hostConfig(in Object) Object {
	out := Object{}
	for k, v := range in {
		switch k {
		case "ContainerIDFile", "ConsoleSize": // of the client that made it
		case "MemorySwap":
			if !twice(number(v), number(in["Memory"])) {
				out[k] = m.value(k, v, 0)
			}
		case "PortBindings":
			out[k] = m.ports(object(v))
		case "Ulimits":
			u := Object{}
			for _, e := range list(v) {
				e := object(e)
				u[m.text(k, str(e["Name"]))] = number(e["Soft"]) + ":" + number(e["Hard"])
			}
			out[k] = u
		case "Binds":
			var binds []any
			for _, b := range texts(v) {
				if name, rest, ok := strings.Cut(b, ":"); ok && anonymous.MatchString(name) {
					b = anonymousMark + ":" + rest
				}
				binds = append(binds, b)
			}
			out[k] = m.sorted(k, binds)
		case "Mounts":
			out[k] = m.mounts(list(v))
		case "Tmpfs", "Sysctls", "StorageOpt", "Annotations":
			out[k] = m.named(object(v))
		case "LogConfig":
			out[k] = Object{"Type": m.text("Type", str(object(v)["Type"])), "Config": m.named(object(object(v)["Config"]))}
		default:
			if l, ok := v.([]any); ok && !inOrder[k] {
				out[k] = m.sorted(k, l)
				continue
			}
			out[k] = m.value(k, v, 0)
		}
	}
	return out
}

// twice reports whether a is two times b, which is not 0.
func twice(a, b string) bool {
	var x, y int64
	_, err1 := fmt.Sscan(a, &x)
	_, err2 := fmt.Sscan(b, &y)
	return err1 == nil && err2 == nil && y > 0 && x/2 == y && x%2 == 0
}

// ports are the published ones: for each the places where, as "127.0.0.1:8080",
// "8080", or "any" for a port that the engine chooses.
func (m *maker) ports(in Object) Object {
	out := Object{}
	for port, v := range in {
		var at []any
		for _, b := range list(v) {
			host, p := str(object(b)["HostIp"]), str(object(b)["HostPort"])
			if p == "" || p == "0" {
				p = "any"
			}
			if host != "" && host != "0.0.0.0" {
				p = host + ":" + p
			}
			at = append(at, p)
		}
		out[m.text("Port", port)] = m.sorted("Port", at)
	}
	return out
}

// mounts are by their destination.
func (m *maker) mounts(in []any) Object {
	out := Object{}
	for _, v := range in {
		v := object(v)
		mount := m.object("Mount", v, 0)
		volume := str(v["Type"]) == "volume"
		for _, k := range [...]string{"Name", "Source"} {
			switch {
			case volume && anonymous.MatchString(str(v[k])):
				mount[k] = anonymousMark
			case volume && k == "Source" && str(v["Name"]) != "": // where the engine keeps it
				delete(mount, k)
			}
		}
		for k, inner := range v {
			if strings.HasSuffix(k, "Options") {
				mount[k] = m.options(k, object(inner), 0)
			}
		}
		delete(mount, "Destination")
		delete(mount, "Target")
		out[m.text("Destination", cmp.Or(str(v["Destination"]), str(v["Target"])))] = mount
	}
	return out
}

// options are those of a mount, whose labels and driver options are by name.
func (m *maker) options(key string, in Object, depth int) Object {
	out := m.object(key, in, depth)
	for k, v := range in {
		switch o := object(v); {
		case k == "Labels" || k == "Options":
			out[k] = m.named(o)
		case o != nil && depth < maxDepth:
			out[k] = m.options(k, o, depth+1)
		}
	}
	return out
}

// networks are those that it is connected to, with what was asked for.
func (m *maker) networks(in Object, id string) Object {
	out := Object{}
	for name, v := range in {
		v := object(v)
		n := Object{"Connected": true}
		var aliases []any
		for _, a := range texts(v["Aliases"]) {
			if len(a) < 12 || !strings.HasPrefix(id, a) {
				aliases = append(aliases, a)
			}
		}
		n["Aliases"] = m.sorted("Aliases", aliases)
		n["Links"] = m.sorted("Links", list(v["Links"]))
		n["DriverOpts"] = m.named(object(v["DriverOpts"]))
		if ipam := object(v["IPAMConfig"]); ipam != nil {
			n["IPAMConfig"] = m.object("IPAMConfig", ipam, 0)
		}
		out[m.text("Network", name)] = n
	}
	return out
}

// value is any value that needs no more than to be redacted and bounded.
func (m *maker) value(key string, v any, depth int) any {
	switch v := v.(type) {
	case string:
		return m.text(key, v)
	case []any:
		var out []any
		for _, e := range v {
			if depth < maxDepth {
				out = append(out, m.value(key, e, depth+1))
			}
		}
		return m.items(out)
	case Object:
		return m.object(key, v, depth)
	}
	return v
}

func (m *maker) object(key string, in Object, depth int) Object {
	out := Object{}
	if depth >= maxDepth {
		return out
	}
	for _, k := range m.first(in) {
		// A name that speaks of a secret speaks for all under it.
		name := k
		if redact.Sensitive(key) && !redact.Sensitive(k) {
			name = key
		}
		out[m.cut(redact.Text(k))] = m.value(name, in[k], depth+1)
	}
	return out
}

// named are texts by a name that somebody chose; an empty one is told.
func (m *maker) named(in Object) Object {
	out := Object{}
	for _, k := range m.first(in) {
		s := m.text(k, fmt.Sprint(in[k]))
		if s == "" {
			s = empty
		}
		out[m.cut(redact.Text(k))] = s
	}
	return out
}

// empty stands for a text that is set, to nothing.
const empty = "[empty]"

// first are the first names of an object, in order.
func (m *maker) first(in Object) []string {
	keys := make([]string, 0, len(in))
	for k := range in {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys[:min(len(keys), m.limits.items)]
}

// sorted is a list in the order of its encoded elements.
func (m *maker) sorted(key string, in []any) []any {
	out := list(m.value(key, slices.Clone(in), 0))
	slices.SortStableFunc(out, func(a, b any) int {
		x, _ := json.Marshal(a) // it came from JSON
		y, _ := json.Marshal(b)
		return bytes.Compare(x, y)
	})
	return out
}

func (m *maker) items(in []any) []any {
	if len(in) > m.limits.items {
		more := len(in) - m.limits.items
		in = append(in[:m.limits.items:m.limits.items], fmt.Sprintf("… and %d more", more))
	}
	return in
}

func (m *maker) argv(argv []string) []any { return m.items(m.args(argv)) }

// args are redacted together, and bounded each.
func (m *maker) args(argv []string) []any {
	short := make([]string, len(argv))
	for i, a := range argv {
		short[i] = a[:min(len(a), 4*m.limits.text)]
	}
	out := make([]any, len(argv))
	for i, a := range redact.Args(short) {
		if a != short[i] {
			a = m.hidden(a, argv[i])
		}
		if len(a) > m.limits.text || len(short[i]) < len(argv[i]) {
			a = m.cut(a[:min(len(a), m.limits.text)]) + "… " + m.mac("", argv[i])
		}
		out[i] = m.cut(a)
	}
	return out
}

// text is a text without secrets, that stands under key.
func (m *maker) text(key, s string) string {
	return m.shorten(s, func(s string) string { return redact.Label(key, s) })
}

// shorten redacts a text and bounds it. Of one that is much too long only the
// beginning is looked at.
func (m *maker) shorten(s string, redacted func(string) string) string {
	most := 4 * m.limits.text
	if len(s) <= most {
		out := redacted(s)
		if out != s {
			out = m.hidden(out, s)
		}
		return m.cut(out)
	}
	short := redacted(s[:most])
	return m.cut(short[:min(len(short), m.limits.text)]) + "… " + m.mac("", s)
}

// hidden is a text that a secret was taken out of. The number tells whether
// another is there now.
func (m *maker) hidden(redacted, s string) string { return redacted + " " + m.mac("", s) }

// cut bounds a text; what was longer carries a number of the whole.
func (m *maker) cut(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "�")
	}
	const mark = 4 + 16 + 3 // what shorten may have put behind it, and more than hidden has
	if len(s) <= m.limits.text+mark {
		return s
	}
	n := m.limits.text
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "… " + m.mac("", s)
}

// mac tells two values apart and tells nothing else.
func (m *maker) mac(name, value string) string {
	h := hmac.New(sha256.New, m.key)
	fmt.Fprintf(h, "%d %s %s", len(name), name, value)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// harmless are the variables whose values are kept.
var harmless = map[string]bool{
	"PATH": true, "LANG": true, "LANGUAGE": true, "LC_ALL": true, "LC_CTYPE": true, "TZ": true, "HOME": true, "PWD": true, "SHELL": true, "TERM": true,
	"USER": true, "LOGNAME": true, "DEBIAN_FRONTEND": true, "PYTHONUNBUFFERED": true, "PYTHONDONTWRITEBYTECODE": true, "JAVA_HOME": true, "GOPATH": true,
	"NODE_VERSION": true, "PYTHON_VERSION": true, "JAVA_VERSION": true, "GOLANG_VERSION": true, "NGINX_VERSION": true, "HTTPD_VERSION": true,
	"REDIS_VERSION": true, "PG_VERSION": true, "PG_MAJOR": true, "MYSQL_VERSION": true, "MARIADB_VERSION": true, "PHP_VERSION": true, "RUBY_VERSION": true,
}

// env is what is set, by name. Of a name that is there twice the last counts.
func (m *maker) env(in []string) Object {
	out := Object{}
	for i, e := range in {
		if i >= m.limits.items {
			break
		}
		name, value, ok := strings.Cut(e, "=")
		name = m.cut(redact.Text(name))
		switch {
		case !ok:
			out[name] = "[unset]"
		case value == "":
			out[name] = empty
		case harmless[name]:
			out[name] = m.shorten(value, redact.Command)
		default:
			out[name] = "[set] " + m.mac(name, value)
		}
	}
	return out
}

// tidy leaves out what is empty, zero or false.
func tidy(o Object) Object {
	for k, v := range o {
		if v = tidyValue(v); v == nil {
			delete(o, k)
		} else {
			o[k] = v
		}
	}
	return o
}

func tidyValue(v any) any {
	switch w := v.(type) {
	case nil:
		return nil
	case string:
		if w == "" {
			return nil
		}
	case bool:
		if !w {
			return nil
		}
	case json.Number:
		if w == "0" {
			return nil
		}
	case []any:
		if len(w) == 0 {
			return nil
		}
	case Object:
		if len(tidy(w)) == 0 {
			return nil
		}
	}
	return v
}
