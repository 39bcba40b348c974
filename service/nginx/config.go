// SPDX-License-Identifier: Apache-2.0

package nginx

import (
	"net"
	"path"
	"slices"
	"strings"

	"tallyman"
)

const (
	maxFiles = 64
	maxDepth = 32
	maxWords = 200_000 // of all files
	maxPages = 8       // that are asked for
)

// page is a place where nginx gives its status.
type page struct{ url, host string }

// directive is a line of the configuration, or a block.
type directive struct {
	words []string
	block []directive
}

// words splits a configuration: comments go, quotes and escapes are read, and braces and
// semicolons stand alone.
func words(text string) (list []string) {
	var word strings.Builder
	in := false
	end := func() {
		if in {
			list = append(list, word.String())
			word.Reset()
			in = false
		}
	}
	for i := 0; i < len(text) && len(list) < maxWords; i++ {
		switch c := text[i]; {
		case c == '#' && !in:
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			end()
		case c == '{' && in && strings.HasSuffix(word.String(), "$"):
			for ; i < len(text) && text[i] != '}'; i++ { // ${variable}
				word.WriteByte(text[i])
			}
			word.WriteByte('}')
		case c == ';' || c == '{' || c == '}':
			end()
			list = append(list, string(c))
		case (c == '"' || c == '\'') && !in:
			in = true
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' && i+1 < len(text) {
					i++
				}
				word.WriteByte(text[i])
			}
			// A quoted brace is a word and no block; nothing here needs to know it.
			if w := word.String(); w == "{" || w == "}" || w == ";" {
				word.WriteByte(' ')
			}
			end()
		case c == '\\' && i+1 < len(text):
			in = true
			i++
			word.WriteByte(text[i])
		default:
			in = true
			word.WriteByte(c)
		}
	}
	end()
	return list
}

// reader reads a configuration with what it includes.
type reader struct {
	in    tallyman.Inside
	root  string // of relative names
	files int
	words int
}

func (r *reader) file(name string, depth int) []directive {
	if r.files >= maxFiles || depth > maxDepth {
		return nil
	}
	r.files++
	text, err := r.in.ReadFile(name)
	if err != nil {
		return nil
	}
	list := words(string(text))
	if r.words += len(list); r.words > maxWords {
		return nil
	}
	out, _ := r.block(list, depth)
	return out
}

// block reads directives up to the brace that ends them, and returns what is behind it.
func (r *reader) block(list []string, depth int) (out []directive, rest []string) {
	var d directive
	for len(list) > 0 {
		word := list[0]
		list = list[1:]
		switch word {
		case ";":
			if len(d.words) > 1 && d.words[0] == "include" {
				name := d.words[1]
				if !path.IsAbs(name) {
					name = path.Join(r.root, name)
				}
				names := []string{name}
				if strings.ContainsAny(name, "*?[") {
					names = r.in.Glob(name)
				}
				for _, name := range names {
					out = append(out, r.file(name, depth+1)...)
				}
			} else if len(d.words) > 0 {
				out = append(out, d)
			}
			d = directive{}
		case "{":
			if depth > maxDepth {
				return out, nil
			}
			if len(d.words) > 0 && strings.HasSuffix(d.words[0], "_by_lua_block") {
				list = skip(list)
			} else {
				d.block, list = r.block(list, depth+1)
			}
			out = append(out, d)
			d = directive{}
		case "}":
			return out, list
		default:
			if len(d.words) < 1000 {
				d.words = append(d.words, word)
			}
		}
	}
	return out, nil
}

// skip leaves a block of another language out.
func skip(list []string) []string {
	for depth := 1; len(list) > 0; list = list[1:] {
		switch list[0] {
		case "{":
			depth++
		case "}":
			if depth--; depth == 0 {
				return list[1:]
			}
		}
	}
	return nil
}

// pages finds where a configuration gives the status.
func pages(in tallyman.Inside, name string) []page {
	r := &reader{in: in, root: path.Dir(name)}
	var out []page
	for _, d := range r.file(name, 0) {
		if len(d.words) == 0 || d.words[0] != "http" {
			continue
		}
		for _, s := range d.block {
			if len(s.words) > 0 && s.words[0] == "server" {
				for _, p := range ofServer(s) {
					if !slices.Contains(out, p) && len(out) < maxPages {
						out = append(out, p)
					}
				}
			}
		}
	}
	return out
}

// ofServer are the pages of one server block.
func ofServer(s directive) (out []page) {
	scheme, address, host := "http", "", ""
	secure := false
	for _, d := range s.block {
		if len(d.words) < 2 {
			continue
		}
		switch d.words[0] {
		case "listen":
			tls := slices.Contains(d.words[2:], "ssl") || slices.Contains(d.words[2:], "quic")
			a := listen(d.words[1])
			if a != "" && (address == "" || secure && !tls) && !slices.Contains(d.words[2:], "quic") {
				address, secure = a, tls
			}
		case "server_name":
			for _, name := range d.words[1:] {
				if host == "" && name != "_" && name != "" && !strings.ContainsAny(name, "*~$") && !strings.HasPrefix(name, ".") {
					host = name
				}
			}
		}
	}
	if secure {
		scheme = "https"
	}
	if address == "" {
		address = "127.0.0.1:80"
	}
	for _, at := range places(s, "/", 0) {
		out = append(out, page{scheme + "://" + address + at, host})
	}
	return out
}

// places are the paths below a block at which the status is given.
func places(s directive, at string, depth int) (out []string) {
	for _, d := range s.block {
		switch {
		case len(d.words) == 0 || depth > maxDepth:
		case d.words[0] == "stub_status":
			out = append(out, at)
		case d.words[0] == "location" && len(d.words) > 1:
			to := d.words[len(d.words)-1]
			if len(d.words) > 2 && strings.HasPrefix(d.words[1], "~") {
				to = strings.NewReplacer("^", "", "$", "", `\`, "").Replace(to)
			}
			if strings.HasPrefix(to, "/") && !strings.ContainsAny(to, "*+()[]|? ") {
				out = append(out, places(d, to, depth+1)...)
			}
		case d.words[0] == "if" || d.words[0] == "limit_except":
			out = append(out, places(d, at, depth+1)...)
		}
	}
	return out
}

// listen is where a listen directive can be reached from inside, empty for a unix socket.
func listen(text string) string {
	if strings.HasPrefix(text, "unix:") || strings.Contains(text, "$") {
		return ""
	}
	if strings.Trim(text, "0123456789") == "" {
		return "127.0.0.1:" + text
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), "80"
	}
	switch host {
	case "", "*", "0.0.0.0", "localhost":
		host = "127.0.0.1"
	case "::":
		host = "localhost" // either family
	}
	if strings.Trim(port, "0123456789") != "" || strings.ContainsAny(host, "/?#@ ") {
		return ""
	}
	return net.JoinHostPort(host, port)
}
