// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Args returns a copy of a command and its arguments without secrets. Elements
// that are whole command lines (the one after "sh -c") are treated as such.
func Args(argv []string) []string {
	if argv == nil {
		return nil
	}
	out := make([]string, len(argv))
	var st state
	for i, a := range argv {
		if strings.ContainsFunc(a, unicode.IsSpace) && !st.wantsValue() {
			out[i] = st.element(a)
			continue
		}
		out[i] = st.word(a)
	}
	return out
}

// Command returns a command line without secrets. Words are told apart at
// blanks; quotes hold a word together.
func Command(line string) string {
	var st state
	return st.line(line)
}

// state is what the words before tell about the next one.
type state struct {
	client *client // the last command seen that takes secrets in its own way
	name   string  // a sensitive flag or header that waits for its value
	user   bool    // the value has the form user:secret
	scheme bool    // "Authorization:" was seen, a scheme may stand before the value
	lines  int     // how many lines the word is in: their text is looked at as a whole
}

// client is a program with short flags that carry a secret.
type client struct {
	attached string // flags with the value in the same word, as in -pV
	separate string // flags with the value in the next word, as in -a V
	user     string // flags with user:secret in the next word
	switches string // flags without a value, which may stand before one of user in the same word
}

// clients are known by the base name of the command.
func clientOf(base string) *client {
	switch base {
	case "mysql", "mysqldump", "mysqladmin", "mysqlcheck", "mysqlimport", "mysqlshow", "mysqlslap", "mysqlsh",
		"mariadb", "mariadb-dump", "mariadb-admin", "mariadb-check", "mariadb-import", "mariadb-show", "mariadb-backup", "xtrabackup", "mytop", "proxysql":
		return &client{attached: "p"}
	case "mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport", "mongostat", "mongotop":
		return &client{attached: "p", separate: "p"}
	case "redis-cli", "valkey-cli", "keydb-cli", "redis-benchmark":
		return &client{attached: "a", separate: "a"}
	case "sshpass", "rabbitmqadmin", "cqlsh", "nodetool", "sqlplus", "docker", "podman", "nerdctl", "skopeo", "buildah", "isql", "tsql", "bcp", "influx", "mosquitto", "amqp-publish", "amqp-consume":
		return &client{attached: "p", separate: "p"}
	case "mosquitto_pub", "mosquitto_sub", "mosquitto_rr", "sqlcmd":
		return &client{attached: "P", separate: "P"}
	case "ldapsearch", "ldapadd", "ldapmodify", "ldapwhoami", "ldapdelete", "ldappasswd":
		return &client{attached: "w", separate: "w"}
	case "curl":
		return &client{attached: "", separate: "", user: "uU", switches: "#0123456BGIJLNOSVZafgijklnpqRsv"}
	case "smbclient", "rpcclient", "smbmap", "crackmapexec":
		return &client{user: "U", separate: "p"}
	case "snmpget", "snmpwalk", "snmpbulkwalk":
		return &client{separate: "cAX", attached: "cAX"}
	case "htpasswd":
		return &client{}
	}
	return nil
}

// element treats text whose ends are known: a header of which all is the value,
// or else a line.
func (st *state) element(s string) string {
	head, value, ok := strings.Cut(s, ":")
	name := head
	if i := strings.LastIndexByte(head, '='); i >= 0 && isName(head[:i]) { // --header=Name: value
		name = head[i+1:]
	}
	if ok && isName(name) && Sensitive(name) && value != "" && unicode.IsSpace(rune(value[0])) && !strings.ContainsAny(value, "\r\n") {
		return head + ": " + Mark
	}
	return st.line(s)
}

// wantsValue reports that the next word is a secret as a whole.
func (st *state) wantsValue() bool { return st.name != "" || st.user }

// line treats s as words between blanks; the blanks are kept.
func (st *state) line(s string) string {
	if st.lines == 0 {
		s = looks(s)
	}
	st.lines++
	defer func() { st.lines-- }()
	var b strings.Builder
	b.Grow(len(s))
	for s != "" {
		blank := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsSpace(r) })
		if blank < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:blank])
		s = s[blank:]
		n := wordLen(s)
		b.WriteString(st.word(s[:n]))
		s = s[n:]
	}
	return pairs(b.String())
}

// wordLen is the length of the first word of s. A quote that is closed later
// keeps the blanks in it; one that is not is an ordinary letter.
func wordLen(s string) int {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			_, n := utf8.DecodeRuneInString(s[i+1:])
			i += 1 + n
			continue
		case c == '"' || c == '\'':
			if end := strings.IndexByte(s[i+1:], c); end >= 0 {
				i += end + 2
				continue
			}
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.IsSpace(r) {
			return i
		}
		i += n
	}
	return len(s)
}

