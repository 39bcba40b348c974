// SPDX-License-Identifier: Apache-2.0

package postgresql

import (
	"slices"
	"strings"

	"tallyman"
)

func gauge(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "pg_" + name, Type: tallyman.Gauge, Unit: unit, Help: help}
}

func counter(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "pg_" + name, Type: tallyman.Counter, Unit: unit, Help: help}
}

// column is a column of a view and its metric; scale is what it is multiplied with, 0
// for 1.
type column struct {
	name  string
	desc  *tallyman.Desc
	scale float64
}

// The metrics that charts show, and those of queries of their own.
var (
	up        = gauge("up", "", "1 when the last scrape was good")
	static    = gauge("static", "", "1, with the version in labels")
	started   = gauge("postmaster_start_time_seconds", "seconds", "Unix time at which the server started")
	size      = gauge("database_size_bytes", "bytes", "Size of each database on disk")
	backends  = gauge("stat_database_numbackends", "", "Sessions in each database")
	commits   = counter("stat_database_xact_commit", "", "Transactions committed in each database")
	rollbacks = counter("stat_database_xact_rollback", "", "Transactions rolled back in each database")
	blksRead  = counter("stat_database_blks_read", "", "Blocks read from the system in each database")
	blksHit   = counter("stat_database_blks_hit", "", "Blocks found in the server's own cache in each database")
	returned  = counter("stat_database_tup_returned", "", "Rows read in each database")
	fetched   = counter("stat_database_tup_fetched", "", "Rows fetched by index in each database")
	inserted  = counter("stat_database_tup_inserted", "", "Rows inserted in each database")
	updated   = counter("stat_database_tup_updated", "", "Rows updated in each database")
	deleted   = counter("stat_database_tup_deleted", "", "Rows deleted in each database")
	deadlocks = counter("stat_database_deadlocks", "", "Deadlocks in each database")

	activity = gauge("stat_activity_count", "", "Sessions by database, state and user")
	longest  = gauge("stat_activity_max_tx_duration", "seconds", "Age of the oldest transaction, by database, state and user")
	locks    = gauge("locks_count", "", "Locks that are held or waited for, by database and mode")

	lag        = gauge("replication_lag_seconds", "seconds", "Time since the last transaction that was replayed, 0 when nothing is missing and on a primary")
	replica    = gauge("replication_is_replica", "", "1 for a standby")
	lsnDiff    = gauge("stat_replication_pg_wal_lsn_diff", "bytes", "Bytes of WAL that each standby has not replayed")
	slotActive = gauge("replication_slots_active", "", "1 when the slot is used")
	slotIs     = gauge("replication_slots_slot_is_active", "", "1 when the slot is used")
	slotDiff   = gauge("replication_slots_pg_wal_lsn_diff", "bytes", "Bytes of WAL that the slot keeps")
	slotSafe   = gauge("replication_slots_safe_wal_size_bytes", "bytes", "Bytes of WAL that may come before the slot is lost")
	walFiles   = gauge("wal_segments", "", "Files of WAL")
	walSize    = gauge("wal_size_bytes", "bytes", "Size of the files of WAL")

	tableSize = gauge("stat_user_tables_table_size_bytes", "bytes", "Size of each table on disk, without indexes")
	calls     = counter("stat_statements_calls_total", "", "Calls of each statement")
	seconds   = counter("stat_statements_seconds_total", "seconds", "Time spent in each statement")
	rowsTotal = counter("stat_statements_rows_total", "", "Rows that each statement has given or changed")
)

