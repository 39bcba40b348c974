// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"slices"
	"strings"

	"tallyman"
)

// known are the metrics by name.
var known = func() map[string]*tallyman.Desc {
	m := map[string]*tallyman.Desc{}
	for _, one := range []struct {
		name, unit, help string
		typ              tallyman.MetricType
	}{
		{"up", "", "1 when the last scrape was good", tallyman.Gauge},
		{"build_info", "", "1, with versions in labels", tallyman.Gauge},
		{"identity_info", "", "1, with node and cluster in labels", tallyman.Gauge},
		{"connections", "", "Connections", tallyman.Gauge},
		{"channels", "", "Channels", tallyman.Gauge},
		{"consumers", "", "Consumers", tallyman.Gauge},
		{"queues", "", "Queues", tallyman.Gauge},
		{"exchanges", "", "Exchanges", tallyman.Gauge},
		{"connections_opened_total", "", "Connections opened", tallyman.Counter},
		{"connections_closed_total", "", "Connections closed", tallyman.Counter},
		{"channels_opened_total", "", "Channels opened", tallyman.Counter},
		{"channels_closed_total", "", "Channels closed", tallyman.Counter},
		{"queues_declared_total", "", "Queues asked for", tallyman.Counter},
		{"queues_created_total", "", "Queues made", tallyman.Counter},
		{"queues_deleted_total", "", "Queues removed", tallyman.Counter},
		{"auth_attempts_total", "", "Logins", tallyman.Counter},
		{"auth_attempts_failed_total", "", "Logins refused", tallyman.Counter},
		{"queue_messages", "", "Messages in all queues", tallyman.Gauge},
		{"queue_messages_ready", "", "Messages in all queues that wait for a consumer", tallyman.Gauge},
		{"queue_messages_unacked", "", "Messages in all queues that were delivered and not acknowledged", tallyman.Gauge},
		{"queue_messages_bytes", "bytes", "Size of the messages in all queues", tallyman.Gauge},
		{"queue_messages_persistent", "", "Messages in all queues that are kept on disk", tallyman.Gauge},
		{"queue_consumers", "", "Consumers of all queues", tallyman.Gauge},
		{"queue_process_memory_bytes", "bytes", "Memory of the processes of all queues", tallyman.Gauge},
		{"detailed_queue_messages", "", "Messages in each queue", tallyman.Gauge},
		{"detailed_queue_messages_ready", "", "Messages in each queue that wait for a consumer", tallyman.Gauge},
		{"detailed_queue_messages_unacked", "", "Messages in each queue that were delivered and not acknowledged", tallyman.Gauge},
		{"detailed_queue_messages_bytes", "bytes", "Size of the messages in each queue", tallyman.Gauge},
		{"detailed_queue_consumers", "", "Consumers of each queue", tallyman.Gauge},
		{"detailed_queue_process_memory_bytes", "bytes", "Memory of the process of each queue", tallyman.Gauge},
		{"global_messages_received_total", "", "Messages received", tallyman.Counter},
		{"global_messages_received_confirm_total", "", "Messages received that want a confirmation", tallyman.Counter},
		{"global_messages_confirmed_total", "", "Messages confirmed", tallyman.Counter},
		{"global_messages_routed_total", "", "Messages put into queues", tallyman.Counter},
		{"global_messages_unroutable_dropped_total", "", "Messages dropped for want of a queue", tallyman.Counter},
		{"global_messages_unroutable_returned_total", "", "Messages given back for want of a queue", tallyman.Counter},
		{"global_messages_delivered_total", "", "Messages delivered", tallyman.Counter},
		{"global_messages_delivered_consume_auto_ack_total", "", "Messages delivered to consumers that acknowledge by taking them", tallyman.Counter},
		{"global_messages_delivered_consume_manual_ack_total", "", "Messages delivered to consumers that acknowledge by themselves", tallyman.Counter},
		{"global_messages_delivered_get_auto_ack_total", "", "Messages fetched one by one and acknowledged by that", tallyman.Counter},
		{"global_messages_delivered_get_manual_ack_total", "", "Messages fetched one by one, to be acknowledged", tallyman.Counter},
		{"global_messages_redelivered_total", "", "Messages delivered again", tallyman.Counter},
		{"global_messages_acknowledged_total", "", "Messages acknowledged", tallyman.Counter},
		{"global_messages_get_empty_total", "", "Looks into empty queues", tallyman.Counter},
		{"global_messages_dead_lettered_confirmed_total", "", "Messages dead-lettered that reached their queue", tallyman.Counter},
		{"global_messages_dead_lettered_delivery_limit_total", "", "Messages dead-lettered because they were delivered too often", tallyman.Counter},
		{"global_messages_dead_lettered_expired_total", "", "Messages dead-lettered because their time was up", tallyman.Counter},
		{"global_messages_dead_lettered_maxlen_total", "", "Messages dead-lettered because the queue was full", tallyman.Counter},
		{"global_messages_dead_lettered_rejected_total", "", "Messages dead-lettered because they were rejected", tallyman.Counter},
		{"global_publishers", "", "Publishers", tallyman.Gauge},
		{"global_consumers", "", "Consumers, by protocol", tallyman.Gauge},
		{"process_resident_memory_bytes", "bytes", "Memory that is used", tallyman.Gauge},
		{"resident_memory_limit_bytes", "bytes", "Memory from which publishers are held up", tallyman.Gauge},
		{"disk_space_available_bytes", "bytes", "Free space on the disk", tallyman.Gauge},
		{"disk_space_available_limit_bytes", "bytes", "Free space below which publishers are held up", tallyman.Gauge},
		{"process_open_fds", "", "Descriptors that are open", tallyman.Gauge},
		{"process_max_fds", "", "Descriptors that are allowed", tallyman.Gauge},
		{"process_open_tcp_sockets", "", "Sockets that are open", tallyman.Gauge},
		{"process_max_tcp_sockets", "", "Sockets that are allowed", tallyman.Gauge},
		{"alarms_memory_used_watermark", "", "1 while memory is over its limit", tallyman.Gauge},
		{"alarms_free_disk_space_watermark", "", "1 while free space is below its limit", tallyman.Gauge},
		{"alarms_file_descriptor_limit", "", "1 while descriptors are short", tallyman.Gauge},
		{"erlang_processes_used", "", "Erlang processes", tallyman.Gauge},
		{"erlang_processes_limit", "", "Erlang processes that are allowed", tallyman.Gauge},
		{"erlang_uptime_seconds", "seconds", "Time since the node started", tallyman.Gauge},
		{"erlang_scheduler_run_queue", "", "Erlang processes that are ready", tallyman.Gauge},
		{"erlang_net_ticktime_seconds", "seconds", "Time after which a silent node of the cluster is taken for dead", tallyman.Gauge},
		{"node_processors", "", "CPUs of the node", tallyman.Gauge},
		{"io_read_bytes_total", "bytes", "Bytes read from disk", tallyman.Counter},
		{"io_write_bytes_total", "bytes", "Bytes written to disk", tallyman.Counter},
		{"io_read_ops_total", "", "Reads from disk", tallyman.Counter},
		{"io_write_ops_total", "", "Writes to disk", tallyman.Counter},
		{"io_sync_ops_total", "", "Syncs of files", tallyman.Counter},
	} {
		name := "rabbitmq_" + one.name
		m[name] = &tallyman.Desc{Name: name, Type: one.typ, Unit: one.unit, Help: one.help}
	}
	return m
}()

func named(name string) *tallyman.Desc { return known["rabbitmq_"+name] }

func metrics() (list []*tallyman.Desc) {
	for _, d := range known {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *tallyman.Desc) int { return strings.Compare(a.Name, b.Name) })
	return list
}
