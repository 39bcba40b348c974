// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"cmp"
	"slices"
	"strings"

	"tallyman"
	"tallyman/service/ask"
)

// field is a column of the statistics and its metric; of says at which levels there is
// one: f, b and s for frontend, backend and server.
type field struct {
	column, name, of string
	typ              tallyman.MetricType
	unit, help       string
	scale            float64 // 0 for 1
	single           bool    // a sum of several says nothing
}

const (
	c = tallyman.Counter
	g = tallyman.Gauge
)

var fields = []field{
	{"scur", "current_sessions", "fbs", g, "", "Sessions", 0, false},
	{"smax", "max_sessions", "fbs", g, "", "Most sessions at once since the start", 0, true},
	{"slim", "limit_sessions", "fbs", g, "", "Sessions that are allowed", 0, false},
	{"stot", "sessions_total", "fbs", c, "", "Sessions", 0, false},
	{"bin", "bytes_in_total", "fbs", c, "bytes", "Bytes received", 0, false},
	{"bout", "bytes_out_total", "fbs", c, "bytes", "Bytes sent", 0, false},
	{"qcur", "current_queue", "bs", g, "", "Requests that wait for a server", 0, false},
	{"qmax", "max_queue", "bs", g, "", "Most requests that have waited since the start", 0, true},
	{"dreq", "requests_denied_total", "fb", c, "", "Requests denied", 0, false},
	{"dresp", "responses_denied_total", "fbs", c, "", "Answers denied", 0, false},
	{"ereq", "request_errors_total", "f", c, "", "Requests with an error", 0, false},
	{"econ", "connection_errors_total", "bs", c, "", "Connections to servers that failed", 0, false},
	{"eresp", "response_errors_total", "bs", c, "", "Answers with an error", 0, false},
	{"wretr", "retry_warnings_total", "bs", c, "", "Connections to servers that were tried again", 0, false},
	{"wredis", "redispatch_warnings_total", "bs", c, "", "Requests sent to another server", 0, false},
	{"cli_abrt", "client_aborts_total", "bs", c, "", "Transfers given up by the client", 0, false},
	{"srv_abrt", "server_aborts_total", "bs", c, "", "Transfers given up by the server", 0, false},
	{"weight", "weight", "bs", g, "", "Weight in the choice of a server", 0, false},
	{"act", "active_servers", "b", g, "", "Servers that are up", 0, false},
	{"bck", "backup_servers", "b", g, "", "Servers in reserve that are up", 0, false},
	{"chkfail", "check_failures_total", "s", c, "", "Checks that failed while the server was up", 0, false},
	{"chkdown", "check_up_down_total", "bs", c, "", "Times that it went down", 0, false},
	{"downtime", "downtime_seconds_total", "bs", c, "seconds", "Time for which it was down", 0, false},
	{"lbtot", "loadbalanced_total", "bs", c, "", "Times that it was chosen", 0, false},
	{"rate_max", "max_session_rate", "fbs", g, "", "Most sessions in a second since the start", 0, true},
	{"check_duration", "check_duration_seconds", "s", g, "seconds", "Time that the last check took", 0.001, true},
	{"hrsp_1xx", "http_responses_total", "fbs", c, "", "Answers, by class of their code", 0, false},
	{"hrsp_2xx", "http_responses_total", "fbs", c, "", "", 0, false},
	{"hrsp_3xx", "http_responses_total", "fbs", c, "", "", 0, false},
	{"hrsp_4xx", "http_responses_total", "fbs", c, "", "", 0, false},
	{"hrsp_5xx", "http_responses_total", "fbs", c, "", "", 0, false},
	{"hrsp_other", "http_responses_total", "fbs", c, "", "", 0, false},
	{"req_tot", "http_requests_total", "fb", c, "", "Requests", 0, false},
	{"conn_tot", "connections_total", "f", c, "", "Connections", 0, false},
	{"qtime", "queue_time_average_seconds", "bs", g, "seconds", "Time in the queue, average of the last 1024", 0.001, true},
	{"ctime", "connect_time_average_seconds", "bs", g, "seconds", "Time to connect, average of the last 1024", 0.001, true},
	{"rtime", "response_time_average_seconds", "bs", g, "seconds", "Time to the answer, average of the last 1024", 0.001, true},
	{"ttime", "total_time_average_seconds", "bs", g, "seconds", "Time of the session, average of the last 1024", 0.001, true},
	{"connect", "connection_attempts_total", "bs", c, "", "Connections to servers that were tried", 0, false},
	{"reuse", "connection_reuses_total", "bs", c, "", "Connections to servers that were used again", 0, false},
	{"wrew", "failed_header_rewriting_total", "fbs", c, "", "Headers that could not be written anew", 0, false},
	{"eint", "internal_errors_total", "fbs", c, "", "Errors inside of HAProxy", 0, false},
	{"dcon", "denied_connections_total", "f", c, "", "Connections denied", 0, false},
	{"dses", "denied_sessions_total", "f", c, "", "Sessions denied", 0, false},
	{"intercepted", "intercepted_requests_total", "f", c, "", "Requests that HAProxy answers itself", 0, false},
	{"cache_lookups", "http_cache_lookups_total", "fb", c, "", "Requests looked up in the cache", 0, false},
	{"cache_hits", "http_cache_hits_total", "fb", c, "", "Requests answered from the cache", 0, false},
	{"comp_in", "http_comp_bytes_in_total", "fb", c, "bytes", "Bytes given to compression", 0, false},
	{"comp_out", "http_comp_bytes_out_total", "fb", c, "bytes", "Bytes that came out of compression", 0, false},
	{"comp_byp", "http_comp_bytes_bypassed_total", "fb", c, "bytes", "Bytes that went past compression", 0, false},
	{"comp_rsp", "http_comp_responses_total", "fb", c, "", "Answers that were compressed", 0, false},
	{"lastsess", "last_session_seconds", "bs", g, "seconds", "Time since its last session, -1 when there was none", 0, true},
	{"lastchg", "check_last_change_seconds", "bs", g, "seconds", "Time since it went up or down", 0, true},
	{"uweight", "uweight", "bs", g, "", "Weight as it is set", 0, false},
	{"idle_conn_cur", "unsafe_idle_connections_current", "s", g, "", "Idle connections that not every request may use", 0, false},
	{"safe_conn_cur", "safe_idle_connections_current", "s", g, "", "Idle connections that every request may use", 0, false},
	{"used_conn_cur", "used_connections_current", "s", g, "", "Connections in use", 0, false},
	{"need_conn_est", "need_connections_current", "s", g, "", "Connections that are needed, as HAProxy estimates", 0, false},
	{"srv_icur", "idle_connections_current", "s", g, "", "Idle connections", 0, false},
	{"status", "status", "fbs", g, "", "1 for the state that it has", 0, false},
	{"check_status", "check_status", "s", g, "", "1 for the state that its last check gave", 0, false},
}

