// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"strings"

	"tallyman"
)

// field is a number of INFO with a metric of its own.
type field struct {
	info string
	desc *tallyman.Desc
}

func gauge(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "redis_" + name, Type: tallyman.Gauge, Unit: unit, Help: help}
}

func counter(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "redis_" + name, Type: tallyman.Counter, Unit: unit, Help: help}
}

// The metrics that charts show, and those with labels.
var (
	up        = gauge("up", "", "1 when the last scrape was good")
	startTime = gauge("start_time_seconds", "seconds", "Unix time at which the server started")
	info      = gauge("instance_info", "", "1, with what the server is in labels")

	connectedClients = gauge("connected_clients", "", "Connections of clients")
	blockedClients   = gauge("blocked_clients", "", "Clients that wait in a blocking command")
	maxClients       = gauge("max_clients", "", "Connections of clients that are allowed")
	memoryUsed       = gauge("memory_used_bytes", "bytes", "Memory that the server has allocated")
	memoryRSS        = gauge("memory_used_rss_bytes", "bytes", "Memory of the server as the system sees it")
	memoryMax        = gauge("memory_max_bytes", "bytes", "Memory that the server may use, 0 for no limit")
	hits             = counter("keyspace_hits_total", "", "Lookups of keys that were there")
	misses           = counter("keyspace_misses_total", "", "Lookups of keys that were not there")
	expired          = counter("expired_keys_total", "", "Keys whose time was up")
	evicted          = counter("evicted_keys_total", "", "Keys removed for want of memory")
	netIn            = counter("net_input_bytes_total", "bytes", "Bytes received")
	netOut           = counter("net_output_bytes_total", "bytes", "Bytes sent")

	commands         = counter("commands_total", "", "Calls of each command")
	commandSeconds   = counter("commands_duration_seconds_total", "seconds", "Time spent in each command")
	commandsFailed   = counter("commands_failed_calls_total", "", "Calls of each command that failed while they ran")
	commandsRejected = counter("commands_rejected_calls_total", "", "Calls of each command that were refused before they ran")
	errorReplies     = counter("errors_total", "", "Errors that were answered, by their first word")
	percentiles      = gauge("latency_percentiles_usec", "", "Time of the calls of each command in microseconds, by quantile")
	dbKeys           = gauge("db_keys", "", "Keys in each database")
	dbExpiring       = gauge("db_keys_expiring", "", "Keys in each database that expire")
	dbTTL            = gauge("db_avg_ttl_seconds", "seconds", "Average time that the expiring keys of each database have left")
	slaveOffset      = gauge("connected_slave_offset_bytes", "bytes", "Replication offset of each replica")
	slaveLag         = gauge("connected_slave_lag_seconds", "seconds", "Time since each replica has acknowledged")
	masterLink       = gauge("master_link_up", "", "1 when the link to the primary is up")
	masterIO         = gauge("master_last_io_seconds_ago", "seconds", "Time since the primary was last heard")
	masterSync       = gauge("master_sync_in_progress", "", "1 while the primary sends everything")
	replOffset       = gauge("slave_repl_offset", "bytes", "Replication offset of this replica")
	slaveInfo        = gauge("slave_info", "", "1, with the primary of this replica in labels")
	slowlog          = gauge("slowlog_length", "", "Entries in the log of slow commands")
	spikeLast        = gauge("latency_spike_last", "", "Unix time of the last latency spike of each event")
	spikeDuration    = gauge("latency_spike_duration_seconds", "seconds", "Length of the last latency spike of each event")

	fork              = gauge("latest_fork_seconds", "seconds", "Time that the last fork took")
	sentinelMaster    = gauge("sentinel_master_status", "", "1 when the sentinel finds the primary well")
	sentinelSlaves    = gauge("sentinel_master_slaves", "", "Replicas of each primary")
	sentinelSentinels = gauge("sentinel_master_sentinels", "", "Sentinels that watch each primary, this one too")
	sentinelMasters   = gauge("sentinel_masters", "", "Primaries that the sentinel watches")
)