// ofDatabase are columns of pg_stat_database.
var ofDatabase = []column{
	{"numbackends", backends, 0}, {"xact_commit", commits, 0}, {"xact_rollback", rollbacks, 0}, {"blks_read", blksRead, 0}, {"blks_hit", blksHit, 0},
	{"tup_returned", returned, 0}, {"tup_fetched", fetched, 0}, {"tup_inserted", inserted, 0}, {"tup_updated", updated, 0}, {"tup_deleted", deleted, 0},
	{"conflicts", counter("stat_database_conflicts", "", "Queries ended because of recovery in each database"), 0},
	{"temp_files", counter("stat_database_temp_files", "", "Temporary files in each database"), 0},
	{"temp_bytes", counter("stat_database_temp_bytes", "bytes", "Bytes written to temporary files in each database"), 0},
	{"deadlocks", deadlocks, 0},
	{"blk_read_time", counter("stat_database_blk_read_time", "", "Time spent in reading blocks in milliseconds, with track_io_timing"), 0},
	{"blk_write_time", counter("stat_database_blk_write_time", "", "Time spent in writing blocks in milliseconds, with track_io_timing"), 0},
	{"active_time", counter("stat_database_active_time_seconds_total", "seconds", "Time spent in statements in each database"), 0.001},
	{"session_time", counter("stat_database_session_time", "", "Time of sessions in each database in milliseconds"), 0},
	{"idle_in_transaction_time", counter("stat_database_idle_in_transaction_time", "", "Time that sessions were idle in a transaction in each database in milliseconds"), 0},
	{"sessions", counter("stat_database_sessions", "", "Sessions that each database has had"), 0},
	{"sessions_abandoned", counter("stat_database_sessions_abandoned", "", "Sessions whose client was lost"), 0},
	{"sessions_fatal", counter("stat_database_sessions_fatal", "", "Sessions ended by an error"), 0},
	{"sessions_killed", counter("stat_database_sessions_killed", "", "Sessions ended by somebody"), 0},
	{"checksum_failures", counter("stat_database_checksum_failures", "", "Pages with a wrong checksum, when there are checksums"), 0},
	{"reset", gauge("stat_database_stats_reset", "", "Unix time at which these numbers began"), 0},
}

// ofWriter are columns of pg_stat_bgwriter, ofCheckpointer of pg_stat_checkpointer (17 and
// later), ofArchiver of pg_stat_archiver, ofWAL of pg_stat_wal (14 and later).
var (
	checkpointsTimed = counter("stat_bgwriter_checkpoints_timed_total", "", "Checkpoints because it was time")
	checkpointsAsked = counter("stat_bgwriter_checkpoints_req_total", "", "Checkpoints because there was much WAL, or somebody asked")
	cleaned          = counter("stat_bgwriter_buffers_clean_total", "", "Buffers written by the background writer")
	numTimed         = counter("stat_checkpointer_num_timed_total", "", "Checkpoints because it was time")
	numAsked         = counter("stat_checkpointer_num_requested_total", "", "Checkpoints because there was much WAL, or somebody asked")
	walBytes         = counter("stat_wal_bytes_total", "bytes", "Bytes of WAL")

	ofWriter = []column{
		{"checkpoints_timed", checkpointsTimed, 0},
		{"checkpoints_req", checkpointsAsked, 0},
		{"checkpoint_write_time", counter("stat_bgwriter_checkpoint_write_time_total", "", "Time spent in writing at checkpoints in milliseconds"), 0},
		{"checkpoint_sync_time", counter("stat_bgwriter_checkpoint_sync_time_total", "", "Time spent in syncing at checkpoints in milliseconds"), 0},
		{"buffers_checkpoint", counter("stat_bgwriter_buffers_checkpoint_total", "", "Buffers written at checkpoints"), 0},
		{"buffers_clean", cleaned, 0},
		{"maxwritten_clean", counter("stat_bgwriter_maxwritten_clean_total", "", "Times that the background writer stopped because it had written too much"), 0},
		{"buffers_backend", counter("stat_bgwriter_buffers_backend_total", "", "Buffers that sessions had to write themselves"), 0},
		{"buffers_backend_fsync", counter("stat_bgwriter_buffers_backend_fsync_total", "", "Times that sessions had to sync themselves"), 0},
		{"buffers_alloc", counter("stat_bgwriter_buffers_alloc_total", "", "Buffers allocated"), 0},
		{"reset", gauge("stat_bgwriter_stats_reset_total", "", "Unix time at which these numbers began"), 0},
	}
	ofCheckpointer = []column{
		{"num_timed", numTimed, 0},
		{"num_requested", numAsked, 0},
		{"restartpoints_timed", counter("stat_checkpointer_restartpoints_timed_total", "", "Restart points because it was time"), 0},
		{"restartpoints_req", counter("stat_checkpointer_restartpoints_req_total", "", "Restart points that were asked for"), 0},
		{"restartpoints_done", counter("stat_checkpointer_restartpoints_done_total", "", "Restart points that were done"), 0},
		{"write_time", counter("stat_checkpointer_write_time_total", "", "Time spent in writing in milliseconds"), 0},
		{"sync_time", counter("stat_checkpointer_sync_time_total", "", "Time spent in syncing in milliseconds"), 0},
		{"buffers_written", counter("stat_checkpointer_buffers_written_total", "", "Buffers written"), 0},
		{"reset", gauge("stat_checkpointer_stats_reset_total", "", "Unix time at which these numbers began"), 0},
	}
	ofArchiver = []column{
		{"archived_count", counter("stat_archiver_archived_count", "", "Files of WAL archived"), 0},
		{"failed_count", counter("stat_archiver_failed_count", "", "Failures to archive a file of WAL"), 0},
		{"age", gauge("stat_archiver_last_archive_age", "seconds", "Time since a file of WAL was archived"), 0},
	}
	ofWAL = []column{
		{"wal_records", counter("stat_wal_records_total", "", "Records of WAL"), 0},
		{"wal_fpi", counter("stat_wal_full_page_images_total", "", "Pages written whole to WAL"), 0},
		{"wal_bytes", walBytes, 0},
		{"wal_buffers_full", counter("stat_wal_buffers_full_total", "", "Times that WAL was written because its buffers were full"), 0},
		{"wal_write", counter("stat_wal_writes_total", "", "Writes of WAL, to 17"), 0},
		{"wal_sync", counter("stat_wal_syncs_total", "", "Syncs of WAL, to 17"), 0},
		{"wal_write_time", counter("stat_wal_write_seconds_total", "seconds", "Time spent in writing WAL, to 17, with track_wal_io_timing"), 0.001},
		{"wal_sync_time", counter("stat_wal_sync_seconds_total", "seconds", "Time spent in syncing WAL, to 17, with track_wal_io_timing"), 0.001},
	}
)

