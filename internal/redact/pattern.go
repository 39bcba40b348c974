// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"regexp"
	"strings"
)

// Text removes what looks like a secret, whatever its name, and the values of
// sensitive k=v pairs. It is for free text; commands and labels have functions
// of their own, which use it.
func Text(s string) string {
	return headers(pairs(looks(s)))
}

// looks removes secrets that are known by their look.
func looks(s string) string {
	if len(s) < 8 {
		return s
	}
	if strings.Contains(s, "-----BEGIN ") {
		s = pem.ReplaceAllString(s, Mark)
	}
	if strings.Contains(s, "://") {
		s = userinfo.ReplaceAllString(s, "${1}"+Mark+"@")
	}
	if strings.ContainsAny(s, "?&") {
		s = queryPairs(s)
	}
	// The expressions below are dear and seldom match: a look for the letters
	// that each needs comes first.
	if containsFold(s, "bearer") || containsFold(s, "basic") {
		s = scheme.ReplaceAllStringFunc(s, func(m string) string {
			p := scheme.FindStringSubmatch(m)
			return p[1] + p[2] + Mark
		})
	}
	if strings.ContainsAny(s, "${") {
		s = hash.ReplaceAllString(s, Mark)
	}
	for _, hint := range tokenHints {
		if strings.Contains(s, hint) {
			return token.ReplaceAllString(s, Mark)
		}
	}
	return s
}

// containsFold reports whether word, which is in lower case, occurs in s in any case.
func containsFold(s, word string) bool {
	for i := 0; i+len(word) <= len(s); i++ {
		if s[i]|0x20 == word[0] && strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// tokenHints has, for every alternative of token, letters that it cannot do without.
var tokenHints = [...]string{
	"eyJ", "AKIA", "ASIA", "ABIA", "ACCA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "gl", "ATBB", "ATATT",
	"xox", "xapp-", "hooks.slack.com", "AIza", "ya29.", "GOCSPX-", "_live_", "_test_", "whsec_", "sk-", "npm_", "pypi-",
	"rubygems_", "dckr_", "SWMTKN-", "SWMKEY-", "_v1_", "hvs.", "hvb.", "hvr.", "SG.", "shp", "dapi", "NRAK-", "NRII-", ":AA", "AGE-SECRET-KEY-",
}

var (
	// A PEM block, also one whose line ends became blanks or \n, and one cut short.
	pem = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]{1,64}-----.*?(?:-----END [A-Z0-9 ]{1,64}-----|$)`)

	// The user part of a URL, with or without a password: a lone user is a
	// token as often as a name.
	userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]{0,31}://)[^\s/?#@"'<>\[\]][^\s/?#"'<>]*@`)

	// The schemes of an Authorization header.
	scheme = regexp.MustCompile(`(?i)\b(bearer|basic)(\s+|%20)["']?[A-Za-z0-9._~+/=-]{6,}`)

	// Password hashes of htpasswd and crypt; Compose doubles the dollar.
	hash = regexp.MustCompile(`\${1,2}(?:2[abxy]?|apr1|1|5|6|7|y|gy|argon2(?:id|i|d)|scrypt|pbkdf2[a-z0-9-]*)\${1,2}[A-Za-z0-9./$=,+-]{8,}|\{(?:S?SHA(?:256|512)?|S?MD5|CRYPT)\}[A-Za-z0-9+/=.$]{8,}`)

	// Tokens that say by a prefix what they are.
	token = regexp.MustCompile(strings.Join([]string{
		`\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,4}`,                // JWT, JWE
		`\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b`,                        // AWS
		`\bgh[pousr]_[A-Za-z0-9]{20,}`, `\bgithub_pat_[A-Za-z0-9_]{20,}`, // GitHub
		`\bgl(?:pat|ptt|dt|rt|soat|agent|cbt|imt|ft|oas)-[A-Za-z0-9_.-]{16,}`, // GitLab
		`\bATBB[A-Za-z0-9]{16,}`, `\bATATT[A-Za-z0-9_=-]{16,}`, // Atlassian
		`\bxox[abeoprs]-[A-Za-z0-9-]{10,}`, `\bxapp-[A-Za-z0-9-]{10,}`, // Slack
		`hooks\.slack\.com/services/[A-Za-z0-9/]+`,               // Slack webhook
		`\bAIza[A-Za-z0-9_-]{30,}`, `\bya29\.[A-Za-z0-9_-]{10,}`, // Google
		`\bGOCSPX-[A-Za-z0-9_-]{16,}`,                                               // Google OAuth
		`\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}`, `\bwhsec_[A-Za-z0-9]{16,}`, // Stripe
		`\bsk-[A-Za-z0-9_-]{20,}`,                                                         // model providers
		`\bnpm_[A-Za-z0-9]{20,}`, `\bpypi-[A-Za-z0-9_-]{20,}`, `\brubygems_[a-f0-9]{32,}`, // package registries
		`\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}`,                          // Docker Hub
		`\bSWMTKN-1-[A-Za-z0-9-]{20,}`, `\bSWMKEY-1-[A-Za-z0-9+/-]{20,}`, // Swarm
		`\bdo[opr]_v1_[a-f0-9]{32,}`,                            // DigitalOcean
		`\bhv[sbr]\.[A-Za-z0-9_-]{20,}`,                         // Vault
		`\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`,          // SendGrid
		`\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}`,                  // Shopify
		`\bdapi[a-f0-9]{32}`,                                    // Databricks
		`\bglsa_[A-Za-z0-9_]{20,}`, `\bglc_[A-Za-z0-9=+/]{20,}`, // Grafana
		`\bNRAK-[A-Z0-9]{20,}`, `\bNRII-[A-Za-z0-9_-]{20,}`, // New Relic
		`\b[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}`, // Telegram
		`\bAGE-SECRET-KEY-1[A-Z0-9]{20,}`,    // age
	}, "|"))

	query = regexp.MustCompile(`([?&])([A-Za-z0-9_.\[\]%-]{1,128})=([^&\s"'#<>]+)`)

	// k=v inside a longer text: a connection string, a shell line, a template.
	pair = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_.-]{0,127})(\s?=\s?)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s;,&|"'][^\s;,&|]*)`)

	// k: v as in a header or YAML; the rest of the line is the value.
	header = regexp.MustCompile(`(^|[\s"'{,])([A-Za-z_][A-Za-z0-9_.-]{0,127})(["']?:\s+)([^\r\n"']+)`)
)