// word treats one word.
func (st *state) word(w string) string {
	if st.wantsValue() {
		if done, out := st.value(w); done {
			return out
		}
	}
	// A quoted word that holds a line of its own: sh -c 'mysql -px'.
	if len(w) >= 2 && (w[0] == '"' || w[0] == '\'') && w[len(w)-1] == w[0] && strings.ContainsFunc(w, unicode.IsSpace) {
		return w[:1] + st.element(w[1:len(w)-1]) + w[:1]
	}
	if st.client != nil && len(w) >= 2 && w[0] == '-' && w[1] != '-' {
		if out, ok := st.short(w); ok {
			return out
		}
	}
	bare := strings.Trim(w, `"'`)
	if name, value, ok := strings.Cut(bare, "="); ok && isName(name) {
		if Sensitive(strings.TrimLeft(name, "-")) && secretValue(name, value) {
			i := strings.IndexByte(w, '=') + 1
			return w[:i] + restOf(w[i:])
		}
		if value, ok := strings.CutSuffix(value, ":"); ok && isName(value) && Sensitive(value) {
			st.name, st.scheme = value, true // --header=Name: value
		}
		return st.generic(w)
	}
	if name, ok := strings.CutSuffix(bare, ":"); ok && isName(name) && Sensitive(name) {
		st.name, st.scheme = name, true
		return w
	}
	if strings.HasPrefix(bare, "-") {
		name := strings.TrimLeft(bare, "-")
		if isName(name) && len(name) > 1 && Sensitive(name) && !strings.HasPrefix(name, "no-") {
			st.name, st.scheme = name, false
		}
		return st.generic(w)
	}
	if c := clientOf(base(bare)); c != nil {
		st.client = c
	}
	return st.generic(w)
}

// value treats the word after a flag that takes a secret. done is false when
// the word is a flag itself, so that the first one was a mere switch.
func (st *state) value(w string) (done bool, out string) {
	name, user, scheme := st.name, st.user, st.scheme
	st.name, st.user, st.scheme = "", false, false
	bare := strings.Trim(w, `"'`)
	switch {
	case user:
		if i := strings.IndexAny(bare, ":%"); i >= 0 {
			cut := strings.IndexAny(w, ":%") + 1
			return true, w[:cut] + restOf(w[cut:])
		}
		return false, ""
	case len(bare) > 1 && bare[0] == '-' && !strings.ContainsAny(bare[1:], "/+="):
		return false, ""
	case scheme:
		switch strings.ToLower(bare) {
		case "bearer", "basic", "token", "digest", "apikey", "negotiate", "key":
			st.name = name
			return true, w
		}
	}
	if !secretValue(name, w) {
		return true, w
	}
	return true, quoteAs(w)
}

// short treats a short flag of a known client.
func (st *state) short(w string) (string, bool) {
	f, c := w[1:2], st.client
	if n := len(w) - 1 - len(strings.TrimLeft(w[1:], c.switches)); n > 0 && 1+n < len(w) && strings.Contains(c.user, w[1+n:2+n]) {
		out, ok := st.short("-" + w[1+n:]) // -fsSu is -f -s -S -u
		return w[:1+n] + strings.TrimPrefix(out, "-"), ok
	}
	switch {
	case len(w) == 2 && strings.Contains(c.separate, f):
		st.name = "password"
		return w, true
	case len(w) == 2 && strings.Contains(c.user, f):
		st.user = true
		return w, true
	case len(w) > 2 && c.user != "" && strings.Contains(c.user, f):
		if i := strings.IndexAny(w, ":%"); i > 0 {
			return w[:i+1] + Mark, true
		}
	case len(w) > 2 && strings.Contains(c.attached, f) && secretValue("", w[2:]):
		return w[:2] + restOf(w[2:]), true
	}
	return "", false
}

// restOf is Mark, with the closing quote of a word whose opening quote is
// further left.
func restOf(value string) string {
	if q := quoteAs(value); q != Mark {
		return q
	}
	if n := len(value); n > 0 && (value[n-1] == '"' || value[n-1] == '\'') && strings.Count(value, value[n-1:])%2 == 1 {
		return Mark + value[n-1:]
	}
	return Mark
}

// generic treats a word that no rule for commands knows.
func (st *state) generic(w string) string {
	if t, ok := inJSON("", w); ok {
		return t
	}
	if st.lines > 0 {
		return w
	}
	return Text(w)
}

// isName reports whether s can be the name of a flag, variable or header.
func isName(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("-_.[]/:", r):
		default:
			return false
		}
	}
	return true
}

// base is the last part of a path.
func base(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }
