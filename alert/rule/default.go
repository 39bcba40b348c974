// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"

	"tallyman/internal/nearest"
)

// The severities of alarms. Info is kept and shown, and sent to nobody.
const (
	Critical = "critical"
	Warning  = "warning"
	Info     = "info"
)

// builtin is one rule that comes with tallyman. Where its expression holds $threshold it
// has one number that a setting may change.
type builtin struct {
	group, name     string
	expr            string
	threshold       float64
	wait, keep      time.Duration
	severity        string
	summary, advice string
}

const (
	problems   = "problems"
	containers = "containers"
	host       = "host"
	engine     = "engine"
	services   = "services"
	logs       = "logs"
	own        = "tallyman"
)

// intervals of the groups.
var intervals = map[string]time.Duration{problems: 15 * time.Second, containers: time.Minute, host: time.Minute, engine: time.Minute, services: time.Minute, logs: time.Minute, own: time.Minute}

const (
	real  = `fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|erofs"`
	layer = `container_fs_usage_bytes{id=~"/docker/.+"}`
)

// defaults are the rules that come with tallyman. They are calm on a healthy host: the
// thresholds and waits are those of docs/alarms.md, with the reasons.
var defaults = []builtin{
	{problems, "ContainerCrashed", `container_problem{kind="crash",class="service"}`, 0, 0, 0, Critical, "{{$labels.workload}} crashed", "See why on its page"},
	{problems, "ContainerCrashed", `container_problem{kind="crash",class="plain"}`, 0, 0, 0, Warning, "{{$labels.workload}} crashed", "See why on its page"},
	{problems, "ContainerOOMKilled", `container_problem{kind="oom"}`, 0, 0, 0, Critical, "{{$labels.workload}} was killed for want of memory", "Raise its memory limit, or find what grows"},
	{problems, "ContainerRestartLoop", `container_problem{kind="restart_loop"}`, 0, 0, 0, Critical, "{{$labels.workload}} keeps dying", "See its last lines"},
	{problems, "ContainerNotRunning", `container_problem{kind="not_running"}`, 0, 0, 0, Critical, "{{$labels.workload}} does not run", "Start it"},
	{problems, "ContainerNotStarted", `container_problem{kind="not_started",class="service"}`, 0, 0, 0, Critical, "{{$labels.workload}} cannot be started", "Mend what the engine says"},
	{problems, "ContainerNotStarted", `container_problem{kind="not_started",class="plain"}`, 0, 0, 0, Info, "{{$labels.workload}} cannot be started", "Mend what the engine says"},
	{problems, "ContainerUnhealthy", `container_problem{kind="unhealthy"}`, 0, 0, 0, Critical, "{{$labels.workload}} is unhealthy", "See what its health check says"},
	{problems, "ContainerOOMInside", `container_problem{kind="oom_inside"}`, 0, 0, 0, Warning, "a process in {{$labels.workload}} was killed for want of memory", "Raise its memory limit, or find what grows"},
	{problems, "ContainerPaused", `container_problem{kind="paused"}`, 0, 0, 0, Warning, "{{$labels.workload}} is paused", "docker unpause"},
	{problems, "ContainerJobFailed", `container_problem{kind="job_failed"}`, 0, 0, 0, Info, "the job {{$labels.workload}} failed", "See its last lines"},
	{problems, "EngineDown", `engine_problem{kind="down"}`, 0, 0, 0, Critical, "the Docker engine {{$labels.engine}} does not answer", "See the log of docker.service"},

	{problems, "HostSilent", `max by (host, kind) (engine_problem{kind="silent"})`, 0, 0, 0, Critical, "{{$labels.host}} is silent: what runs there is not known", "See whether the host and its tallyman run; there, tallyman doctor says what it has against this hub"},

	{problems, "TallymanDiskFull", `host_problem{kind="disk_full"}`, 0, 0, 0, Critical, "there is no room for the data of tallyman on {{$labels.host}}: nothing is kept, and rules over samples and logs stand still", "Free some space, or lower retention.metrics.size"},

	{engine, "EngineFlaps", `max by (host, engine) (avg_over_time(docker_up_ratio[15m])) < $threshold and max by (host, engine) (docker_up) == 1`, 0.8, 15 * time.Minute, 0, Warning,
		"the Docker engine {{$labels.engine}} answered {{$value | humanizePercentage}} of the last 15 minutes", "See the log of docker.service"},

	{engine, "EngineClockOff", `max by (host, engine) (abs(docker_clock_offset_seconds)) > $threshold`, 30, 5 * time.Minute, 0, Warning,
		"the clock of the Docker engine {{$labels.engine}} is {{$value | humanizeDuration}} off; events and logs of that host are misplaced", "Set its clock: chrony, or systemd-timesyncd"},

	{containers, "ContainerMemoryNearLimit", `max by (host, workload) ((container_memory_usage_percent > $threshold) and on (host, id) (container_memory_rss / container_spec_memory_limit_bytes > 0.75) and on (host, id) (container_spec_memory_limit_bytes < on (host) group_left () machine_memory_bytes))`,
		90, 5 * time.Minute, 5 * time.Minute, Warning, "{{$labels.workload}} uses {{printf \"%.0f\" $value}} % of its memory limit", "Raise the limit, or find what grows"},
	// One that streams through files, as a backup does, waits for memory too, and lacks none.
	{containers, "ContainerMemoryStalls", `max by (host, workload) (rate(container_pressure_memory_stalled_seconds_total[5m]) and on (host, id) ((container_memory_rss + container_memory_mapped_file) / container_spec_memory_limit_bytes > 0.25)) > $threshold`, 0.05, 5 * time.Minute, 5 * time.Minute, Warning,
		"{{$labels.workload}} waits for memory {{$value | humanizePercentage}} of the time", "Raise its memory limit"},
	{containers, "ContainerCPUThrottled", `max by (host, workload) (rate(container_cpu_cfs_throttled_periods_total[10m]) / (rate(container_cpu_cfs_periods_total[10m]) > 1) > $threshold and rate(container_cpu_cfs_throttled_seconds_total[10m]) > 0.25)`,
		0.75, 15 * time.Minute, 10 * time.Minute, Warning, "{{$labels.workload}} is held back by its CPU limit in {{$value | humanizePercentage}} of its periods", "Raise its CPU limit"},
	{containers, "ContainerTasksNearLimit", `max by (host, workload) (container_threads / container_threads_max) > $threshold`, 0.9, 5 * time.Minute, 0, Warning,
		"{{$labels.workload}} has {{$value | humanizePercentage}} of the tasks that it may have", "Raise its limit of tasks, or find what starts them"},
	{containers, "ContainerShmNearlyFull", `min by (host, workload) (container_shm_free_percent and on (host, id) container_shm_limit_bytes > 0) < $threshold`, 5, 10 * time.Minute, 0, Warning,
		"the shared memory of {{$labels.workload}} has {{printf \"%.1f\" $value}} % left", "--shm-size"},
	{containers, "ContainerFileLayerGrows", `max by (host, workload) (` + layer + `) > 10e9 and max by (host, workload) (delta(` + layer + `[6h])) > $threshold`, 1e9, time.Hour, 0, Info,
		"{{$labels.workload}} writes into its own layer, {{$value | humanize1024}}B by now", "Give it a volume"},

	{host, "HostDiskFillsUp", `min by (host, device) (predict_linear(node_filesystem_avail_bytes{` + real + `}[6h], 86400)) < 0 and min by (host, device) (node_filesystem_avail_bytes / node_filesystem_size_bytes) < $threshold and min by (host, device) (node_filesystem_avail_bytes offset 3h) > 0 and max by (host, device) (node_filesystem_readonly) == 0`,
		0.25, 30 * time.Minute, 15 * time.Minute, Warning, "{{$labels.host}}: {{$labels.device}} is full within a day at this rate", "Make room: docker system df"},
	{host, "HostDiskAlmostFull", `min by (host, device) (node_filesystem_avail_bytes{` + real + `} / node_filesystem_size_bytes) < $threshold and min by (host, device) (node_filesystem_avail_bytes) < 20 * 1024 ^ 3 and max by (host, device) (node_filesystem_readonly) == 0`,
		0.05, 5 * time.Minute, 10 * time.Minute, Critical, "{{$labels.host}}: {{$labels.device}} has {{$value | humanizePercentage}} left", "Make room: docker system df"},
	{host, "HostInodesAlmostGone", `min by (host, device) (node_filesystem_files_free / (node_filesystem_files > 0)) < $threshold and max by (host, device) (node_filesystem_readonly) == 0`, 0.05, 15 * time.Minute, 0, Critical,
		"{{$labels.host}}: {{$labels.device}} has {{$value | humanizePercentage}} of its inodes left", "Find what makes so many files"},
	{host, "HostDiskReadOnly", `max by (host, device) (node_filesystem_readonly{` + real + `}) == 1 and min by (host, device) (node_filesystem_readonly offset 30m) == 0`, 0, time.Minute, 6 * time.Hour, Critical,
		"{{$labels.host}}: {{$labels.device}} was made read-only", "See the kernel's messages"},
	{host, "HostMemoryLow", `min by (host) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes) < $threshold or max by (host) (rate(node_pressure_memory_stalled_seconds_total[5m])) > 0.1`, 0.05, 5 * time.Minute, 5 * time.Minute, Critical,
		"{{$labels.host}} is short of memory", "See which containers use it"},
	{host, "HostIOStalls", `max by (host) (rate(node_pressure_io_stalled_seconds_total[10m])) > $threshold`, 0.5, 15 * time.Minute, 0, Info,
		"{{$labels.host}} waits for its disks {{$value | humanizePercentage}} of the time", "See which containers write"},
	{host, "HostCPUWaits", `max by (host) (rate(node_pressure_cpu_waiting_seconds_total[15m])) > $threshold`, 0.9, time.Hour, 0, Info,
		"{{$labels.host}} has more work than CPUs", "See which containers use them"},
	{host, "HostFilesNearLimit", `max by (host) (node_filefd_allocated / node_filefd_maximum) > $threshold`, 0.85, 10 * time.Minute, 0, Warning,
		"{{$labels.host}} has {{$value | humanizePercentage}} of the open files that it may have", "sysctl fs.file-max"},

	{host, "HostClockUnsynchronised", `max by (host) (node_timex_sync_status) == 0 and max by (host) (node_timex_maxerror_seconds) >= $threshold`, 16, 15 * time.Minute, 0, Warning,
		"nothing keeps the clock of {{$labels.host}} right", "chrony, or systemd-timesyncd"},
	// What the kernel did in a container is told of that container. The engine tells a
	// little later than the kernel counts, hence the offset.
	{host, "HostOOM", `max by (host) (increase(node_vmstat_oom_kill[5m] offset 30s)) > $threshold unless on (host) sum by (host) (increase(docker_oom_events_total[10m])) > 0`, 0, 0, 15 * time.Minute, Critical,
		"the kernel of {{$labels.host}} kills processes for want of memory", "See which in the kernel's messages"},

	// Their series end with the container, so that one that was stopped raises none.
	{services, "ServiceDown", `max by (host, workload, plugin, instance) (plugin_up) == 0 unless max by (host, workload, plugin, instance) (plugin_login_refused) == 1`, 0, 3 * time.Minute, 0, Warning,
		"{{$labels.plugin}} in {{$labels.workload}} does not answer", "See what it says on its page"},
	{services, "ServiceLabelWrong", `max by (host, workload, source) (plugin_config_error) == 1`, 0, 0, 0, Info,
		"{{$labels.source}} of {{$labels.workload}} cannot be followed: something is not monitored", "See what it says on the page Services"},
	{services, "ServiceLoginRefused", `max by (host, workload, plugin, instance) (plugin_login_refused) == 1`, 0, time.Minute, 0, Warning,
		"{{$labels.plugin}} in {{$labels.workload}} refuses the login", "Give it the right one: see its page"},
	{services, "RedisMemoryFull", `max by (host, workload, instance) (redis_memory_used_bytes / (redis_memory_max_bytes > 0)) > $threshold and max by (host, workload, instance) (rate(redis_evicted_keys_total[10m])) > 0`, 0.95, 10 * time.Minute, 10 * time.Minute, Warning,
		"the Redis in {{$labels.workload}} is full ({{$value | humanizePercentage}} of maxmemory) and throws keys away", "Raise maxmemory, or let keys end sooner"},
	{services, "PostgreSQLConnectionsNearLimit", `sum by (host, workload, instance) (pg_stat_activity_count) / max by (host, workload, instance) (pg_settings_max_connections) > $threshold`, 0.9, 5 * time.Minute, 5 * time.Minute, Warning,
		"the PostgreSQL in {{$labels.workload}} has {{$value | humanizePercentage}} of its connections in use", "Find who keeps them, or raise max_connections"},
	{services, "MySQLConnectionsNearLimit", `max by (host, workload, instance) (mysql_global_status_threads_connected / mysql_global_variables_max_connections) > $threshold`, 0.9, 5 * time.Minute, 5 * time.Minute, Warning,
		"the MySQL in {{$labels.workload}} has {{$value | humanizePercentage}} of its connections in use", "Find who keeps them, or raise max_connections"},
	{services, "ReplicationBehind", `max by (host, workload, instance) (pg_replication_lag_seconds and on (host, id, instance) pg_replication_is_replica == 1) > $threshold or max by (host, workload, instance) (mysql_slave_status_seconds_behind_master) > 60`, 60, 5 * time.Minute, 5 * time.Minute, Warning,
		"{{$labels.workload}} is {{$value | humanizeDuration}} behind the server that it copies", "See its log, and the load of both"},
	{services, "ReplicationBroken", `min by (host, workload, instance) (redis_master_link_up) == 0 or min by (host, workload, instance) (mysql_slave_status_slave_sql_running) == 0 or min by (host, workload, instance) (mysql_slave_status_slave_io_running) == 0`, 0, 2 * time.Minute, 0, Critical,
		"{{$labels.workload}} does not copy its primary server any more", "See its log"},
	{services, "RabbitMQAlarm", `max by (host, workload, instance) (rabbitmq_alarms_memory_used_watermark) == 1 or max by (host, workload, instance) (rabbitmq_alarms_free_disk_space_watermark) == 1`, 0, time.Minute, 0, Critical,
		"the RabbitMQ in {{$labels.workload}} takes no messages: it lacks memory or disk", "Free some, or drain its queues"},
	{services, "RabbitMQQueuesGrow", `sum by (host, workload, instance) (rabbitmq_queue_messages_ready) > $threshold and sum by (host, workload, instance) (delta(rabbitmq_queue_messages_ready[30m])) > 0.2 * sum by (host, workload, instance) (rabbitmq_queue_messages_ready)`, 1000, 15 * time.Minute, 15 * time.Minute, Warning,
		"{{$value}} messages wait in the RabbitMQ of {{$labels.workload}}, and more each minute", "See whether its consumers are up"},
	{services, "HAProxyBackendWithoutServer", `max by (host, workload, instance, proxy) (haproxy_backend_active_servers) == 0 and max by (host, workload, instance, proxy) (haproxy_backend_backup_servers) == 0`, 0, time.Minute, 0, Critical,
		"the backend {{$labels.proxy}} of {{$labels.workload}} has no server that is up", "See its checks"},
	{services, "EndpointDown", `min by (host, workload, instance) (probe_success) == 0`, 0, 2 * time.Minute, 0, Critical,
		"{{$labels.instance}} of {{$labels.workload}} does not answer", "See its log"},
	{services, "CheckFails", `max by (host, workload, check) (check_failed{job!~"endpointchecker|tcpcheck"}) == 1`, 0, 0, 0, Critical,
		"the check {{$labels.check}} of {{$labels.workload}} fails", "See what it says"},
	{services, "CertificateExpires", `(min by (host, workload, instance) (probe_ssl_earliest_cert_expiry) - time()) / 86400 < $threshold`, 14, time.Hour, 0, Warning,
		"the certificate of {{$labels.instance}} ends in {{printf \"%.0f\" $value}} days", "Renew it"},
	{services, "CertificateExpires", `(min by (host, workload, instance) (probe_ssl_earliest_cert_expiry) - time()) / 86400 < 3`, 0, time.Hour, 0, Critical,
		"the certificate of {{$labels.instance}} ends in {{printf \"%.1f\" $value}} days", "Renew it now"},

	{logs, "LogErrorBurst", `sum by (host, workload) (count_over_time({source="container", level=~"error|fatal|critical"}[5m])) > $threshold unless on (host, workload) (sum by (host, workload) (count_over_time({source="container", level=~"error|fatal|critical"}[5m])) <= (5 * sum by (host, workload) (count_over_time({source="container", level=~"error|fatal|critical"}[1h] offset 5m)) / 12))`,
		20, 0, 10 * time.Minute, Warning, "{{$labels.workload}} logs {{$value}} errors in 5 minutes, far more than in the hour before", "See its log"},
	{logs, "LogFatal", `sum by (host, workload) (count_over_time({source="container", level=~"fatal|critical"}[5m])) > $threshold`, 0, 0, 10 * time.Minute, Info,
		"{{$labels.workload}} logs something fatal", "See its log"},
	{logs, "HostKernelError", `sum by (host) (count_over_time({source="journal", unit="kernel"} |~ "I/O error|EXT4-fs error|Remounting filesystem read-only|Hardware Error" [10m])) > $threshold`, 0, 0, time.Hour, Critical,
		"the kernel of {{$labels.host}} tells of faulty hardware or a faulty file system", "See the kernel's messages"},
	{logs, "ConfigurationDrift", `sum by (host, workload) (count_over_time({source="event"} | action="drift" [10m])) > $threshold`, 0, 0, 10 * time.Minute, Info,
		"the configuration of {{$labels.workload}} has changed", "See what on its page"},

	// Of a full disk TallymanDiskFull tells.
	{own, "TallymanLosesData", `sum by (host) (increase(tallyman_samples_dropped_total{reason!~"refused|disk_full"}[10m]) or increase(tallyman_events_dropped_total{reason!="duplicate"}[10m]) or increase(tallyman_records_dropped_total{reason!="read_again"}[10m]) or increase(tallyman_forward_dropped_total[10m]) or label_replace(increase(tallyman_forward_positions_lost_total[10m]), "reason", "position_lost", "", "")) > $threshold`, 0, 0, 10 * time.Minute, Warning,
		"tallyman on {{$labels.host}} loses data", "See Doctor"},
	// The torn end that a kill leaves is no failure of the disk, nor is one that was full.
	{own, "TallymanStoreFails", `sum by (host) (increase(tallyman_record_store_errors_total[10m]) or increase(tallyman_record_store_damaged_total{damage!="torn"}[10m]) or label_replace(increase(tallyman_store_quarantined_total[10m]), "store", "samples", "", "")) > $threshold unless on (host) sum by (host) (increase(tallyman_samples_dropped_total{reason="disk_full"}[20m])) > 0`, 0, 0, 10 * time.Minute, Critical,
		"the disk of tallyman on {{$labels.host}} fails: what should be kept may be lost", "See Doctor, and the kernel's messages"},
	{own, "TallymanMissedLogs", `sum by (host) (increase(tallyman_log_gaps_total[10m]) or label_replace(increase(tallyman_file_log_gaps_total[10m]), "reader", "file", "", "") or label_replace(increase(tallyman_journal_gaps_total[10m]), "reader", "journal", "", "")) > $threshold`, 0, 0, 10 * time.Minute, Info,
		"lines of logs are missing on {{$labels.host}}", "See where: the gaps stand in Logs"},
	{own, "TallymanQueueBehind", `max by (host, to) (tallyman_forward_lag_seconds) > $threshold`, 600, time.Minute, 0, Warning,
		"what tallyman on {{$labels.host}} has for {{$labels.to}} waits for {{$value | humanizeDuration}}", "See Doctor"},
	{own, "TallymanLate", `max by (host) (rate(tallyman_collect_late_rounds_total[15m]) / rate(tallyman_collect_rounds_total[15m])) > $threshold`, 0.5, 15 * time.Minute, 0, Info,
		"tallyman on {{$labels.host}} cannot keep its rhythm", "Give it more CPU"},
	{own, "TallymanRefusesSeries", `max by (host) (tallyman_series_refused) > $threshold`, 0, 5 * time.Minute, 0, Warning,
		"tallyman on {{$labels.host}} has reached its limit of series", "See Doctor"},
	// The receiver that it is about is not told; see alert/notify.
	{own, "TallymanNotifyFails", `max by (host, receiver) (tallyman_notifications_failing) > $threshold`, 0, 5 * time.Minute, 0, Warning,
		"tallyman on {{$labels.host}} cannot reach receiver {{$labels.receiver}}", "See what it answers: Alarms, Receivers"},
	{own, "TallymanRuleFails", `max by (host) (tallyman_rules_failing) > $threshold`, 0, 5 * time.Minute, 0, Warning,
		"tallyman on {{$labels.host}} cannot evaluate {{$value}} of its rules", "See why: Alarms, Rules"},
}

// Shorts are short names of default rules about containers, for labels.
func Shorts() map[string]string {
	return map[string]string{
		"memory": "ContainerMemoryNearLimit", "memory_stalls": "ContainerMemoryStalls", "cpu": "ContainerCPUThrottled", "tasks": "ContainerTasksNearLimit",
		"shm": "ContainerShmNearlyFull", "layer": "ContainerFileLayerGrows", "errors": "LogErrorBurst", "fatal": "LogFatal", "drift": "ConfigurationDrift",
	}
}

// HasThreshold reports whether a default rule has one number that may be changed.
func HasThreshold(name string) bool {
	return slices.ContainsFunc(defaults, func(d builtin) bool { return d.name == name && strings.Contains(d.expr, placeholder) })
}

// placeholder is the number of a rule in its expression.
const placeholder = "$threshold"

func withThreshold(expr string, n float64) string {
	return strings.ReplaceAll(expr, placeholder, strconv.FormatFloat(n, 'g', -1, 64))
}

// Override changes a default rule. What is nil stays as it is.
type Override struct {
	Off       bool
	For       *time.Duration
	Severity  string
	Threshold *float64
}

// Names are those of the default rules.
func Names() (out []string) {
	for _, d := range defaults {
		if !slices.Contains(out, d.name) {
			out = append(out, d.name)
		}
	}
	return out
}

