// SPDX-License-Identifier: Apache-2.0

// Package secret has a text that is never shown: passwords, tokens, and addresses that
// have one in them.
//
//	token := secret.Text("s3cret")
//	fmt.Println(token)       // [hidden]
//	use(string(token))       // only who asks for the text gets it
package secret

// Text is a text that is never shown: whoever prints it, or writes it as JSON, gets
// another one.
type Text string

// Hidden is what is shown of a secret.
const Hidden = "[hidden]"

// String does not tell it.
func (s Text) String() string {
	if s == "" {
		return ""
	}
	return Hidden
}

// GoString does not tell it.
func (s Text) GoString() string { return s.String() }

// MarshalText does not tell it.
func (s Text) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