// ofTable are columns of pg_stat_user_tables and pg_statio_user_tables.
var (
	live    = gauge("stat_user_tables_n_live_tup", "", "Rows that live, estimated")
	dead    = gauge("stat_user_tables_n_dead_tup", "", "Rows that are dead, estimated")
	seqScan = counter("stat_user_tables_seq_scan", "", "Reads of the whole table")

	ofTable = []column{
		{"seq_scan", seqScan, 0},
		{"seq_tup_read", counter("stat_user_tables_seq_tup_read", "", "Rows read by them"), 0},
		{"idx_scan", counter("stat_user_tables_idx_scan", "", "Reads by an index"), 0},
		{"idx_tup_fetch", counter("stat_user_tables_idx_tup_fetch", "", "Rows read by them"), 0},
		{"n_tup_ins", counter("stat_user_tables_n_tup_ins", "", "Rows inserted"), 0},
		{"n_tup_upd", counter("stat_user_tables_n_tup_upd", "", "Rows updated"), 0},
		{"n_tup_del", counter("stat_user_tables_n_tup_del", "", "Rows deleted"), 0},
		{"n_tup_hot_upd", counter("stat_user_tables_n_tup_hot_upd", "", "Rows updated without a change of an index"), 0},
		{"n_live_tup", live, 0},
		{"n_dead_tup", dead, 0},
		{"n_mod_since_analyze", gauge("stat_user_tables_n_mod_since_analyze", "", "Rows changed since the table was analyzed"), 0},
		{"vacuum_count", counter("stat_user_tables_vacuum_count", "", "Vacuums by hand"), 0},
		{"autovacuum_count", counter("stat_user_tables_autovacuum_count", "", "Vacuums by the server itself"), 0},
		{"analyze_count", counter("stat_user_tables_analyze_count", "", "Analyses by hand"), 0},
		{"autoanalyze_count", counter("stat_user_tables_autoanalyze_count", "", "Analyses by the server itself"), 0},
		{"table_size", tableSize, 0},
		{"heap_blks_read", counter("statio_user_tables_heap_blocks_read", "", "Blocks of the table read from the system"), 0},
		{"heap_blks_hit", counter("statio_user_tables_heap_blocks_hit", "", "Blocks of the table found in the server's own cache"), 0},
		{"idx_blks_read", counter("statio_user_tables_idx_blocks_read", "", "Blocks of its indexes read from the system"), 0},
		{"idx_blks_hit", counter("statio_user_tables_idx_blocks_hit", "", "Blocks of its indexes found in the server's own cache"), 0},
	}
)

