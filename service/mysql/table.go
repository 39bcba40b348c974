// SPDX-License-Identifier: Apache-2.0

package mysql

import (
	"slices"
	"strings"

	"tallyman"
)

func gauge(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "mysql_" + name, Type: tallyman.Gauge, Unit: unit, Help: help}
}

func counter(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "mysql_" + name, Type: tallyman.Counter, Unit: unit, Help: help}
}

// status makes the metric of a variable of GLOBAL STATUS.
func status(name string, typ tallyman.MetricType, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "mysql_global_status_" + name, Type: typ, Unit: unit, Help: help}
}

// The metrics that charts show, and those with labels.
var (
	up          = gauge("up", "", "1 when the last scrape was good")
	versionInfo = gauge("version_info", "", "1, with the version in labels")

	commands         = counter("global_status_commands_total", "", "Statements, by command")
	handlers         = counter("global_status_handlers_total", "", "Calls of the storage engines, by kind")
	connectionErrors = counter("global_status_connection_errors_total", "", "Connections that failed, by reason")
	poolPages        = gauge("global_status_buffer_pool_pages", "", "Pages of InnoDB's buffer pool, by state")
	dirtyPages       = gauge("global_status_buffer_pool_dirty_pages", "", "Pages of InnoDB's buffer pool that are to be written")
	pageChanges      = counter("global_status_buffer_pool_page_changes_total", "", "Changes of pages of InnoDB's buffer pool, by kind")
	rowOps           = counter("global_status_innodb_row_ops_total", "", "Rows that InnoDB has read or changed, by kind")
	lost             = counter("global_status_performance_schema_lost_total", "", "What performance_schema could not record, by kind")
	galera           = gauge("galera_status_info", "", "1, with the state of the Galera cluster in labels")

	threadsConnected = status("threads_connected", tallyman.Gauge, "", "Open connections")
	threadsRunning   = status("threads_running", tallyman.Gauge, "", "Connections that are at work")
	questions        = status("questions", tallyman.Counter, "", "Statements of clients")
	slow             = status("slow_queries", tallyman.Counter, "", "Statements that took longer than long_query_time")
	bytesIn          = status("bytes_received", tallyman.Counter, "bytes", "Bytes received")
	bytesOut         = status("bytes_sent", tallyman.Counter, "bytes", "Bytes sent")
	poolReads        = status("innodb_buffer_pool_reads", tallyman.Counter, "", "Reads that had to go to the disk")
	poolRequests     = status("innodb_buffer_pool_read_requests", tallyman.Counter, "", "Reads of pages")
	lockWaits        = status("innodb_row_lock_waits", tallyman.Counter, "", "Waits for a lock of a row")
	tmpDisk          = status("created_tmp_disk_tables", tallyman.Counter, "", "Temporary tables made on disk")
	tmpTables        = status("created_tmp_tables", tallyman.Counter, "", "Temporary tables made")
	abortedConnects  = status("aborted_connects", tallyman.Counter, "", "Connections that failed")

	maxConnections = gauge("global_variables_max_connections", "", "Connections that are allowed")
	behind         = gauge("slave_status_seconds_behind_master", "seconds", "Time that replication is behind")
	ioRunning      = gauge("slave_status_slave_io_running", "", "1 while events are fetched")
	sqlRunning     = gauge("slave_status_slave_sql_running", "", "1 while events are carried out")

	digestCalls    = counter("perf_schema_events_statements_total", "", "Calls of each statement")
	digestSeconds  = counter("perf_schema_events_statements_seconds_total", "seconds", "Time spent in each statement")
	digestErrors   = counter("perf_schema_events_statements_errors_total", "", "Calls of each statement that failed")
	digestExamined = counter("perf_schema_events_statements_rows_examined_total", "", "Rows looked at by each statement")
	digestSent     = counter("perf_schema_events_statements_rows_sent_total", "", "Rows given by each statement")
)

