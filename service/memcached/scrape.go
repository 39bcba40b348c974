// SPDX-License-Identifier: Apache-2.0

package memcached

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tallyman"
)

func gauge(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "memcached_" + name, Type: tallyman.Gauge, Unit: unit, Help: help}
}

func counter(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "memcached_" + name, Type: tallyman.Counter, Unit: unit, Help: help}
}

type field struct {
	stat string
	desc *tallyman.Desc
}

// The metrics that charts show, and those that are more than one field.
var (
	up             = gauge("up", "", "1 when the last scrape was good")
	version        = gauge("version", "", "1, with the version in a label")
	connections    = gauge("current_connections", "", "Open connections")
	maxConnections = gauge("max_connections", "", "Connections that are allowed")
	bytesNow       = gauge("current_bytes", "bytes", "Memory that items use")
	bytesLimit     = gauge("limit_bytes", "bytes", "Memory that items may use")
	items          = gauge("current_items", "", "Items that are stored")
	evicted        = counter("items_evicted_total", "", "Valid items removed for want of memory")
	reclaimed      = counter("items_reclaimed_total", "", "Items stored in the memory of expired ones")
	bytesRead      = counter("read_bytes_total", "bytes", "Bytes received")
	bytesWritten   = counter("written_bytes_total", "bytes", "Bytes sent")
	commands       = counter("commands_total", "", "Commands, by command and outcome")
	slabCommands   = counter("slab_commands_total", "", "Commands on items of each slab class, by command and outcome")
	lruHits        = counter("slab_lru_hits_total", "", "Hits in each slab class, by the list in which the item was")
)

// general are fields of "stats".
var general = []field{
	{"uptime", counter("uptime_seconds", "seconds", "Time since the server started")},
	{"time", gauge("time_seconds", "seconds", "Unix time of the server")},
	{"accepting_conns", gauge("accepting_connections", "", "1 while new connections are accepted")},
	{"curr_connections", connections},
	{"max_connections", maxConnections},
	{"total_connections", counter("connections_total", "", "Connections accepted")},
	{"rejected_connections", counter("connections_rejected_total", "", "Connections refused because there were too many")},
	{"conn_yields", counter("connections_yielded_total", "", "Times that a connection had to give way to others")},
	{"listen_disabled_num", counter("connections_listener_disabled_total", "", "Times that no more connections were accepted")},
	{"connection_structures", gauge("connection_structures", "", "Structures kept for connections")},
	{"reserved_fds", gauge("reserved_fds", "", "Descriptors kept for the server itself")},
	{"bytes", bytesNow},
	{"limit_maxbytes", bytesLimit},
	{"hash_bytes", gauge("hash_bytes", "bytes", "Memory of the hash table")},
	{"curr_items", items},
	{"total_items", counter("items_total", "", "Items stored since the start")},
	{"evictions", evicted},
	{"reclaimed", reclaimed},
	{"evicted_unfetched", counter("evicted_unfetched_total", "", "Items evicted that were never fetched")},
	{"expired_unfetched", counter("expired_unfetched_total", "", "Items expired that were never fetched")},
	{"store_too_large", counter("item_too_large_total", "", "Items refused for their size")},
	{"store_no_memory", counter("item_no_memory_total", "", "Items refused for want of memory")},
	{"direct_reclaims", counter("direct_reclaims_total", "", "Times that a worker had to make room itself")},
	{"bytes_read", bytesRead},
	{"bytes_written", bytesWritten},
	{"rusage_user", counter("process_user_cpu_seconds_total", "seconds", "CPU time of the server")},
	{"rusage_system", counter("process_system_cpu_seconds_total", "seconds", "CPU time of the server in the kernel")},
	{"threads", gauge("threads", "", "Worker threads")},
	{"auth_cmds", counter("auth_commands_total", "", "Logins")},
	{"auth_errors", counter("auth_errors_total", "", "Logins refused")},
	{"lru_crawler_starts", counter("lru_crawler_starts_total", "", "Walks over the lists of items")},
	{"crawler_reclaimed", counter("lru_crawler_reclaimed_total", "", "Items freed by those walks")},
	{"crawler_items_checked", counter("lru_crawler_items_checked_total", "", "Items looked at by those walks")},
	{"moves_to_cold", counter("lru_crawler_moves_to_cold_total", "", "Items moved to the cold list")},
	{"moves_to_warm", counter("lru_crawler_moves_to_warm_total", "", "Items moved to the warm list")},
	{"moves_within_lru", counter("lru_crawler_moves_within_lru_total", "", "Items moved within the hot or warm list")},
}