// queryPairs removes the values of sensitive parameters of a query string.
func queryPairs(s string) string {
	return query.ReplaceAllStringFunc(s, func(m string) string {
		p := query.FindStringSubmatch(m)
		if p[2] != "code" && !Sensitive(p[2]) || !secretValue("", p[3]) {
			return m
		}
		return p[1] + p[2] + "=" + Mark
	})
}

// pairs removes the values of sensitive k=v pairs.
func pairs(s string) string {
	if strings.IndexByte(s, '=') >= 0 {
		s = pair.ReplaceAllStringFunc(s, func(m string) string {
			p := pair.FindStringSubmatch(m)
			if !Sensitive(p[1]) || !secretValue(p[1], p[3]) {
				return m
			}
			return p[1] + p[2] + quoteAs(p[3])
		})
	}
	return s
}

// headers removes the values of sensitive k: v pairs, each to the end of its line.
func headers(s string) string {
	if strings.Contains(s, ": ") {
		s = header.ReplaceAllStringFunc(s, func(m string) string {
			p := header.FindStringSubmatch(m)
			if !Sensitive(p[2]) || !secretValue(p[2], p[4]) {
				return m
			}
			return p[1] + p[2] + p[3] + Mark
		})
	}
	return s
}

// quoteAs is Mark in the quotes that value had.
func quoteAs(value string) string {
	if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		return value[:1] + Mark + value[:1]
	}
	return Mark
}