// Check finds overrides that cannot work.
func Check(overrides map[string]Override) error {
	for name, o := range overrides {
		i := slices.IndexFunc(defaults, func(d builtin) bool { return d.name == name })
		if i < 0 {
			return fmt.Errorf("there is no rule %q; did you mean %q?", name, nearest.Of(name, Names()))
		}
		switch o.Severity {
		case "", Critical, Warning, Info:
		default:
			return fmt.Errorf("%s: the severity %q is not known; write critical, warning or info", name, o.Severity)
		}
		if o.Threshold != nil && !strings.Contains(defaults[i].expr, placeholder) {
			return fmt.Errorf("%s: it has no threshold; write for, severity or off", name)
		}
		if o.For != nil && *o.For < 0 {
			return fmt.Errorf("%s: for cannot be below 0", name)
		}
	}
	return nil
}

// Defaults are the default rules with overrides, as files of Prometheus and of Loki have
// them.
func Defaults(overrides map[string]Override) (promql, logql rulefmt.RuleGroups) {
	for _, d := range defaults {
		o := overrides[d.name]
		if o.Off {
			continue
		}
		threshold, wait := d.threshold, d.wait
		if o.Threshold != nil {
			threshold = *o.Threshold
		}
		if o.For != nil {
			wait = *o.For
		}
		severity := d.severity
		if o.Severity != "" {
			severity = o.Severity
		}
		to := &promql
		if d.group == logs {
			to = &logql
		}
		i := slices.IndexFunc(to.Groups, func(g rulefmt.RuleGroup) bool { return g.Name == d.group })
		if i < 0 {
			i = len(to.Groups)
			to.Groups = append(to.Groups, rulefmt.RuleGroup{Name: d.group, Interval: model.Duration(intervals[d.group])})
		}
		to.Groups[i].Rules = append(to.Groups[i].Rules, rulefmt.Rule{
			Alert: d.name, Expr: withThreshold(d.expr, threshold),
			For: model.Duration(wait), KeepFiringFor: model.Duration(d.keep), Labels: map[string]string{"severity": severity},
			Annotations: map[string]string{"summary": d.summary, "advice": d.advice},
		})
	}
	return promql, logql
}
