// SPDX-License-Identifier: Apache-2.0

package syslog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/forward/send"
	"tallyman/internal/testkit"
)

// A real rsyslog gets records over TCP and over TLS, and is killed in the middle: what it
// wrote to its file, without repeats, is what was to be sent.
func TestRealRsyslog(t *testing.T) {
	authority := testkit.NewAuthority(t, "logs")
	pair := authority.Issue(t, "127.0.0.1")
	for _, scheme := range []string{"tcp", "tls"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			if found, _ := filepath.Glob("/usr/lib*/*/rsyslog/lmnsd_gtls.so"); scheme == "tls" && len(found) == 0 {
				testkit.Missing(t, "rsyslog has no TLS here: install Debian's package rsyslog-gnutls")
			}
			dir := t.TempDir()
			address := testkit.FreeAddress(t)
			out := filepath.Join(dir, "lines")
			global, input := `global(workDirectory="`+dir+`" maxMessageSize="64k")`, `module(load="imtcp" maxSessions="20")`
			if scheme == "tls" {
				global = fmt.Sprintf(`global(workDirectory="%s" maxMessageSize="64k" defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="%s" defaultNetstreamDriverCertFile="%s" defaultNetstreamDriverKeyFile="%s")`, dir, authority.File, pair.Cert, pair.Key)
				input = `module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")`
			}
			config := filepath.Join(dir, "rsyslog.conf")
			port := address[strings.LastIndex(address, ":")+1:]
			text := fmt.Sprintf("%s\n%s\ntemplate(name=\"line\" type=\"string\" string=\"%%app-name%%|%%msgid%%|%%syslogseverity%%|%%msg%%\\n\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"%s\")\naction(type=\"omfile\" file=\"%s\" template=\"line\")\n", global, input, port, out)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			rsyslog := func() *testkit.Server {
				return testkit.StartServer(t, "rsyslogd", "install Debian's package rsyslog", "-n", "-f", config, "-i", filepath.Join(dir, fmt.Sprint(time.Now().UnixNano(), ".pid")))
			}
			server := rsyslog()
			log := newLog(t)
			s := mustNew(t, Options{RecordOptions: send.RecordOptions{Log: log}, CA: authority.File}, scheme+"://"+address)
			defer start(t, s)()
			var want []string
			put := func(n int) {
				for range n {
					text := fmt.Sprintf("line %05d", len(want))
					want = append(want, "web|container|6|"+text)
					log.Append(web, tallyman.Record{Time: time.Now().UnixNano(), Line: []byte(text)})
				}
			}
			var got []string
			read := func(n int) {
				t.Helper()
				testkit.Eventually(t, time.Minute, "the lines are in the file", func() error {
					b, err := os.ReadFile(out)
					got = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
					for i := range got {
						got[i] = strings.Replace(got[i], "| line", "|line", 1)
					}
					if have := len(firsts(got)); err != nil || have < n {
						return fmt.Errorf("%d of %d: %v", have, n, err)
					}
					return nil
				})
			}
			put(2000)
			read(2000)
			testkit.Eventually(t, time.Minute, "a receipt", func() error {
				if st := s.Stats(); st.Waiting > 0 {
					return fmt.Errorf("%+v", st)
				}
				return nil
			})
			put(3000)
			server.Kill()
			put(1000)
			rsyslog()
			read(6000)
			one := firsts(got)
			for _, l := range want {
				if !slices.Contains(one, l) { // one may be torn by the kill, too
					t.Errorf("%s is lost", l)
				}
			}
			t.Logf("%d records, rsyslog killed once: none lost, %d came twice, %d were written twice", len(want), len(got)-len(one), s.repeated.Load())
		})
	}
}
