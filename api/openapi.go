// SPDX-License-Identifier: Apache-2.0

package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tallyman/internal/httpx"
)

// apiText opens the OpenAPI document.
const apiText = `The HTTP interfaces of tallyman. Every route needs a login but those that say so: the token in the file "token" of the
data directory as "Authorization: Bearer …", or the cookie of a session.

In tallyman's own answers times are milliseconds since 1970, durations seconds, CPU is in cores, memory and disks are in
bytes, network and block IO in bytes per second. What is not known is left out, or null in a list; it is never 0.`

// object is a JSON object.
type object = map[string]any

// document makes the OpenAPI document of a table of routes. It is made of the
// table and of the types of the answers alone, so a route cannot be missing.
func document(routes []httpx.Route, version string) ([]byte, error) {
	s := schemas{all: object{}, types: map[string]reflect.Type{}}
	paths := object{}
	for _, r := range routes {
		method, path, parameters := template(r.Pattern)
		item, ok := paths[path].(object)
		if !ok {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(method)] = s.operation(r, method, path, parameters)
	}
	if s.err != nil {
		return nil, s.err
	}
	b, err := json.MarshalIndent(object{
		"openapi":  "3.0.3",
		"info":     object{"title": "tallyman", "version": version, "description": apiText, "license": object{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}},
		"servers":  []object{{"url": "/"}},
		"tags":     tags(),
		"security": []object{{"token": []string{}}, {"session": []string{}}},
		"paths":    paths,
		"components": object{
			"schemas": s.all,
			"securitySchemes": object{
				"token":   object{"type": "http", "scheme": "bearer", "description": "The token in the file \"token\" of the data directory."},
				"session": object{"type": "apiKey", "in": "cookie", "name": "tallyman_session", "description": "What POST /api/tallyman/v1/login sets."},
			},
		},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	return append(b, '\n'), nil
}

// template splits a pattern of net/http into the method, the path as OpenAPI
// has it, and the parameters in the path.
func template(pattern string) (method, path string, parameters []string) {
	method, path, _ = strings.Cut(pattern, " ")
	path = strings.ReplaceAll(strings.ReplaceAll(path, "{$}", ""), "...}", "}")
	if strings.HasSuffix(path, "/") && path != "/" {
		path += "{path}"
	}
	for _, m := range regexp.MustCompile(`\{([^}]+)\}`).FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, m[1])
	}
	return method, path, parameters
}

// groups are the tags with the paths that belong to them; the last takes the
// rest.
var groups = []struct{ name, text, prefix string }{
	{"tallyman", "tallyman's own interface", "/api/tallyman/"},
	{"prometheus", "Prometheus' HTTP API over what is kept", "/api/v1/"},
	{"prometheus", "", "/metrics"},
	{"loki", "Loki's HTTP API over the records that are kept", "/loki/api/v1/"},
	{"docker-monitor", "docker-monitor's interface", "/docker-monitor/"},
	{"health", "For supervisors", "/-/"},
	{"page", "The page for people", ""},
}

func tags() (out []object) {
	for _, g := range groups {
		if g.text != "" {
			out = append(out, object{"name": g.name, "description": g.text})
		}
	}
	return out
}