// settings are fields of "stats settings".
var settings = []field{
	{"maxconns", maxConnections},
	{"lru_crawler", gauge("lru_crawler_enabled", "", "1 when the lists of items are walked over")},
	{"lru_crawler_sleep", gauge("lru_crawler_sleep", "", "Microseconds between steps of that walk")},
	{"lru_crawler_tocrawl", gauge("lru_crawler_to_crawl", "", "Most items of a slab class in one walk, 0 for all")},
	{"lru_maintainer_thread", gauge("lru_crawler_maintainer_thread", "", "1 when there are hot, warm and cold lists")},
	{"hot_lru_pct", gauge("lru_crawler_hot_percent", "", "Part of a slab class for the hot list in percent")},
	{"warm_lru_pct", gauge("lru_crawler_warm_percent", "", "Part of a slab class for the warm list in percent")},
	{"hot_max_factor", gauge("lru_crawler_hot_max_factor", "", "Longest time in the hot list by that in the cold one")},
	{"warm_max_factor", gauge("lru_crawler_warm_max_factor", "", "Longest time in the warm list by that in the cold one")},
}

// ofItems are fields of "stats items", ofSlabs of "stats slabs", both by slab class.
var (
	ofItems = []field{
		{"number", gauge("slab_current_items", "", "Items in each slab class")},
		{"number_hot", gauge("slab_hot_items", "", "Items in the hot list of each slab class")},
		{"number_warm", gauge("slab_warm_items", "", "Items in the warm list of each slab class")},
		{"number_cold", gauge("slab_cold_items", "", "Items in the cold list of each slab class")},
		{"number_temp", gauge("slab_temporary_items", "", "Items in the temporary list of each slab class")},
		{"age", gauge("slab_items_age_seconds", "seconds", "Age of the oldest item of each slab class")},
		{"age_hot", gauge("slab_hot_age_seconds", "seconds", "Age of the oldest item in the hot list")},
		{"age_warm", gauge("slab_warm_age_seconds", "seconds", "Age of the oldest item in the warm list")},
		{"evicted", counter("slab_items_evicted_total", "", "Items evicted from each slab class")},
		{"evicted_nonzero", counter("slab_items_evicted_nonzero_total", "", "Items evicted that had an expiry time")},
		{"evicted_time", gauge("slab_items_evicted_time_seconds", "seconds", "Time since the last evicted item was used")},
		{"evicted_unfetched", counter("slab_items_evicted_unfetched_total", "", "Items evicted that were never fetched")},
		{"expired_unfetched", counter("slab_items_expired_unfetched_total", "", "Items expired that were never fetched")},
		{"outofmemory", counter("slab_items_outofmemory_total", "", "Items that could not be stored for want of memory")},
		{"reclaimed", counter("slab_items_reclaimed_total", "", "Items stored in the memory of expired ones")},
		{"tailrepairs", counter("slab_items_tailrepairs_total", "", "Repairs of lists")},
		{"crawler_reclaimed", counter("slab_items_crawler_reclaimed_total", "", "Items freed by walks over the lists")},
		{"moves_to_cold", counter("slab_items_moves_to_cold", "", "Items moved to the cold list")},
		{"moves_to_warm", counter("slab_items_moves_to_warm", "", "Items moved to the warm list")},
		{"moves_within_lru", counter("slab_items_moves_within_lru", "", "Items moved within a list")},
	}
	ofSlabs = []field{
		{"chunk_size", gauge("slab_chunk_size_bytes", "bytes", "Room for an item of each slab class")},
		{"chunks_per_page", gauge("slab_chunks_per_page", "", "Items that a page has room for")},
		{"total_pages", gauge("slab_current_pages", "", "Pages of each slab class")},
		{"total_chunks", gauge("slab_current_chunks", "", "Items that those pages have room for")},
		{"used_chunks", gauge("slab_chunks_used", "", "Places for items that are used")},
		{"free_chunks", gauge("slab_chunks_free", "", "Places for items that are free")},
		{"free_chunks_end", gauge("slab_chunks_free_end", "", "Free places at the end of the last page")},
		{"mem_requested", gauge("slab_mem_requested_bytes", "bytes", "Bytes that items of each slab class really need")},
	}
	malloced = gauge("malloced_bytes", "bytes", "Memory of all pages")
)

