// SPDX-License-Identifier: Apache-2.0

package postgresql

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"tallyman"
)

const (
	maxMessage = 4 << 20 // bytes of one message
	maxRows    = 20_000  // of one answer
)

// settings are those of each session.
var settings = map[string]string{"application_name": "tallyman", "statement_timeout": "2000", "lock_timeout": "500", "default_transaction_read_only": "on", "client_encoding": "UTF8"}

// conn is a connection to one database.
type conn struct {
	pg      *pgconn.PgConn
	version int // as server_version_num: 150004
}

// configure makes the driver's configuration. All that it would take from the
// environment or the home of whoever runs tallyman is set here, or set back.
func (i *instance) configure(database string) (*pgconn.Config, error) {
	c, err := pgconn.ParseConfig("host=localhost port=5432 user=nobody database=nobody sslmode=disable sslcert='' sslkey='' sslrootcert='' sslcertmode=allow sslnegotiation=postgres target_session_attrs=any channel_binding=prefer require_auth='' min_protocol_version=3.0 max_protocol_version=3.0 passfile='' krbsrvname=''")
	if err != nil {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "Unset PGSERVICE where tallyman runs.", "the driver does not start")
	}
	c.User, c.Password, c.Database = i.login.user, i.login.password, database
	c.Fallbacks, c.ValidateConnect, c.ConnectTimeout = nil, nil, 0
	c.RuntimeParams = settings
	if i.mode != "disable" && i.network != "unix" {
		c.TLSConfig = &tls.Config{ServerName: i.host, InsecureSkipVerify: i.mode != "verify-full"}
		if i.mode == "prefer" {
			c.Fallbacks = []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port}}
		}
	}
	c.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return i.in.DialContext(ctx, i.network, i.address)
	}
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		f := pgproto3.NewFrontend(r, w)
		f.SetMaxBodyLen(maxMessage)
		return f
	}
	return c, nil
}

// dial connects to a database. Without one of the login's name it is postgres.
func (i *instance) dial(ctx context.Context, database string) (*conn, error) {
	config, err := i.configure(database)
	if err != nil {
		return nil, err
	}
	pg, err := pgconn.ConnectConfig(ctx, config)
	if code(err) == "3D000" && database == i.login.user && database != "postgres" {
		i.login.database = "postgres"
		return i.dial(ctx, "postgres")
	}
	if err != nil {
		return nil, fault(err)
	}
	c := &conn{pg: pg}
	rows, err := c.ask(ctx, "SHOW server_version_num")
	if err == nil && len(rows) == 1 {
		c.version, _ = strconv.Atoi(rows[0]["server_version_num"])
	}
	if c.version < 90600 {
		c.close()
		if err != nil {
			return nil, fault(err)
		}
		return nil, tallyman.Faulty(tallyman.ConfigFault, "PostgreSQL 9.6 is the oldest that is known.", "its version is %d", c.version)
	}
	return c, nil
}

func (c *conn) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.pg.Close(ctx)
}

// row is a row by column; NULL is not there.
type row map[string]string

// number is a column as a number; ok is false when it is not there or is none.
func (r row) number(name string) (v float64, ok bool) {
	text, ok := r[name]
	switch {
	case !ok:
		return 0, false
	case text == "t" || text == "on":
		return 1, true
	case text == "f" || text == "off":
		return 0, true
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}

// ask runs one statement and reads its rows, maxRows at most.
func (c *conn) ask(ctx context.Context, sql string) (rows []row, err error) {
	results := c.pg.Exec(ctx, sql)
	for results.NextResult() {
		r := results.ResultReader()
		var names []string
		for _, d := range r.FieldDescriptions() {
			names = append(names, d.Name)
		}
		for r.NextRow() {
			if len(rows) >= maxRows {
				continue
			}
			one := row{}
			for i, v := range r.Values() {
				if v != nil {
					one[names[i]] = string(v)
				}
			}
			rows = append(rows, one)
		}
	}
	return rows, results.Close()
}

// code is the SQLSTATE of an error.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// fault sorts an error; texts of the server can hold what was asked and stay inside.
func fault(err error) error {
	if err == nil {
		return nil
	}
	var e *pgconn.PgError
	var large *pgproto3.ExceededMaxBodyLenErr
	switch {
	case errors.As(err, &large):
		return tallyman.Faulty(tallyman.LimitFault, "", "one message of the server is larger than %d MiB", maxMessage>>20)
	case !errors.As(err, &e):
		var connect *pgconn.ConnectError
		if errors.As(err, &connect) { // it names user and database
			return errors.Unwrap(connect)
		}
		if err.Error() == "conn closed" { // the driver forgets why
			return tallyman.Faulty(tallyman.ParseFault, "", "the connection has ended, or a message was larger than %d MiB", maxMessage>>20)
		}
		return err
	case e.Code == "28P01" || e.Code == "28000":
		why := "it refuses the login" // the text names the user
		switch {
		case strings.Contains(e.Message, "pg_hba.conf"):
			why = "its pg_hba.conf lets that login in from nowhere that tallyman can come from"
		case strings.Contains(e.Message, "Peer authentication"):
			why = "it knows its users by their system account (peer)"
		}
		return tallyman.Faulty(tallyman.AuthFault, "Make a role with pg_monitor and set USERNAME and PASSWORD.", "%s", why)
	case e.Code == "3D000":
		return tallyman.Faulty(tallyman.ConfigFault, "Set DEFAULT DATABASE.", "the database does not exist")
	case e.Code == "42501":
		return tallyman.Faulty(tallyman.PermissionFault, "GRANT pg_monitor TO the role.", "the role may not read that")
	case e.Code == "57P03":
		return tallyman.Faulty(tallyman.DialFault, "", "the database system is starting up or shutting down")
	case e.Code == "53300":
		return tallyman.Faulty(tallyman.DialFault, "", "all connections are taken")
	case e.Code == "57014":
		return tallyman.Faulty(tallyman.TimeoutFault, "", "a statement took longer than 2 s")
	}
	return tallyman.Faulty(tallyman.ParseFault, "", "it answers with the error %s", e.Code)
}

// optional reports whether an error means that something is not to be had: it is not
// there in this version, the role may not see it, or it takes too long.
func optional(err error) bool {
	switch code(err) {
	case "42501", "42P01", "42703", "42883", "57014", "55P03", "0A000", "55000":
		return true
	}
	return false
}