var fields = []field{
	{"uptime_in_seconds", gauge("uptime_in_seconds", "seconds", "Time since the server started")},
	{"process_id", gauge("process_id", "", "Process id of the server, in its container")},
	{"connected_clients", connectedClients},
	{"blocked_clients", blockedClients},
	{"tracking_clients", gauge("tracking_clients", "", "Clients that are told of changes of keys")},
	{"clients_in_timeout_table", gauge("clients_in_timeout_table", "", "Clients whose wait has an end")},
	{"client_longest_output_list", gauge("client_longest_output_list", "", "Longest list of answers that wait for a client")},
	{"client_biggest_input_buf", gauge("client_biggest_input_buf", "bytes", "Largest input buffer of a client")},
	{"client_recent_max_output_buffer", gauge("client_recent_max_output_buffer_bytes", "bytes", "Largest output buffer of a client of late")},
	{"client_recent_max_input_buffer", gauge("client_recent_max_input_buffer_bytes", "bytes", "Largest input buffer of a client of late")},
	{"maxclients", maxClients},

	{"used_memory", memoryUsed},
	{"used_memory_rss", memoryRSS},
	{"used_memory_peak", gauge("memory_used_peak_bytes", "bytes", "Most memory that the server has had allocated")},
	{"used_memory_lua", gauge("memory_used_lua_bytes", "bytes", "Memory of the Lua engine")},
	{"used_memory_vm_eval", gauge("memory_used_vm_eval_bytes", "bytes", "Memory of the engine of scripts")},
	{"used_memory_scripts_eval", gauge("memory_used_scripts_eval_bytes", "bytes", "Memory beside that of the engine that scripts use")},
	{"used_memory_vm_functions", gauge("memory_used_vm_functions", "bytes", "Memory of the engine of functions")},
	{"used_memory_functions", gauge("memory_used_functions", "bytes", "Memory beside that of the engine that functions use")},
	{"used_memory_vm_total", gauge("memory_used_vm_total", "bytes", "Memory of the engines of scripts and functions")},
	{"used_memory_scripts", gauge("memory_used_scripts_bytes", "bytes", "Memory of cached scripts")},
	{"used_memory_overhead", gauge("memory_used_overhead_bytes", "bytes", "Memory that is not data")},
	{"used_memory_startup", gauge("memory_used_startup_bytes", "bytes", "Memory that the server had allocated at its start")},
	{"used_memory_dataset", gauge("memory_used_dataset_bytes", "bytes", "Memory that is data")},
	{"number_of_cached_scripts", gauge("number_of_cached_scripts", "", "Scripts that are kept")},
	{"number_of_functions", gauge("number_of_functions", "", "Functions that are loaded")},
	{"number_of_libraries", gauge("number_of_libraries", "", "Libraries of functions that are loaded")},
	{"maxmemory", memoryMax},
	{"mem_fragmentation_ratio", gauge("mem_fragmentation_ratio", "", "Memory as the system sees it by memory allocated")},
	{"mem_fragmentation_bytes", gauge("mem_fragmentation_bytes", "bytes", "Memory as the system sees it less memory allocated")},
	{"mem_clients_slaves", gauge("mem_clients_slaves", "bytes", "Memory for replicas")},
	{"mem_clients_normal", gauge("mem_clients_normal", "bytes", "Memory for clients")},
	{"mem_cluster_links", gauge("mem_cluster_links_bytes", "bytes", "Memory for links of the cluster")},
	{"mem_aof_buffer", gauge("mem_aof_buffer_bytes", "bytes", "Memory for what is to be appended to the file")},
	{"mem_replication_backlog", gauge("mem_replication_backlog_bytes", "bytes", "Memory of the replication backlog")},
	{"mem_total_replication_buffers", gauge("mem_total_replication_buffers_bytes", "bytes", "Memory of all buffers of replication")},
	{"mem_not_counted_for_evict", gauge("mem_not_counted_for_eviction_bytes", "bytes", "Memory that the limit does not count")},
	{"allocator_active", gauge("allocator_active_bytes", "bytes", "Bytes in the allocator's active pages")},
	{"allocator_allocated", gauge("allocator_allocated_bytes", "bytes", "Bytes that the allocator has given out")},
	{"allocator_resident", gauge("allocator_resident_bytes", "bytes", "Bytes of the allocator that are resident")},
	{"allocator_frag_ratio", gauge("allocator_frag_ratio", "", "Active by allocated bytes")},
	{"allocator_frag_bytes", gauge("allocator_frag_bytes", "bytes", "Active less allocated bytes")},
	{"allocator_rss_ratio", gauge("allocator_rss_ratio", "", "Resident by active bytes")},
	{"allocator_rss_bytes", gauge("allocator_rss_bytes", "bytes", "Resident less active bytes")},
	{"lazyfree_pending_objects", gauge("lazyfree_pending_objects", "", "Objects that wait to be freed")},
	{"lazyfreed_objects", counter("lazyfreed_objects", "", "Objects freed in the background")},
	{"active_defrag_running", gauge("active_defrag_running", "", "Effort in percent of a CPU while memory is made contiguous")},
	{"active_defrag_hits", counter("defrag_hits", "", "Values moved to make memory contiguous")},
	{"active_defrag_misses", counter("defrag_misses", "", "Moves of values that were given up")},
	{"active_defrag_key_hits", counter("defrag_key_hits", "", "Keys moved to make memory contiguous")},
	{"active_defrag_key_misses", counter("defrag_key_misses", "", "Keys looked at and not moved")},
	{"expired_stale_perc", gauge("expired_stale_percentage", "", "Part of keys that are likely expired and still there, in percent")},
	{"expired_time_cap_reached_count", counter("expired_time_cap_reached_total", "", "Rounds of expiry that ran out of time")},
	{"expire_cycle_cpu_milliseconds", counter("expire_cycle_cpu_time_ms_total", "", "Time spent in expiry in milliseconds")},
	{"current_eviction_exceeded_time", gauge("current_eviction_exceeded_time_ms", "", "Time since memory is over its limit in milliseconds")},
	{"total_eviction_exceeded_time", counter("eviction_exceeded_time_ms_total", "", "Time for which memory was over its limit in milliseconds")},
	{"evicted_clients", counter("evicted_clients_total", "", "Clients closed for want of memory")},
	{"migrate_cached_sockets", gauge("migrate_cached_sockets_total", "", "Connections kept for MIGRATE")},

	{"loading", gauge("loading_dump_file", "", "1 while the data is read from disk")},
	{"rdb_changes_since_last_save", gauge("rdb_changes_since_last_save", "", "Changes since the last dump")},
	{"rdb_bgsave_in_progress", gauge("rdb_bgsave_in_progress", "", "1 while a dump is written")},
	{"rdb_last_save_time", gauge("rdb_last_save_timestamp_seconds", "seconds", "Unix time of the last dump")},
	{"rdb_last_bgsave_status", gauge("rdb_last_bgsave_status", "", "1 when the last dump was good")},
	{"rdb_last_bgsave_time_sec", gauge("rdb_last_bgsave_duration_sec", "seconds", "Time that the last dump took, -1 for none")},
	{"rdb_current_bgsave_time_sec", gauge("rdb_current_bgsave_duration_sec", "seconds", "Time that the dump has taken so far, -1 for none")},
	{"rdb_last_cow_size", gauge("rdb_last_cow_size_bytes", "bytes", "Memory copied during the last dump")},
	{"rdb_last_load_keys_expired", gauge("rdb_last_load_expired_keys", "", "Keys left out when the dump was read")},
	{"rdb_last_load_keys_loaded", gauge("rdb_last_load_loaded_keys", "", "Keys read from the dump")},
	{"rdb_saves", counter("rdb_saves_total", "", "Dumps since the start")},
	{"aof_enabled", gauge("aof_enabled", "", "1 when changes are appended to a file")},
	{"aof_rewrite_in_progress", gauge("aof_rewrite_in_progress", "", "1 while the file is rewritten")},
	{"aof_rewrite_scheduled", gauge("aof_rewrite_scheduled", "", "1 when the file is to be rewritten")},
	{"aof_last_rewrite_time_sec", gauge("aof_last_rewrite_duration_sec", "seconds", "Time that the last rewrite took, -1 for none")},
	{"aof_current_rewrite_time_sec", gauge("aof_current_rewrite_duration_sec", "seconds", "Time that the rewrite has taken so far, -1 for none")},
	{"aof_last_cow_size", gauge("aof_last_cow_size_bytes", "bytes", "Memory copied during the last rewrite")},
	{"aof_current_size", gauge("aof_current_size_bytes", "bytes", "Size of the file")},
	{"aof_base_size", gauge("aof_base_size_bytes", "bytes", "Size of the file after its last rewrite")},
	{"aof_pending_rewrite", gauge("aof_pending_rewrite", "", "1 when a rewrite waits for the dump to end")},
	{"aof_buffer_length", gauge("aof_buffer_length", "bytes", "Bytes to be appended")},
	{"aof_rewrite_buffer_length", gauge("aof_rewrite_buffer_length", "bytes", "Bytes that came during the rewrite")},
	{"aof_pending_bio_fsync", gauge("aof_pending_bio_fsync", "", "Syncs of the file that wait")},
	{"aof_delayed_fsync", counter("aof_delayed_fsync", "", "Syncs of the file that came late")},
	{"aof_last_bgrewrite_status", gauge("aof_last_bgrewrite_status", "", "1 when the last rewrite was good")},
	{"aof_last_write_status", gauge("aof_last_write_status", "", "1 when the last append was good")},
	{"module_fork_in_progress", gauge("module_fork_in_progress", "", "1 while a module has forked")},
	{"module_fork_last_cow_size", gauge("module_fork_last_cow_size", "bytes", "Memory copied during a module's last fork")},

	{"total_connections_received", counter("connections_received_total", "", "Connections accepted")},
	{"rejected_connections", counter("rejected_connections_total", "", "Connections refused because there were too many")},
	{"total_commands_processed", counter("commands_processed_total", "", "Commands carried out")},
	{"total_net_input_bytes", netIn},
	{"total_net_output_bytes", netOut},
	{"total_net_repl_input_bytes", counter("net_repl_input_bytes_total", "bytes", "Bytes received for replication")},
	{"total_net_repl_output_bytes", counter("net_repl_output_bytes_total", "bytes", "Bytes sent for replication")},
	{"expired_keys", expired},
	{"evicted_keys", evicted},
	{"keyspace_hits", hits},
	{"keyspace_misses", misses},
	{"pubsub_channels", gauge("pubsub_channels", "", "Channels with subscribers")},
	{"pubsub_patterns", gauge("pubsub_patterns", "", "Patterns with subscribers")},
	{"pubsubshard_channels", gauge("pubsubshard_channels", "", "Shard channels with subscribers")},
	{"tracking_total_keys", gauge("tracking_total_keys", "", "Keys whose changes clients are told of")},
	{"tracking_total_items", gauge("tracking_total_items", "", "Pairs of such a key and a client")},
	{"tracking_total_prefixes", gauge("tracking_total_prefixes", "", "Prefixes of keys whose changes clients are told of")},
	{"io_threads_active", gauge("io_threads_active", "", "1 when threads read and write")},
	{"cluster_connections", gauge("cluster_connections", "", "Connections of the cluster's nodes, estimated")},
	{"total_error_replies", counter("total_error_replies", "", "Errors that were answered")},
	{"unexpected_error_replies", counter("unexpected_error_replies", "", "Errors of the server's own commands that were answered")},
	{"dump_payload_sanitizations", counter("dump_payload_sanitizations", "", "Values that were checked on arrival")},
	{"total_reads_processed", counter("total_reads_processed", "", "Reads from connections")},
	{"total_writes_processed", counter("total_writes_processed", "", "Writes to connections")},
	{"io_threaded_reads_processed", counter("io_threaded_reads_processed", "", "Reads from connections by threads")},
	{"io_threaded_writes_processed", counter("io_threaded_writes_processed", "", "Writes to connections by threads")},
	{"acl_access_denied_auth", counter("acl_access_denied_auth_total", "", "Logins refused")},
	{"acl_access_denied_cmd", counter("acl_access_denied_cmd_total", "", "Commands refused to their account")},
	{"acl_access_denied_key", counter("acl_access_denied_key_total", "", "Keys refused to their account")},
	{"acl_access_denied_channel", counter("acl_access_denied_channel_total", "", "Channels refused to their account")},

	{"used_cpu_sys", counter("cpu_sys_seconds_total", "seconds", "CPU time of the server in the kernel")},
	{"used_cpu_user", counter("cpu_user_seconds_total", "seconds", "CPU time of the server")},
	{"used_cpu_sys_children", counter("cpu_sys_children_seconds_total", "seconds", "CPU time of the server's children in the kernel")},
	{"used_cpu_user_children", counter("cpu_user_children_seconds_total", "seconds", "CPU time of the server's children")},
	{"used_cpu_sys_main_thread", counter("cpu_sys_main_thread_seconds_total", "seconds", "CPU time of the main thread in the kernel")},
	{"used_cpu_user_main_thread", counter("cpu_user_main_thread_seconds_total", "seconds", "CPU time of the main thread")},

	{"connected_slaves", gauge("connected_slaves", "", "Replicas that are connected")},
	{"repl_backlog_size", gauge("replication_backlog_bytes", "bytes", "Size of the replication backlog")},
	{"repl_backlog_active", gauge("repl_backlog_is_active", "", "1 when there is a replication backlog")},
	{"repl_backlog_first_byte_offset", gauge("repl_backlog_first_byte_offset", "bytes", "Replication offset of the backlog's first byte")},
	{"repl_backlog_histlen", gauge("repl_backlog_history_bytes", "bytes", "Bytes in the replication backlog")},
	{"master_repl_offset", gauge("master_repl_offset", "bytes", "Replication offset")},
	{"second_repl_offset", gauge("second_repl_offset", "bytes", "Replication offset up to which the earlier id holds")},
	{"slave_expires_tracked_keys", gauge("slave_expires_tracked_keys", "", "Keys whose expiry a replica watches itself")},
	{"slave_priority", gauge("slave_priority", "", "Priority of this replica when a primary is chosen")},
	{"sync_full", counter("replica_resyncs_full", "", "Replicas that were sent everything")},
	{"sync_partial_ok", counter("replica_partial_resync_accepted", "", "Replicas that were sent what they lacked")},
	{"sync_partial_err", counter("replica_partial_resync_denied", "", "Replicas that could not be sent what they lacked")},
	{"cluster_enabled", gauge("cluster_enabled", "", "1 for a node of a cluster")},
	{"loading_total_bytes", gauge("loading_total_bytes", "bytes", "Size of the file that is read at the start")},
	{"loading_loaded_bytes", gauge("loading_loaded_bytes", "bytes", "Bytes of that file that were read")},
	{"loading_eta_seconds", gauge("loading_eta_seconds", "seconds", "Time until that file is read")},

	{"server_threads", gauge("server_threads_total", "", "Threads of KeyDB")},
	{"long_lock_waits", counter("long_lock_waits_total", "", "Long waits of KeyDB's threads for each other")},

	{"sentinel_masters", sentinelMasters},
	{"sentinel_tilt", gauge("sentinel_tilt", "", "1 while the sentinel does not trust its clock")},
	{"sentinel_running_scripts", gauge("sentinel_running_scripts", "", "Scripts of the sentinel that run")},
	{"sentinel_scripts_queue_length", gauge("sentinel_scripts_queue_length", "", "Scripts of the sentinel that wait")},
	{"sentinel_simulate_failure_flags", gauge("sentinel_simulate_failure_flags", "", "Failures that the sentinel was told to simulate")},
}

