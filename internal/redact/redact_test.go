// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"reflect"
	"strings"
	"testing"
)

func TestArgs(t *testing.T) {
	f := func(in, want []string) {
		t.Helper()
		if got := Args(in); !reflect.DeepEqual(got, want) {
			t.Errorf("Args(%q)\n got %q\nwant %q", in, got, want)
		}
	}
	f(nil, nil)
	f([]string{}, []string{})
	f([]string{"nginx", "-g", "daemon off;"}, []string{"nginx", "-g", "daemon off;"})
	f([]string{"app", "--password=hunter2", "--port=80"}, []string{"app", "--password=[redacted]", "--port=80"})
	f([]string{"app", "--password", "hunter2", "--port", "80"}, []string{"app", "--password", "[redacted]", "--port", "80"})
	f([]string{"app", "--password", "my long secret", "x"}, []string{"app", "--password", "[redacted]", "x"})
	f([]string{"app", "--api-key", "-", "x"}, []string{"app", "--api-key", "[redacted]", "x"})
	f([]string{"app", "--auth", "--port", "80"}, []string{"app", "--auth", "--port", "80"})
	f([]string{"app", "--no-auth", "server"}, []string{"app", "--no-auth", "server"})
	f([]string{"app", "-token=abc", "TOKEN=abc", "Secret_Key=1"}, []string{"app", "-token=[redacted]", "TOKEN=[redacted]", "Secret_Key=[redacted]"})
	f([]string{"app", "--tls-key-file=/run/secrets/key.pem", "--password-file", "/run/secrets/pw"},
		[]string{"app", "--tls-key-file=/run/secrets/key.pem", "--password-file", "/run/secrets/pw"})
	f([]string{"mysql", "-uroot", "-phunter2", "-P3306", "shop"}, []string{"mysql", "-uroot", "-p[redacted]", "-P3306", "shop"})
	f([]string{"/usr/bin/mysqldump", "-p'hunter2'"}, []string{"/usr/bin/mysqldump", "-p'[redacted]'"})
	f([]string{"nginx", "-phunter2"}, []string{"nginx", "-phunter2"}) // no client that takes a secret so
	f([]string{"redis-cli", "-a", "hunter2", "ping"}, []string{"redis-cli", "-a", "[redacted]", "ping"})
	f([]string{"mongosh", "-u", "root", "-p", "hunter2"}, []string{"mongosh", "-u", "root", "-p", "[redacted]"})
	f([]string{"curl", "-u", "me:hunter2", "http://x"}, []string{"curl", "-u", "me:[redacted]", "http://x"})
	f([]string{"curl", "-ume:hunter2", "http://x"}, []string{"curl", "-ume:[redacted]", "http://x"})
	f([]string{"curl", "-fsSu", "me:hunter2", "http://x"}, []string{"curl", "-fsSu", "me:[redacted]", "http://x"})
	f([]string{"curl", "-sume:hunter2", "-o", "u:x"}, []string{"curl", "-sume:[redacted]", "-o", "u:x"})
	f([]string{"curl", "-ou:x", "-fs"}, []string{"curl", "-ou:x", "-fs"}) // a file
	f([]string{"curl", "--user", "me", "http://x"}, []string{"curl", "--user", "me", "http://x"})
	f([]string{"curl", "-H", "Authorization: Bearer abcdefghij", "http://x"}, []string{"curl", "-H", "Authorization: [redacted]", "http://x"})
	f([]string{"app", "--header=X-Api-Key: abc def", "x"}, []string{"app", "--header=X-Api-Key: [redacted]", "x"})
	f([]string{"curl", "-HX-Api-Key: abc"}, []string{"curl", "-HX-Api-Key: [redacted]"})
	f([]string{"curl", "-H", "X-Api-Key: abc"}, []string{"curl", "-H", "X-Api-Key: [redacted]"})
	f([]string{"sshpass", "-phunter2", "ssh", "host"}, []string{"sshpass", "-p[redacted]", "ssh", "host"})
	f([]string{"sh", "-c", "mysql -phunter2 -e 'select 1'"}, []string{"sh", "-c", "mysql -p[redacted] -e 'select 1'"})
	f([]string{"sh", "-c", "TOKEN=abc ./run; ./next"}, []string{"sh", "-c", "TOKEN=[redacted] ./run; ./next"})
	f([]string{"app", `{"password":"hunter2","a":1}`}, []string{"app", `{"a":1,"password":"[redacted]"}`})
}

