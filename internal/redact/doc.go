// SPDX-License-Identifier: Apache-2.0

// Package redact removes secrets from the texts that containers carry:
// commands and arguments, health checks, labels, environment variables, the
// text of exec events. Whatever is found is replaced by [Mark]; the rest of the
// text stays as it is, so that a person still sees what was run.
//
//	redact.Args([]string{"mysql", "-uroot", "-phunter2"})  // mysql -uroot -p[redacted]
//	redact.Command("sh -c TOKEN=abc ./run --pw x")          // the same for one joined line
//	redact.Label("traefik.http.basicauth.users", "me:$apr1$…")
//
// # What counts as a secret
//
// By the name it has — a flag, variable, key or header whose name speaks of a
// pass, secret, token, key, auth, credential, dsn, cookie or private thing:
//
//   - k=v, --k=v, -k=v, and k=v inside a connection string;
//   - --k v and -k v, unless v is a flag itself;
//   - k: v, as in a header;
//   - -pV, -p V, -a V, -u user:V of clients that are known to take it so;
//   - members of JSON objects, wherever a whole value is JSON.
//
// By its look, under any name: PEM blocks, JWTs, the prefixed tokens of clouds,
// forges and chat systems, Bearer and Basic, password hashes of htpasswd and
// crypt, the user part of a URL, and sensitive parameters of its query.
//
// # What it cannot know
//
// A secret with a harmless name and a harmless look stays. Where the engine
// joined arguments with blanks (the text of exec events), the second word of a
// secret with a blank in it cannot be told from the next argument. When in
// doubt it removes too much: "--key-file=x.pem" keeps its path, but
// "--sort-key=name" loses its value.
//
// All functions are pure, may be called concurrently, and take any bytes. Work
// is linear in the length of the text (RE2).
package redact