// known are variables of GLOBAL STATUS of which the type is known. All others that are
// numbers are given untyped.
var known = func() map[string]*tallyman.Desc {
	m := map[string]*tallyman.Desc{}
	for _, d := range []*tallyman.Desc{threadsConnected, threadsRunning, questions, slow, bytesIn, bytesOut, poolReads, poolRequests, lockWaits, tmpDisk, tmpTables, abortedConnects,
		status("uptime", tallyman.Gauge, "seconds", "Time since the server started"),
		status("threads_cached", tallyman.Gauge, "", "Threads that wait for a connection"),
		status("max_used_connections", tallyman.Gauge, "", "Most connections at once since the start"),
		status("open_files", tallyman.Gauge, "", "Files that are open"),
		status("open_tables", tallyman.Gauge, "", "Tables that are open"),
		status("open_table_definitions", tallyman.Gauge, "", "Definitions of tables that are kept"),
		status("open_streams", tallyman.Gauge, "", "Streams that are open"),
		status("threads_created", tallyman.Counter, "", "Threads made for connections"),
		status("connections", tallyman.Counter, "", "Tries to connect"),
		status("aborted_clients", tallyman.Counter, "", "Connections that ended without saying so"),
		status("queries", tallyman.Counter, "", "Statements, those in stored programs too"),
		status("opened_tables", tallyman.Counter, "", "Tables opened"),
		status("opened_table_definitions", tallyman.Counter, "", "Definitions of tables read"),
		status("opened_files", tallyman.Counter, "", "Files opened"),
		status("created_tmp_files", tallyman.Counter, "", "Temporary files made"),
		status("select_full_join", tallyman.Counter, "", "Joins without an index"),
		status("select_full_range_join", tallyman.Counter, "", "Joins by a range of the other table"),
		status("select_range", tallyman.Counter, "", "Reads by a range of the first table"),
		status("select_range_check", tallyman.Counter, "", "Joins that look for an index at each row"),
		status("select_scan", tallyman.Counter, "", "Reads of the whole first table"),
		status("sort_merge_passes", tallyman.Counter, "", "Sorts that did not fit into memory"),
		status("sort_range", tallyman.Counter, "", "Sorts by a range"),
		status("sort_rows", tallyman.Counter, "", "Rows sorted"),
		status("sort_scan", tallyman.Counter, "", "Sorts of a whole table"),
		status("table_locks_immediate", tallyman.Counter, "", "Locks of tables that were given at once"),
		status("table_locks_waited", tallyman.Counter, "", "Locks of tables that had to wait"),
		status("table_open_cache_hits", tallyman.Counter, "", "Tables found open"),
		status("table_open_cache_misses", tallyman.Counter, "", "Tables not found open"),
		status("table_open_cache_overflows", tallyman.Counter, "", "Tables closed to make room"),
		status("innodb_buffer_pool_wait_free", tallyman.Counter, "", "Waits for a free page"),
		status("innodb_buffer_pool_write_requests", tallyman.Counter, "", "Writes to pages"),
		status("innodb_data_read", tallyman.Counter, "bytes", "Bytes that InnoDB has read"),
		status("innodb_data_written", tallyman.Counter, "bytes", "Bytes that InnoDB has written"),
		status("innodb_data_reads", tallyman.Counter, "", "Reads of InnoDB"),
		status("innodb_data_writes", tallyman.Counter, "", "Writes of InnoDB"),
		status("innodb_data_fsyncs", tallyman.Counter, "", "Syncs of InnoDB"),
		status("innodb_log_waits", tallyman.Counter, "", "Waits for room in the buffer of the log"),
		status("innodb_log_writes", tallyman.Counter, "", "Writes to the log"),
		status("innodb_os_log_written", tallyman.Counter, "bytes", "Bytes written to the log"),
		status("innodb_pages_created", tallyman.Counter, "", "Pages made"),
		status("innodb_pages_read", tallyman.Counter, "", "Pages read"),
		status("innodb_pages_written", tallyman.Counter, "", "Pages written"),
		status("innodb_row_lock_time", tallyman.Counter, "", "Time spent in waiting for locks of rows in milliseconds"),
		status("innodb_row_lock_current_waits", tallyman.Gauge, "", "Locks of rows that are waited for"),
		status("innodb_deadlocks", tallyman.Counter, "", "Deadlocks"),
		status("innodb_history_list_length", tallyman.Gauge, "", "Changes of old transactions that are kept"),
		status("innodb_page_size", tallyman.Gauge, "bytes", "Size of a page"),
		status("memory_used", tallyman.Gauge, "bytes", "Memory that the server has allocated"),
		status("binlog_cache_disk_use", tallyman.Counter, "", "Transactions that did not fit into the cache of the binary log"),
		status("binlog_cache_use", tallyman.Counter, "", "Transactions in the cache of the binary log"),
		status("prepared_stmt_count", tallyman.Gauge, "", "Prepared statements"),
		status("slave_running", tallyman.Gauge, "", "1 while replication runs"),
		status("wsrep_cluster_size", tallyman.Gauge, "", "Nodes of the Galera cluster"),
		status("wsrep_ready", tallyman.Gauge, "", "1 while the node of the Galera cluster takes statements"),
		status("wsrep_connected", tallyman.Gauge, "", "1 while the node has its cluster"),
		status("wsrep_local_state", tallyman.Gauge, "", "State of the node: 4 is synced"),
		status("wsrep_local_recv_queue", tallyman.Gauge, "", "Changes that wait to be applied"),
		status("wsrep_flow_control_paused", tallyman.Gauge, "", "Part of the time for which replication was held up"),
	} {
		m[strings.TrimPrefix(d.Name, "mysql_global_status_")] = d
	}
	return m
}()

