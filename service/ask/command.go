// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kballard/go-shellquote"

	"tallyman"
)

// Command is the value of a key as words, split as a shell does; nothing is expanded.
func Command(c tallyman.ServiceConfig, key string) ([]string, error) {
	words, err := shellquote.Split(c.Text(key, ""))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s cannot be split into words; is a quote missing?", key)
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