func metrics() []*tallyman.Desc {
	list := []*tallyman.Desc{up, startTime, info, commands, commandSeconds, commandsFailed, commandsRejected, errorReplies, percentiles,
		dbKeys, dbExpiring, dbTTL, slaveOffset, slaveLag, masterLink, masterIO, masterSync, replOffset, slaveInfo, slowlog, spikeLast, spikeDuration, fork,
		sentinelMaster, sentinelSlaves, sentinelSentinels}
	for _, f := range fields {
		list = append(list, f.desc)
	}
	return list
}

func charts() []tallyman.ServiceChart {
	return []tallyman.ServiceChart{
		{Title: "Memory", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "used", Metric: memoryUsed}, {Name: "resident", Metric: memoryRSS}, {Name: "limit", Metric: memoryMax}}},
		{Title: "Commands", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "calls", Metric: commands, Rate: true, By: "cmd"}}},
		{Title: "Time in commands", Unit: "ratio", Lines: []tallyman.ServiceLine{{Name: "time", Metric: commandSeconds, Rate: true, By: "cmd"}}},
		{Title: "Lookups of keys", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "hits", Metric: hits, Rate: true}, {Name: "misses", Metric: misses, Rate: true}}},
		{Title: "Clients", Lines: []tallyman.ServiceLine{{Name: "connected", Metric: connectedClients}, {Name: "blocked", Metric: blockedClients}}},
		{Title: "Keys gone", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "expired", Metric: expired, Rate: true}, {Name: "evicted", Metric: evicted, Rate: true}}},
		{Title: "Keys", Lines: []tallyman.ServiceLine{{Name: "keys", Metric: dbKeys, By: "db"}}},
		{Title: "Network", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "in", Metric: netIn, Rate: true}, {Name: "out", Metric: netOut, Rate: true}}},
	}
}

// pairs reads "a=1,b=2".
func pairs(text string) map[string]string {
	m := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if k, v, ok := strings.Cut(part, "="); ok {
			m[k] = v
		}
	}
	return m
}