func metrics() []*tallyman.Desc {
	list := []*tallyman.Desc{up, version, commands, slabCommands, lruHits, malloced}
	seen := map[*tallyman.Desc]bool{}
	for _, fields := range [][]field{general, settings, ofItems, ofSlabs} {
		for _, f := range fields {
			if !seen[f.desc] {
				seen[f.desc] = true
				list = append(list, f.desc)
			}
		}
	}
	return list
}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	c, err := i.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	var answers [4]map[string]string
	for at, command := range []string{"stats", "stats settings", "stats items", "stats slabs"} {
		lines, err := c.ask(command)
		var fault *tallyman.ServiceError
		switch {
		case err == nil:
			answers[at] = stats(lines)
		case ctx.Err() != nil:
			return ctx.Err()
		case at == 0 || !errors.As(err, &fault) || fault.Fault != tallyman.ParseFault:
			return err
		}
	}
	if answers[0]["version"] == "" {
		return tallyman.Faulty(tallyman.ParseFault, "", "its statistics have no version")
	}
	s.Add(up, 1)
	s.Add(version, 1, "version", answers[0]["version"])
	give(s, general, answers[0])
	give(s, settings, answers[1])
	outcomes(s, commands, answers[0])
	perSlab(answers[2], "items:", func(slab string, m map[string]string) {
		give(s, ofItems, m, "slab", slab)
		for _, list := range []string{"hot", "warm", "cold", "temp"} {
			if v, ok := number(m["hits_to_"+list]); ok {
				s.Add(lruHits, v, "slab", slab, "lru", list)
			}
		}
	})
	perSlab(answers[3], "", func(slab string, m map[string]string) {
		give(s, ofSlabs, m, "slab", slab)
		outcomes(s, slabCommands, m, "slab", slab)
	})
	if v, ok := number(answers[3]["total_malloced"]); ok {
		s.Add(malloced, v)
	}
	return nil
}

// give adds the fields that are there.
func give(s tallyman.ServiceSink, fields []field, m map[string]string, labels ...string) {
	for _, f := range fields {
		if v, ok := number(m[f.stat]); ok {
			s.Add(f.desc, v, labels...)
		}
	}
}

// outcomes adds the commands. What set does and cas does not is cmd_set without those.
func outcomes(s tallyman.ServiceSink, d *tallyman.Desc, m map[string]string, labels ...string) {
	cas := 0.0
	for _, one := range []struct{ command, status, field string }{
		{"get", "hit", "get_hits"}, {"get", "miss", "get_misses"}, {"delete", "hit", "delete_hits"}, {"delete", "miss", "delete_misses"},
		{"incr", "hit", "incr_hits"}, {"incr", "miss", "incr_misses"}, {"decr", "hit", "decr_hits"}, {"decr", "miss", "decr_misses"},
		{"touch", "hit", "touch_hits"}, {"touch", "miss", "touch_misses"}, {"cas", "hit", "cas_hits"}, {"cas", "miss", "cas_misses"}, {"cas", "badval", "cas_badval"},
		{"flush", "hit", "cmd_flush"},
	} {
		v, ok := number(m[one.field])
		if !ok {
			continue
		}
		if one.command == "cas" {
			cas += v
		}
		s.Add(d, v, append(slices.Clone(labels), "command", one.command, "status", one.status)...)
	}
	if v, ok := number(m["cmd_set"]); ok {
		s.Add(d, max(0, v-cas), append(slices.Clone(labels), "command", "set", "status", "hit")...)
	}
}

// perSlab calls f for each slab class, of which there are 63 at most.
func perSlab(m map[string]string, prefix string, f func(slab string, m map[string]string)) {
	slabs := map[string]map[string]string{}
	for name, value := range m {
		rest, ok := strings.CutPrefix(name, prefix)
		slab, field, found := strings.Cut(rest, ":")
		if n, err := strconv.Atoi(slab); !ok || !found || err != nil || n < 0 || n > 255 {
			continue
		}
		if slabs[slab] == nil {
			slabs[slab] = map[string]string{}
		}
		slabs[slab][field] = value
	}
	for _, slab := range slices.Sorted(maps.Keys(slabs)) {
		f(slab, slabs[slab])
	}
}

// number reads a value; yes and no are 1 and 0.
func number(text string) (float64, bool) {
	switch text {
	case "yes":
		return 1, true
	case "no":
		return 0, true
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}