var levels = map[byte]string{'f': "frontend", 'b': "backend", 's': "server"}

// ofProcess are lines of "show info".
var ofProcess = []struct {
	line, name, unit, help string
	typ                    tallyman.MetricType
}{
	{"Uptime_sec", "uptime_seconds", "seconds", "Time since the process started", g},
	{"CurrConns", "current_connections", "", "Connections", g},
	{"Maxconn", "max_connections", "", "Connections that are allowed", g},
	{"CumConns", "connections_total", "", "Connections", c},
	{"CumReq", "requests_total", "", "Requests", c},
	{"CurrSslConns", "current_ssl_connections", "", "Connections with TLS", g},
	{"CumSslConns", "ssl_connections_total", "", "Connections with TLS", c},
	{"Idle_pct", "idle_time_percent", "", "Part of the time that the process is idle in percent", g},
	{"SessRate", "current_session_rate", "", "Sessions in the last second", g},
	{"Nbthread", "nbthread", "", "Threads", g},
	{"Maxsock", "max_sockets", "", "Sockets that are allowed", g},
	{"Ulimit-n", "max_fds", "", "Descriptors that are allowed", g},
	{"Run_queue", "current_run_queue", "", "Tasks that are ready", g},
	{"Tasks", "current_tasks", "", "Tasks", g},
	{"Start_time_sec", "start_time_seconds", "seconds", "When the process started, since 1970", g},
	{"Nbproc", "nbproc", "", "Processes", g},
	{"Hard_maxconn", "hard_max_connections", "", "Connections that memory and descriptors allow", g},
	{"ConnRate", "current_connection_rate", "", "Connections in the last second", g},
	{"ConnRateLimit", "limit_connection_rate", "", "Connections in a second that are allowed, 0 for all", g},
	{"MaxConnRate", "max_connection_rate", "", "Most connections in a second since the start", g},
	{"SessRateLimit", "limit_session_rate", "", "Sessions in a second that are allowed, 0 for all", g},
	{"MaxSessRate", "max_session_rate", "", "Most sessions in a second since the start", g},
	{"MaxSslConns", "max_ssl_connections", "", "Connections with TLS that are allowed, 0 for all", g},
	{"SslRate", "current_ssl_rate", "", "Connections with TLS in the last second", g},
	{"SslRateLimit", "limit_ssl_rate", "", "Connections with TLS in a second that are allowed, 0 for all", g},
	{"MaxSslRate", "max_ssl_rate", "", "Most connections with TLS in a second since the start", g},
	{"SslFrontendKeyRate", "current_frontend_ssl_key_rate", "", "Keys of TLS made for clients in the last second", g},
	{"SslBackendKeyRate", "current_backend_ssl_key_rate", "", "Keys of TLS made for servers in the last second", g},
	{"SslFrontendSessionReuse_pct", "frontend_ssl_reuse", "", "Part of the clients' sessions of TLS that needed no new key in percent", g},
	{"SslCacheLookups", "ssl_cache_lookups_total", "", "Sessions of TLS that were looked up", c},
	{"SslCacheMisses", "ssl_cache_misses_total", "", "Sessions of TLS that were not found", c},
	{"Maxpipes", "max_pipes", "", "Pipes that are allowed", g},
	{"PipesUsed", "pipes_used_total", "", "Pipes in use", c},
	{"PipesFree", "pipes_free_total", "", "Pipes that are free", c},
	{"ZlibMemUsage", "current_zlib_memory", "bytes", "Memory that compression uses", g},
	{"MaxZlibMemUsage", "max_zlib_memory", "bytes", "Memory that compression may use", g},
	{"Memmax_bytes", "max_memory_bytes", "bytes", "Memory that is allowed, 0 for all", g},
	{"PoolAlloc_bytes", "pool_allocated_bytes", "bytes", "Memory in pools", g},
	{"PoolUsed_bytes", "pool_used_bytes", "bytes", "Memory in pools that is used", g},
	{"PoolFailed", "pool_failures_total", "", "Times that a pool got no memory", c},
	{"TotalBytesOut", "bytes_out_total", "bytes", "Bytes sent", c},
	{"Listeners", "listeners", "", "Listeners", g},
	{"Jobs", "jobs", "", "Jobs: connections, listeners and the like", g},
	{"Unstoppable Jobs", "unstoppable_jobs", "", "Jobs that outlive a stop", g},
	{"ActivePeers", "active_peers", "", "Peers that are connected and verified", g},
	{"ConnectedPeers", "connected_peers", "", "Peers that are connected", g},
	{"DroppedLogs", "dropped_logs_total", "", "Lines of log that were thrown away", c},
	{"CumRecvLogs", "recv_logs_total", "", "Lines of log that were received", c},
	{"FailedResolutions", "failed_resolutions", "", "Names that could not be resolved", c},
	{"Stopping", "stopping", "", "1 while the process stops", g},
}