func TestCommand(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := Command(in); got != want {
			t.Errorf("Command(%q)\n got %q\nwant %q", in, got, want)
		}
	}
	f("", "")
	f("true ", "true ")
	f("sh  -c\techo hi", "sh  -c\techo hi")
	f("true --password=hunter2", "true --password=[redacted]")
	f("sh -c echo $TOKEN", "sh -c echo $TOKEN")
	f("env PGPASSWORD='a b' psql", "env PGPASSWORD='[redacted]' psql")
	f(`app --token "a b" x`, `app --token "[redacted]" x`)
	f("app --token a x", "app --token [redacted] x")
	f("sh -c 'mysql -phunter2'", "sh -c 'mysql -p[redacted]'")
	f("curl -H Authorization: Bearer abcdefgh http://x", "curl -H Authorization: Bearer [redacted] http://x")
	f("curl http://me:hunter2@host/p?a=1&token=abc", "curl http://[redacted]@host/p?a=1&token=[redacted]")
	f("wget https://ghp_0123456789abcdef0123456789abcdef0123@github.com/x", "wget https://[redacted]@github.com/x")
	f("psql postgres://u:p%40@h:5432/db?sslmode=disable", "psql postgres://[redacted]@h:5432/db?sslmode=disable")
	f("app Server=h;User=u;Password=hunter2;Port=1", "app Server=h;User=u;Password=[redacted];Port=1")
	f("it's --password=x", "it's --password=[redacted]") // a quote that nobody closes
	f("redis-cli -a hunter2 --no-auth-warning ping", "redis-cli -a [redacted] --no-auth-warning ping")
	f("test -e /run/healthy", "test -e /run/healthy")
	f("pg_isready -U postgres --dbname=shop", "pg_isready -U postgres --dbname=shop")
}

func TestLooks(t *testing.T) {
	for _, secret := range []string{
		"-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----",
		"-----BEGIN OPENSSH PRIVATE KEY-----b3Bl", // cut short
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
		"AKIAIOSFODNN7EXAMPLE",
		"ghp_0123456789abcdef0123456789abcdef0123",
		"github_pat_11ABCDEFG0123456789_abcdefghij",
		"glpat-0123456789abcdefghij",
		"xoxb-123456789012-abcdefghijkl",
		"AIzaSyA0123456789abcdefghijklmnopqrstuv",
		"sk_live_0123456789abcdef",
		"npm_0123456789abcdefghijABCDEFGHIJ012345",
		"dckr_pat_0123456789abcdefghijklmnopq",
		"SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl-1awxwuwd3z9j1z3puu7rcgdbx",
		"hvs.CAESIJ0123456789abcdefghij",
		"$apr1$abcdefgh$0123456789abcdefghij./",
		"$$2y$$05$$0123456789abcdefghijkl",
		"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
		"glsa_0123456789abcdefghij_01234567",
	} {
		got := Text("before " + secret + " after")
		if strings.Contains(got, secret[len(secret)/2:]) || !strings.Contains(got, Mark) || !strings.HasPrefix(got, "before ") {
			t.Errorf("Text left %q of %q", got, secret)
		}
	}
	for _, s := range []string{
		"sha256:f8506c15a9db47aeda7e12e2e9dcda92ced2ab190ceb46a218a73d520821a759", "com.example.team=shop", "traefik.http.routers.web.rule=Host(`a.example`)",
		"2026-03-01T00:00:00Z", "http://host/path?page=2", "basic usage of things", "me@example.com", "",
	} {
		if got := Text(s); got != s {
			t.Errorf("Text(%q) changed it to %q", s, got)
		}
	}
}

func TestLabel(t *testing.T) {
	f := func(key, value, want string) {
		t.Helper()
		if got := Label(key, value); got != want {
			t.Errorf("Label(%q, %q)\n got %q\nwant %q", key, value, got, want)
		}
	}
	f("team", "shop", "shop")
	f("com.example.api-token", "abc", "[redacted]")
	f("com.example.tokens", "true", "true")
	f("org.opencontainers.image.authors", "me", "me")
	f("traefik.http.middlewares.a.basicauth.users", "me:$$apr1$$x$$y", "[redacted]")
	f("com.coscale.monitoring", `[{"PLUGINTYPE":"MYSQL","MYSQL.password":"hunter2","MYSQL.port":"3306"}]`,
		`[{"MYSQL.password":"[redacted]","MYSQL.port":"3306","PLUGINTYPE":"MYSQL"}]`)
	f("x", `{ "a": [1.50, "b"] }`, `{ "a": [1.50, "b"] }`) // unchanged to the byte
	f("x", `{"env":[{"name":"DB_PASSWORD","value":"hunter2"},{"name":"A","value":"b"}]}`,
		`{"env":[{"name":"DB_PASSWORD","value":"[redacted]"},{"name":"A","value":"b"}]}`)
	f("x", `{"secrets":{"a":"b","n":1,"deep":{"c":"d"}}}`, `{"secrets":{"a":"[redacted]","deep":{"c":"[redacted]"},"n":"[redacted]"}}`)
	f("x", `{"cmd":["mysql","-phunter2"],"url":"http://u:p@h"}`, `{"cmd":["mysql","-p[redacted]"],"url":"http://[redacted]@h"}`)
	f("x", `{"password":"`, `{"password":"`) // no JSON and nothing of a value in it
	f("cmd", "run --token abc", "run --token [redacted]")
	f("password", `{"a":"b"}`, `{"a":"[redacted]"}`)
}

