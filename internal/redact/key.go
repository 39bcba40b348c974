// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// Mark stands where a secret was.
const Mark = "[redacted]"

// Sensitive reports whether the value of something with this name is a secret:
// the name of a flag, variable, header, label or JSON member, in any case.
func Sensitive(name string) bool {
	if len(name) > 256 {
		name = name[len(name)-256:] // the last part of a path says most
	}
	s := strings.ToLower(name)
	for _, w := range harmless {
		if strings.Contains(s, w) {
			s = strings.ReplaceAll(s, w, "")
		}
	}
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	// Short words count only as a whole part of the name.
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return !('a' <= r && r <= 'z') }) {
		switch part {
		case "pw", "pwd", "psw", "pat", "sas", "sig", "salt", "otp", "pin", "jwt", "creds", "cred", "psk":
			return true
		}
	}
	return false
}

// words make a name sensitive wherever they stand in it.
var words = [...]string{"pass", "secret", "token", "key", "auth", "credential", "dsn", "cookie", "private", "signature", "bearer"}

// harmless holds words that contain one of the sensitive ones and say nothing.
var harmless = [...]string{
	"bypass", "passive", "compass", "passthrough", "pass-through", "passenger",
	"keyspace", "keyboard", "keymap", "keepalive", "monkey", "keyword", "hotkey",
	"author=", "tokenizer", "max-tokens", "max_tokens", "maxtokens", "image.authors", "maintainer-author",
}

// secretValue reports whether value, which stands under a sensitive name, is to
// be replaced. Empty values, switches and the paths of files that hold a secret
// tell nothing and help to understand a command.
func secretValue(name, value string) bool {
	v := strings.Trim(value, `"'`)
	switch strings.ToLower(v) {
	case "", "true", "false", "yes", "no", "on", "off", "null", "none", Mark:
		return false
	}
	if strings.HasPrefix(v, "/") || strings.HasPrefix(v, "./") {
		n := strings.ToLower(strings.TrimRight(name, "=: "))
		for _, end := range [...]string{"file", "path", "dir", "_file", "cert", "keyring", "store"} {
			if strings.HasSuffix(n, end) {
				return false
			}
		}
	}
	// A variable that is filled in later is no secret, and nobody can read it.
	if strings.HasPrefix(v, "${") && strings.HasSuffix(v, "}") && !strings.ContainsAny(v[2:len(v)-1], ":-=") {
		return false
	}
	return true
}