var (
	up = &tallyman.Desc{Name: "haproxy_up", Type: tallyman.Gauge, Help: "1 when the last scrape was good"}
	// known are the metrics by name, singles those that are not summed.
	known, singles = table()
)

func table() (map[string]*tallyman.Desc, map[string]bool) {
	m, single := map[string]*tallyman.Desc{}, map[string]bool{}
	for _, f := range fields {
		for i := range len(f.of) {
			name := "haproxy_" + levels[f.of[i]] + "_" + f.name
			if m[name] == nil {
				m[name] = &tallyman.Desc{Name: name, Type: f.typ, Unit: f.unit, Help: f.help + " of each " + levels[f.of[i]]}
			}
			single[name] = f.single
		}
	}
	for _, p := range ofProcess {
		name := "haproxy_process_" + p.name
		m[name] = &tallyman.Desc{Name: name, Type: p.typ, Unit: p.unit, Help: p.help}
	}
	m["haproxy_process_build_info"] = &tallyman.Desc{Name: "haproxy_process_build_info", Type: tallyman.Gauge, Help: "1, with the version in a label"}
	return m, single
}

func metric(level, name string) *tallyman.Desc { return known["haproxy_"+level+"_"+name] }

func metrics() []*tallyman.Desc {
	list := []*tallyman.Desc{up}
	for _, d := range known {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *tallyman.Desc) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// object is a frontend, a backend or a server, or the process, whose names are empty.
type object struct {
	level, proxy, server string
	values               []value
}

// value is one of an object; label and text are what it has beside the object's names.
type value struct {
	desc        *tallyman.Desc
	label, text string
	v           float64
}

// objects are all that was said, by level and names.
type objects struct {
	list []*object
	by   map[[3]string]*object
}

func (o *objects) at(level, proxy, server string) *object {
	key := [3]string{level, proxy, server}
	if o.by == nil {
		o.by = map[[3]string]*object{}
	}
	if o.by[key] == nil {
		o.by[key] = &object{level: level, proxy: proxy, server: server}
		o.list = append(o.list, o.by[key])
	}
	return o.by[key]
}

func (o *object) add(d *tallyman.Desc, v float64, label, text string) {
	o.values = append(o.values, value{d, label, text, v})
}

// sessions say how much an object does.
func (o *object) sessions() float64 {
	for _, v := range o.values {
		if strings.HasSuffix(v.desc.Name, "_sessions_total") {
			return v.v
		}
	}
	return 0
}

// give adds the largest objects of each level, and the sum of the rest.
func (o *objects) give(s tallyman.ServiceSink) {
	s.Add(up, 1)
	groups := map[string][]*object{}
	for _, one := range o.list {
		groups[one.level] = append(groups[one.level], one)
	}
	limits := fit(groups)
	for _, level := range []string{"process", "frontend", "backend", "server"} {
		list, n := groups[level], limits[level]
		slices.SortStableFunc(list, func(a, b *object) int { return cmp.Compare(b.sessions(), a.sessions()) })
		if len(list) > n {
			rest := &object{level: level, proxy: ask.Other}
			if level == "server" {
				rest.server = ask.Other
			}
			at := map[value]int{}
			for _, one := range list[n:] {
				for _, v := range one.values {
					key := value{desc: v.desc, label: v.label, text: v.text}
					if singles[v.desc.Name] {
						continue
					}
					if i, ok := at[key]; ok {
						rest.values[i].v += v.v
						continue
					}
					at[key] = len(rest.values)
					rest.values = append(rest.values, v)
				}
			}
			list = append(list[:n:n], rest)
		}
		for _, one := range list {
			for _, v := range one.values {
				var labels []string
				if one.proxy != "" {
					labels = append(labels, "proxy", one.proxy)
				}
				if one.server != "" {
					labels = append(labels, "server", one.server)
				}
				if v.label != "" {
					labels = append(labels, v.label, v.text)
				}
				s.Add(v.desc, v.v, labels...)
			}
		}
	}
}

// maxSeries is how many series an instance gives at most; there are some more of the
// rests.
const maxSeries = 1800

// fit says how many objects of each level can be told of one by one: ask.MaxRows, and
// fewer of the level that has the most series while there are too many of them.
func fit(groups map[string][]*object) map[string]int {
	limits, each := map[string]int{}, map[string]int{}
	for level, list := range groups {
		limits[level] = min(len(list), ask.MaxRows)
		for _, o := range list {
			each[level] = max(each[level], len(o.values))
		}
	}
	for {
		total, most := 0, ""
		for _, level := range []string{"process", "frontend", "backend", "server"} {
			total += limits[level] * each[level]
			if limits[level]*each[level] > limits[most]*each[most] {
				most = level
			}
		}
		if total <= maxSeries || limits[most] <= 1 {
			return limits
		}
		limits[most]--
	}
}