func TestEnv(t *testing.T) {
	in := []string{"PATH=/bin", "DB_PASSWORD=hunter2", "DATABASE_URL=postgres://u:hunter2@h/d", "PGPASSFILE=/run/pgpass", "EMPTY_TOKEN=", "odd"}
	want := []string{"PATH=/bin", "DB_PASSWORD=[redacted]", "DATABASE_URL=postgres://[redacted]@h/d", "PGPASSFILE=/run/pgpass", "EMPTY_TOKEN=", "odd"}
	if got := Env(in); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestSensitive(t *testing.T) {
	for _, s := range []string{"password", "PGPASSWORD", "passwd", "client_secret", "apiKey", "AWS_ACCESS_KEY_ID", "auth", "Authorization", "credentials", "SENTRY_DSN", "cookie", "private-key", "pwd", "db.pw", "jwt"} {
		if !Sensitive(s) {
			t.Errorf("%q must be sensitive", s)
		}
	}
	for _, s := range []string{"", "port", "user", "bypass", "keyspace", "monkey", "keepalive", "pwdx", "image", "com.docker.compose.project", "max-tokens"} {
		if Sensitive(s) {
			t.Errorf("%q must not be sensitive", s)
		}
	}
}

// TestCanary puts a secret into every form that is promised and looks for it.
func TestCanary(t *testing.T) {
	const secret = "c4n4ry-S3cr3t"
	for _, argv := range [][]string{
		{"app", "--password=" + secret}, {"app", "--password", secret}, {"app", "-password", secret}, {"app", "--db.password=" + secret},
		{"app", "--PASSWORD=" + secret}, {"PASSWORD=" + secret, "app"}, {"env", "API_TOKEN=" + secret, "app"}, {"app", "--dsn", secret},
		{"mysql", "-p" + secret}, {"mariadb", "-u", "root", "-p" + secret}, {"redis-cli", "-a", secret}, {"valkey-cli", "-a" + secret},
		{"mongo", "-p", secret}, {"curl", "-u", "a:" + secret}, {"curl", "-H", "X-Token: " + secret}, {"curl", "http://a:" + secret + "@h"},
		{"curl", "http://h/?access_token=" + secret}, {"curl", "http://h/?a=b&sig=" + secret}, {"app", `{"password":"` + secret + `"}`},
		{"sh", "-c", "export SECRET=" + secret + "; run"}, {"sh", "-c", "mysql -p" + secret}, {"sh", "-c", "curl -u a:" + secret + " h"},
		{"sh", "-c", `curl -H "Authorization: Token ` + secret + `" h`}, {"sh", "-c", "app --token '" + secret + "'"},
		{"docker", "login", "-p", secret}, {"ldapsearch", "-w", secret}, {"mosquitto_pub", "-P", secret}, {"sshpass", "-p", secret},
		{"app", "Password=" + secret + ";Server=x"}, {"app", "password: " + secret}, {"app", "--header=Authorization: Bearer " + secret},
		{"app", "--header=X-Api-Key: " + secret}, {"curl", "-HX-Api-Key: " + secret}, {"curl", "-fsSu", "a:" + secret}, {"curl", "-sua:" + secret},
		{"app", "amqp://u:" + secret + "@h:5672/v"}, {"app", "--url=redis://:" + secret + "@h"},
	} {
		if got := strings.Join(Args(argv), " "); strings.Contains(got, secret) {
			t.Errorf("Args(%q) leaks: %s", argv, got)
		}
		if got := Command(strings.Join(argv, " ")); strings.Contains(got, secret) {
			t.Errorf("Command(%q) leaks: %s", strings.Join(argv, " "), got)
		}
		if got := Label("x", strings.Join(argv, " ")); strings.Contains(got, secret) {
			t.Errorf("Label of %q leaks: %s", argv, got)
		}
	}
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		"sh -c 'mysql -px'", `app --token "a b`, `{"a":{"password":1}}`, "curl -u a:b http://c:d@e/?f=g&token=h", "-----BEGIN X-----",
		"Authorization: Bearer x", "\\", "'\"", "a=\xff", "k=v;password=x", "mysql\t-p",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := Command(s)
		if again := Command(once); again != once {
			t.Logf("Command(%q) = %q, and of that %q", s, once, again) // harmless, but good to know
		}
		if limit := 12*len(s) + 64; len(once) > limit {
			t.Errorf("Command of %d bytes gave %d", len(s), len(once))
		}
		Label("x", s)
		Label("password", s)
		Text(s)
		Args([]string{s, s})
		Env([]string{s})
		const secret = "c4n4ryS3cr3t"
		if !strings.ContainsAny(s, "\"'\\") && !strings.Contains(s, secret) {
			if got := Command(s + " --password=" + secret); strings.Contains(got, secret) {
				t.Errorf("Command(%q) leaks: %q", s+" --password="+secret, got)
			}
		}
	})
}

func BenchmarkCommand(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Command("/bin/sh -c curl --fail http://localhost:8080/health || exit 1")
	}
}
