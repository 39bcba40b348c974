// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tallyman"
)

// Words splits a command as a shell does, by blanks, quotes and backslashes. Nothing is
// expanded, and there are no pipes.
func Words(text string) (list []string, err error) {
	var word strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			word.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\':
			if i++; i == len(text) {
				return nil, errors.New("it ends with a backslash")
			}
			if quote == '"' && !strings.ContainsRune("\"\\$`", rune(text[i])) {
				word.WriteByte('\\')
			}
			word.WriteByte(text[i])
			in = true
		case c == '\'' || c == '"':
			in, quote = true, c
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if in {
				list = append(list, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if in {
		list = append(list, word.String())
	}
	return list, nil
}

// Command is the value of a key as words.
func Command(c tallyman.ServiceConfig, key string) ([]string, error) {
	words, err := Words(c.Text(key, ""))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", key, err)
	case len(words) == 0:
		return nil, fmt.Errorf("%s is missing; write a command, as /check.sh or sh -c 'test -e /ready'", key)
	}
	return words, nil
}

// Unescape reads \n, \r, \t, \\, \0 and \x41 in a text.
func Unescape(text string) (string, error) {
	s, err := strconv.Unquote(`"` + strings.NewReplacer(`"`, `\"`, "\n", `\n`, `\"`, `\"`, `\\`, `\\`, `\0`, `\x00`).Replace(text) + `"`)
	if err != nil {
		return "", errors.New("an escape cannot be read; there are \\n, \\r, \\t, \\\\, \\0 and \\x41")
	}
	return s, nil
}