func tagOf(path string) string {
	return groups[slices.IndexFunc(groups, func(g struct{ name, text, prefix string }) bool { return strings.HasPrefix(path, g.prefix) })].name
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

func (s *schemas) operation(r httpx.Route, method, path string, inPath []string) object {
	d := r.Doc
	id := strings.ToLower(method) + "_" + strings.Trim(notInNames.ReplaceAllString(strings.TrimPrefix(path, "/api/tallyman/v1"), "_"), "_")
	op := object{
		"operationId": cmp.Or(d.ID, id),
		"tags":        []string{tagOf(path)},
		"summary":     d.Summary,
	}
	if d.Summary == "" {
		op["summary"] = r.Pattern
	}
	if d.Text != "" {
		op["description"] = d.Text
	}
	if d.See != "" {
		op["externalDocs"] = object{"url": d.See}
	}
	if r.Access == httpx.Open {
		op["security"] = []object{}
	}
	parameters := []object{}
	for _, name := range inPath {
		parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	form := object{}
	var needed []string
	for _, p := range d.Params {
		schema := schemaOf(p)
		if method == http.MethodPost {
			schema["description"] = p.Text
			form[p.Name] = schema
			if p.Needed {
				needed = append(needed, p.Name)
			}
			continue
		}
		one := object{"name": p.Name, "in": "query", "description": p.Text, "schema": schema}
		if p.Needed {
			one["required"] = true
		}
		parameters = append(parameters, one)
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	switch {
	case len(form) > 0:
		schema := object{"type": "object", "properties": form}
		if needed != nil {
			schema["required"] = needed
		}
		op["requestBody"] = body("application/x-www-form-urlencoded", schema)
	case d.Body != nil:
		op["requestBody"] = body("application/json", s.of(reflect.TypeOf(d.Body)))
	}
	op["responses"] = s.responses(r)
	return op
}

// schemaOf is the schema of a parameter.
func schemaOf(p httpx.Param) object {
	one := object{"type": "string"}
	if p.Type != "" {
		one["type"] = p.Type
	}
	if len(p.Values) > 0 {
		one["enum"] = p.Values
	}
	if p.Default != nil {
		one["default"] = p.Default
	}
	if p.Repeated {
		return object{"type": "array", "items": one}
	}
	return one
}

func body(media string, schema object) object {
	return object{"required": true, "content": object{media: object{"schema": schema}}}
}

func (s *schemas) responses(r httpx.Route) object {
	d := r.Doc
	good := object{"description": "What was asked for"}
	switch {
	case d.Status == http.StatusNoContent:
		good["description"] = "Done"
	case d.Messages != nil:
		good["content"] = object{"text/event-stream": object{"schema": s.messages(d.Messages)}}
	case d.Type != "":
		good["content"] = object{d.Type: object{"schema": object{"type": "string"}}}
	case d.Answer != nil:
		good["content"] = object{"application/json": object{"schema": s.of(reflect.TypeOf(d.Answer))}}
	default:
		good["content"] = object{"application/json": object{"schema": object{"type": "object"}}}
	}
	out := object{strconv.Itoa(cmp.Or(d.Status, http.StatusOK)): good}
	own := object{"application/json": object{"schema": s.of(reflect.TypeFor[httpx.Failure]())}}
	if r.Access != httpx.Open {
		out[strconv.Itoa(http.StatusUnauthorized)] = object{"description": http.StatusText(http.StatusUnauthorized), "content": own}
	}
	for _, status := range d.Errors {
		content := own
		switch t := d.Failure.(type) {
		case nil:
		case string:
			content = object{"text/plain": object{"schema": object{"type": "string"}}}
		default:
			content = object{"application/json": object{"schema": s.of(reflect.TypeOf(t))}}
		}
		out[strconv.Itoa(status)] = object{"description": http.StatusText(status), "content": content}
	}
	return out
}

// schemas turns Go types into schemas, structs under their names.
type schemas struct {
	all   object
	types map[string]reflect.Type
	err   error
}

// choice is a string type with a few values only.
type choice interface{ Values() []string }

// values are those of a choice, none for another type.
func values(t reflect.Type) []string {
	if c, ok := reflect.Zero(t).Interface().(choice); ok {
		return c.Values()
	}
	return nil
}

// messages is the schema of a stream of Server-Sent Events: a list of messages,
// each an event with its data.
func (s *schemas) messages(list []httpx.Message) object {
	var kinds []object
	for _, m := range list {
		kinds = append(kinds, object{
			"type": "object", "description": m.Text, "required": []string{"event", "data"},
			"properties": object{"event": object{"type": "string", "enum": []string{m.Event}}, "data": s.of(reflect.TypeOf(m.Data))},
		})
	}
	return object{"type": "array", "items": object{"oneOf": kinds}}
}

// anyJSON is the schema of any JSON at all.
func (s *schemas) anyJSON() object {
	ref := object{"$ref": "#/components/schemas/Json"}
	s.types["Json"] = reflect.TypeFor[json.RawMessage]()
	s.all["Json"] = object{"nullable": true, "description": "Any JSON", "oneOf": []object{
		{"type": "boolean"}, {"type": "number"}, {"type": "string"}, {"type": "array", "items": ref}, {"type": "object", "additionalProperties": ref},
	}}
	return ref
}

// more is a schema with one key more; beside a reference no key counts.
func more(schema object, key string, value any) object {
	if schema["$ref"] != nil {
		schema = object{"allOf": []object{schema}}
	}
	schema[key] = value
	return schema
}

func (s *schemas) of(t reflect.Type) object {
	if t == reflect.TypeFor[json.RawMessage]() {
		return s.anyJSON()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		one := object{"type": "string"}
		if v := values(t); v != nil {
			one["enum"] = v
		}
		return one
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		items := s.of(t.Elem())
		if t.Elem().Kind() == reflect.Pointer {
			items = more(items, "nullable", true)
		}
		return object{"type": "array", "items": items}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object{"type": "object"}
		}
		if keys := values(t.Key()); keys != nil {
			properties := object{}
			for _, k := range keys {
				properties[k] = s.of(t.Elem())
			}
			return object{"type": "object", "properties": properties}
		}
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Interface:
		return object{}
	case reflect.Struct:
		return s.named(t)
	default:
		s.err = fmt.Errorf("the OpenAPI document cannot describe a %s", t)
		return object{}
	}
}

// named puts the schema of a struct among the components and refers to it.
func (s *schemas) named(t reflect.Type) object {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	for _, foreign := range []struct{ pkg, word string }{{"/prom", "Prometheus"}, {"/loki", "Loki"}} {
		if strings.HasSuffix(t.PkgPath(), foreign.pkg) {
			name = foreign.word + name
		}
	}
	ref := object{"$ref": "#/components/schemas/" + name}
	if other, ok := s.types[name]; ok {
		if other != t {
			s.err = fmt.Errorf("the OpenAPI document has two types %s: %s and %s", name, t, other)
		}
		return ref
	}
	s.types[name] = t
	properties := object{}
	var required []string
	s.fields(t, properties, &required, false)
	schema := object{"type": "object", "properties": properties}
	if required != nil {
		schema["required"] = required
	}
	s.all[name] = schema
	return ref
}

// fields adds the fields of t as encoding/json has them; those of an embedded
// pointer may all be missing.
func (s *schemas) fields(t reflect.Type, properties object, required *[]string, optional bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Tag.Get("json") == "" {
			embedded, pointer := f.Type, false
			if embedded.Kind() == reflect.Pointer {
				embedded, pointer = embedded.Elem(), true
			}
			s.fields(embedded, properties, required, optional || pointer)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		schema := s.of(f.Type)
		if !optional && !strings.Contains(options, "omit") {
			*required = append(*required, name)
			if f.Type.Kind() == reflect.Pointer {
				schema = more(schema, "nullable", true)
			}
		}
		if words := f.Tag.Get("doc"); words != "" {
			schema = more(schema, "description", words)
		}
		properties[name] = schema
	}
}