// variables are variables that matter for limits.
var variables = func() map[string]*tallyman.Desc {
	m := map[string]*tallyman.Desc{}
	for _, one := range []struct{ name, unit, help string }{
		{"max_user_connections", "", "Connections of one account that are allowed, 0 for no limit"},
		{"innodb_buffer_pool_size", "bytes", "Size of InnoDB's buffer pool"},
		{"innodb_log_file_size", "bytes", "Size of a file of InnoDB's log"},
		{"innodb_log_buffer_size", "bytes", "Size of the buffer of InnoDB's log"},
		{"innodb_flush_log_at_trx_commit", "", "When the log is written: 1 is at each commit"},
		{"innodb_io_capacity", "", "Writes per second in the background"},
		{"innodb_lock_wait_timeout", "seconds", "Time to wait for a lock of a row"},
		{"key_buffer_size", "bytes", "Size of MyISAM's buffer"},
		{"query_cache_size", "bytes", "Size of the cache of answers"},
		{"table_open_cache", "", "Tables that are kept open"},
		{"table_definition_cache", "", "Definitions of tables that are kept"},
		{"thread_cache_size", "", "Threads that are kept for connections"},
		{"open_files_limit", "", "Files that may be open"},
		{"max_allowed_packet", "bytes", "Size of the largest packet"},
		{"tmp_table_size", "bytes", "Size of a temporary table in memory"},
		{"max_heap_table_size", "bytes", "Size of a table in memory"},
		{"read_only", "", "1 when only replication may write"},
		{"super_read_only", "", "1 when not even administrators may write"},
		{"long_query_time", "seconds", "Time from which a statement counts as slow"},
		{"wait_timeout", "seconds", "Time after which an idle connection is ended"},
		{"max_connect_errors", "", "Errors after which a host is blocked"},
		{"max_prepared_stmt_count", "", "Prepared statements that are allowed"},
		{"performance_schema", "", "1 when there is a performance_schema"},
		{"slow_query_log", "", "1 when slow statements are logged"},
		{"server_id", "", "Number of the server in replication"},
		{"sync_binlog", "", "Commits after which the binary log is synced"},
		{"gtid_strict_mode", "", "1 when transactions must come in order"},
	} {
		m[one.name] = gauge("global_variables_"+one.name, one.unit, one.help)
	}
	m["max_connections"] = maxConnections
	return m
}()

// ofReplication are columns of the replication status, with their names before 8.0.22.
var ofReplication = map[string]*tallyman.Desc{
	"seconds_behind_master": behind, "slave_io_running": ioRunning, "slave_sql_running": sqlRunning,
	"read_master_log_pos": gauge("slave_status_read_master_log_pos", "bytes", "Position up to which events were fetched"),
	"exec_master_log_pos": gauge("slave_status_exec_master_log_pos", "bytes", "Position up to which events were carried out"),
	"relay_log_space":     gauge("slave_status_relay_log_space", "bytes", "Size of the events that are kept"),
	"sql_delay":           gauge("slave_status_sql_delay", "seconds", "Time that replication is to be behind"),
	"last_errno":          gauge("slave_status_last_errno", "", "Number of the last error"),
	"last_io_errno":       gauge("slave_status_last_io_errno", "", "Number of the last error in fetching"),
	"last_sql_errno":      gauge("slave_status_last_sql_errno", "", "Number of the last error in carrying out"),
}

func metrics() []*tallyman.Desc {
	list := []*tallyman.Desc{up, versionInfo, commands, handlers, connectionErrors, poolPages, dirtyPages, pageChanges, rowOps, lost, galera, digestCalls, digestSeconds, digestErrors, digestExamined, digestSent}
	for _, m := range []map[string]*tallyman.Desc{known, variables, ofReplication} {
		for _, d := range m {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b *tallyman.Desc) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func charts() []tallyman.ServiceChart {
	return []tallyman.ServiceChart{
		{Title: "Statements", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "all", Metric: questions, Rate: true}, {Name: "slow", Metric: slow, Rate: true}}},
		{Title: "Connections", Lines: []tallyman.ServiceLine{{Name: "open", Metric: threadsConnected}, {Name: "at work", Metric: threadsRunning}, {Name: "allowed", Metric: maxConnections}}},
		{Title: "Rows", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "engine", Metric: handlers, Rate: true, By: "handler"}}},
		{Title: "Buffer pool", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "reads", Metric: poolRequests, Rate: true}, {Name: "from disk", Metric: poolReads, Rate: true}}},
		{Title: "Temporary tables", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "all", Metric: tmpTables, Rate: true}, {Name: "on disk", Metric: tmpDisk, Rate: true}}},
		{Title: "Waits and failures", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "locks of rows", Metric: lockWaits, Rate: true}, {Name: "connections failed", Metric: abortedConnects, Rate: true}}},
		{Title: "Network", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "in", Metric: bytesIn, Rate: true}, {Name: "out", Metric: bytesOut, Rate: true}}},
		{Title: "Behind", Unit: "seconds", Lines: []tallyman.ServiceLine{{Name: "replication lag", Metric: behind, By: "channel_name"}}},
	}
}