// ofSettings are settings that matter for limits; their units are those of the server.
var ofSettings = map[string]*tallyman.Desc{
	"max_connections":                     gauge("settings_max_connections", "", "Sessions that are allowed"),
	"superuser_reserved_connections":      gauge("settings_superuser_reserved_connections", "", "Sessions kept for superusers"),
	"shared_buffers":                      gauge("settings_shared_buffers_bytes", "bytes", "Size of the server's own cache"),
	"work_mem":                            gauge("settings_work_mem_bytes", "bytes", "Memory for a sort or a hash"),
	"maintenance_work_mem":                gauge("settings_maintenance_work_mem_bytes", "bytes", "Memory for maintenance"),
	"effective_cache_size":                gauge("settings_effective_cache_size_bytes", "bytes", "Cache that the planner assumes"),
	"temp_buffers":                        gauge("settings_temp_buffers_bytes", "bytes", "Memory for temporary tables of a session"),
	"wal_buffers":                         gauge("settings_wal_buffers_bytes", "bytes", "Memory for WAL"),
	"max_wal_size":                        gauge("settings_max_wal_size_bytes", "bytes", "Size of WAL that brings a checkpoint"),
	"min_wal_size":                        gauge("settings_min_wal_size_bytes", "bytes", "Size of WAL that is kept"),
	"checkpoint_timeout":                  gauge("settings_checkpoint_timeout_seconds", "seconds", "Time between checkpoints"),
	"checkpoint_completion_target":        gauge("settings_checkpoint_completion_target", "", "Part of that time in which a checkpoint is written"),
	"autovacuum":                          gauge("settings_autovacuum", "", "1 when the server vacuums itself"),
	"autovacuum_max_workers":              gauge("settings_autovacuum_max_workers", "", "Vacuums that the server runs at once"),
	"autovacuum_freeze_max_age":           gauge("settings_autovacuum_freeze_max_age", "", "Age of transactions that brings a vacuum"),
	"max_worker_processes":                gauge("settings_max_worker_processes", "", "Background processes that are allowed"),
	"max_parallel_workers":                gauge("settings_max_parallel_workers", "", "Processes for parallel queries that are allowed"),
	"max_wal_senders":                     gauge("settings_max_wal_senders", "", "Standbys that are allowed"),
	"max_replication_slots":               gauge("settings_max_replication_slots", "", "Replication slots that are allowed"),
	"max_locks_per_transaction":           gauge("settings_max_locks_per_transaction", "", "Locks for each session, on average"),
	"max_prepared_transactions":           gauge("settings_max_prepared_transactions", "", "Prepared transactions that are allowed"),
	"idle_in_transaction_session_timeout": gauge("settings_idle_in_transaction_session_timeout_seconds", "seconds", "Time after which an idle transaction is ended, 0 for never"),
	"deadlock_timeout":                    gauge("settings_deadlock_timeout_seconds", "seconds", "Time to wait before looking for a deadlock"),
	"fsync":                               gauge("settings_fsync", "", "1 when writes are synced"),
	"full_page_writes":                    gauge("settings_full_page_writes", "", "1 when pages are written whole after a checkpoint"),
	"track_io_timing":                     gauge("settings_track_io_timing", "", "1 when reads and writes are timed"),
	"data_checksums":                      gauge("settings_data_checksums", "", "1 when pages have checksums"),
}

func metrics() []*tallyman.Desc {
	list := []*tallyman.Desc{up, static, started, size, activity, longest, locks, lag, replica, lsnDiff, slotActive, slotIs, slotDiff, slotSafe, walFiles, walSize, calls, seconds, rowsTotal}
	for _, columns := range [][]column{ofDatabase, ofWriter, ofCheckpointer, ofArchiver, ofWAL, ofTable} {
		for _, c := range columns {
			list = append(list, c.desc)
		}
	}
	for _, d := range ofSettings {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *tallyman.Desc) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func charts() []tallyman.ServiceChart {
	return []tallyman.ServiceChart{
		{Title: "Transactions", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "committed", Metric: commits, Rate: true, By: "datname"}, {Name: "rolled back", Metric: rollbacks, Rate: true, By: "datname"}}},
		{Title: "Sessions", Lines: []tallyman.ServiceLine{{Name: "sessions", Metric: activity, By: "state"}, {Name: "allowed", Metric: ofSettings["max_connections"]}}},
		{Title: "Oldest transaction", Unit: "seconds", Lines: []tallyman.ServiceLine{{Name: "age", Metric: longest, By: "state"}}},
		{Title: "Blocks", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "in its cache", Metric: blksHit, Rate: true}, {Name: "from the system", Metric: blksRead, Rate: true}}},
		{Title: "Rows changed", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "inserted", Metric: inserted, Rate: true}, {Name: "updated", Metric: updated, Rate: true}, {Name: "deleted", Metric: deleted, Rate: true}}},
		{Title: "Locks", Lines: []tallyman.ServiceLine{{Name: "locks", Metric: locks, By: "mode"}}},
		{Title: "Size", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "database", Metric: size, By: "datname"}, {Name: "WAL", Metric: walSize}}},
		{Title: "Behind", Unit: "seconds", Lines: []tallyman.ServiceLine{{Name: "replication lag", Metric: lag}}},
	}
}
