// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"slices"
	"strings"
)

// Labels are the labels of a Dockerfile whose keys name plugins, in their order; of one
// that stands twice the last counts.
func Labels(dockerfile string) (out [][2]string, err error) {
	var whole string
	for n, line := range strings.Split(dockerfile, "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "#") {
			continue
		}
		if before, ok := strings.CutSuffix(trimmed, `\`); ok {
			whole += before + " "
			continue
		}
		whole += trimmed
		instruction := whole
		whole = ""
		if len(instruction) < 6 || !strings.EqualFold(instruction[:6], "LABEL ") {
			continue
		}
		words, err := split(instruction[6:])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		// LABEL key value, the form of old.
		if len(words) > 0 && !strings.Contains(words[0], "=") {
			words = []string{words[0] + "=" + strings.Join(words[1:], " ")}
		}
		for _, w := range words {
			key, value, ok := strings.Cut(w, "=")
			if !ok || !slices.ContainsFunc(Prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
				continue
			}
			out = slices.DeleteFunc(out, func(l [2]string) bool { return l[0] == key })
			out = append(out, [2]string{key, value})
		}
	}
	return out, nil
}

// split parts words as the engine does: single quotes keep all, double quotes keep all but a
// backslash before a quote, a backslash or a dollar.
func split(s string) (words []string, err error) {
	var word strings.Builder
	in, quote := false, rune(0)
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote == '\'' && r == '\'', quote == '"' && r == '"':
			quote = 0
		case r == '\\' && quote != '\'' && i+1 < len(runes) && (quote == 0 || strings.ContainsRune("\"\\$", runes[i+1])):
			i++
			word.WriteRune(runes[i])
			in = true
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == ' ' || r == '\t':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteRune(r)
			in = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is not closed", quote)
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}
