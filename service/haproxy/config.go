// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"net"
	"slices"
	"strings"
)

// places are what a configuration has to ask.
type places struct{ exporter, socket, page, login string }

// section is one of the configuration.
type section struct {
	kind                string
	bind, exporter, uri string
	login               string
	enabled             bool
}

var kinds = []string{"global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "userlist", "cache", "program", "ring", "mailers", "http-errors", "log-forward", "fcgi-app", "crt-store"}

// read reads a configuration.
func read(text string) (p places) {
	var s, defaults section
	end := func() {
		if s.kind == "defaults" {
			defaults = s
		}
		if s.kind != "frontend" && s.kind != "listen" || s.bind == "" {
			return
		}
		if p.exporter == "" && s.exporter != "" {
			p.exporter = s.bind + s.exporter
		}
		if uri := s.uri; p.page == "" && (s.enabled || uri != "" || defaults.uri != "" || defaults.enabled) {
			if uri == "" {
				uri = defaults.uri
			}
			if uri == "" {
				uri = "/haproxy?stats"
			}
			p.page, p.login = strings.TrimSuffix(s.bind+uri, "?stats"), s.login
			if p.login == "" {
				p.login = defaults.login
			}
		}
	}
	for line := range strings.Lines(text) {
		w := words(line)
		if len(w) == 0 {
			continue
		}
		if slices.Contains(kinds, w[0]) {
			end()
			s = section{kind: w[0]}
			continue
		}
		switch {
		case w[0] == "bind" && len(w) > 1:
			if address := reach(w[1]); address != "" && s.bind == "" {
				scheme := "http://"
				if slices.Contains(w, "ssl") {
					scheme = "https://"
				}
				s.bind = scheme + address
			}
		case w[0] == "http-request" && len(w) > 2 && w[1] == "use-service" && w[2] == "prometheus-exporter":
			s.exporter = "/metrics"
			for i, word := range w {
				if (word == "path" || word == "path_beg") && i+1 < len(w) && strings.HasPrefix(w[i+1], "/") {
					s.exporter = w[i+1]
				}
			}
		case w[0] == "stats" && len(w) > 1:
			switch {
			case w[1] == "enable":
				s.enabled = true
			case len(w) < 3:
			case w[1] == "uri" && strings.HasPrefix(w[2], "/"):
				s.uri, s.enabled = w[2], true
			case w[1] == "auth":
				s.login = w[2]
			case w[1] == "socket" && s.kind == "global":
				if name := strings.TrimPrefix(w[2], "unix@"); strings.HasPrefix(name, "/") && p.socket == "" {
					p.socket = name
				}
			}
		}
	}
	end()
	return p
}

// words splits a line: quotes and escapes are read, and a comment ends it.
func words(line string) (list []string) {
	var word strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(line) && len(list) < 500; i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			in, quote = true, c
		case c == '\\' && i+1 < len(line):
			in = true
			i++
			word.WriteByte(line[i])
		case c == '#':
			i = len(line)
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			if in {
				list = append(list, word.String())
				word.Reset()
				in = false
			}
		default:
			in = true
			word.WriteByte(c)
		}
	}
	if in {
		list = append(list, word.String())
	}
	return list
}

// reach is where a bind can be reached from inside, empty when it cannot.
func reach(bind string) string {
	bind, _, _ = strings.Cut(bind, ",")
	bind = strings.TrimPrefix(strings.TrimPrefix(bind, "ipv4@"), "ipv6@")
	if strings.HasPrefix(bind, "/") || strings.ContainsAny(bind, "@$?#") {
		return ""
	}
	at := strings.LastIndexByte(bind, ':')
	if at < 0 {
		return ""
	}
	host, port := strings.Trim(bind[:at], "[]"), bind[at+1:]
	port, _, _ = strings.Cut(port, "-")
	if port == "" || strings.Trim(port, "0123456789") != "" {
		return ""
	}
	switch host {
	case "", "*", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
