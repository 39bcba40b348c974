// SPDX-License-Identifier: Apache-2.0

package host

import (
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/kread"
)

// diskExcluded is node_exporter's default: parts of disks, and what is not a disk.
var diskExcluded = regexp.MustCompile(`^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`)

// diskColumns are the numbers of a line of /proc/diskstats in its order, with the
// factor to the base unit: a sector has 512 bytes whatever the disk's own may be, and
// times are in ms. Older kernels have fewer of them.
var diskColumns = []struct {
	desc   *tallyman.Desc
	factor float64
}{
	{counter("node_disk_reads_completed_total", "", "Reads completed"), 1},
	{counter("node_disk_reads_merged_total", "", "Reads that were merged with a neighbour"), 1},
	{counter("node_disk_read_bytes_total", "bytes", "Bytes read"), 512},
	{counter("node_disk_read_time_seconds_total", "seconds", "Time spent by all reads"), 1e-3},
	{counter("node_disk_writes_completed_total", "", "Writes completed"), 1},
	{counter("node_disk_writes_merged_total", "", "Writes that were merged with a neighbour"), 1},
	{counter("node_disk_written_bytes_total", "bytes", "Bytes written"), 512},
	{counter("node_disk_write_time_seconds_total", "seconds", "Time spent by all writes"), 1e-3},
	{gauge("node_disk_io_now", "", "Requests in progress"), 1},
	{counter("node_disk_io_time_seconds_total", "seconds", "Time in which the disk had requests"), 1e-3},
	{counter("node_disk_io_time_weighted_seconds_total", "seconds", "Time in which the disk had requests, times how many it had"), 1e-3},
	{counter("node_disk_discards_completed_total", "", "Discards completed"), 1},
	{counter("node_disk_discards_merged_total", "", "Discards that were merged with a neighbour"), 1},
	{counter("node_disk_discarded_sectors_total", "", "Sectors of 512 bytes that were discarded"), 1},
	{counter("node_disk_discard_time_seconds_total", "seconds", "Time spent by all discards"), 1e-3},
	{counter("node_disk_flush_requests_total", "", "Flushes completed"), 1},
	{counter("node_disk_flush_requests_time_seconds_total", "seconds", "Time spent by all flushes"), 1e-3},
}

// diskstats reads /proc/diskstats.
type diskstats struct {
	s     *Source
	file  *file
	names map[string]string // of devices, empty for those left out
}

// next takes the next disk off the text,
//
//	254       0 vda 37561 86 1520398 …
//
// numbers is what stands behind the name.
func (k *diskstats) next(text []byte) (device string, number [2][]byte, numbers, rest []byte, ok bool) {
	for len(text) > 0 {
		var one []byte
		one, text = line(text)
		major, one := word(one)
		minor, one := word(one)
		name, numbers := word(one)
		if len(numbers) == 0 {
			continue
		}
		device, known := k.names[string(name)]
		if !known {
			device = string(name)
			if diskExcluded.MatchString(device) || len(k.names) >= maxSamples {
				device = ""
			}
			if len(k.names) < maxSamples {
				k.names[string(name)] = device
			}
		}
		if device == "" {
			continue
		}
		return device, [2][]byte{major, minor}, numbers, text, true
	}
	return "", number, nil, nil, false
}

var diskCollector = collector{
	name: "diskstats", what: "disks", descs: func() (all []*tallyman.Desc) {
		for _, c := range diskColumns {
			all = append(all, c.desc)
		}
		return all
	}(),
	open: func(s *Source) reading {
		k := &diskstats{s: s, file: s.file(filepath.Join(s.o.Proc, "diskstats")), names: map[string]string{}}
		return func(to *sink) error {
			text, err := k.file.read(&s.buf)
			if err != nil {
				return &lack{tallyman.Lacking, "The host's disk counters cannot be read: " + err.Error() + ".", ""}
			}
			for {
				device, _, numbers, rest, ok := k.next(text)
				if !ok {
					return nil
				}
				text = rest
				for _, c := range diskColumns {
					var w []byte
					w, numbers = word(numbers)
					v, digits := kread.Uint(w)
					if digits == 0 {
						break
					}
					to.Add(c.desc, float64(v)*c.factor, "device", device)
				}
			}
		}
	},
}

var (
	diskInfo       = gauge("node_disk_info", "", "Always 1; the labels are what /sys and udev say of a disk")
	diskFilesystem = gauge("node_disk_filesystem_info", "", "Always 1; the labels are what udev says of the file system on a disk")
	diskMapper     = gauge("node_disk_device_mapper_info", "", "Always 1; the labels are what udev says of a disk of the device mapper")
	ataCache       = gauge("node_disk_ata_write_cache", "", "1 when an ATA disk has a write cache, else 0")
	ataCacheOn     = gauge("node_disk_ata_write_cache_enabled", "", "1 when the write cache of an ATA disk is on, else 0")
	ataRotation    = gauge("node_disk_ata_rotation_rate_rpm", "", "Turns of an ATA disk per minute, 0 when it does not turn")
)

// ataKeys are the properties of an ATA disk that are numbers.
var ataKeys = []struct {
	key  string
	desc *tallyman.Desc
}{{"ID_ATA_WRITE_CACHE", ataCache}, {"ID_ATA_WRITE_CACHE_ENABLED", ataCacheOn}, {"ID_ATA_ROTATION_RATE_RPM", ataRotation}}

// diskInfoCollector is a part of diskstats in node_exporter. What udev knows is in
// files of the host.
var diskInfoCollector = collector{
	name: "diskinfo", what: "descriptions of disks", every: time.Minute, aside: true,
	descs: []*tallyman.Desc{diskInfo, diskFilesystem, diskMapper, ataCache, ataCacheOn, ataRotation},
	open: func(s *Source) reading {
		k := &diskstats{s: s, file: s.file(filepath.Join(s.o.Proc, "diskstats")), names: map[string]string{}}
		buf := make([]byte, buffer)
		return func(to *sink) error {
			text, err := k.file.read(&buf)
			if err != nil {
				return err
			}
			for {
				device, number, _, rest, ok := k.next(text)
				if !ok {
					return nil
				}
				text = rest
				k.describe(to, device, string(number[0]), string(number[1]))
			}
		}
	},
}

// maxUdev bounds a file of udev.
const maxUdev = 64 << 10

func (k *diskstats) describe(to *sink, device, major, minor string) {
	u := map[string]string{}
	if data, err := k.s.rootFile("run/udev/data/b"+major+":"+minor, maxUdev); err == nil {
		u = parseUdev(string(data))
	}
	serial := u["SCSI_IDENT_SERIAL"]
	if serial == "" {
		serial = u["ID_SERIAL_SHORT"]
	}
	// A / in a name is a ! in /sys; a part of a disk has no queue.
	rotational, _ := text(filepath.Join(k.s.o.Sys, "block", strings.ReplaceAll(device, "/", "!"), "queue/rotational"))
	if rotational == "" {
		rotational = "0"
	}
	to.Add(diskInfo, 1, "device", device, "major", major, "minor", minor, "path", u["ID_PATH"], "wwn", u["ID_WWN"], "model", u["ID_MODEL"],
		"serial", serial, "revision", u["ID_REVISION"], "rotational", rotational)
	if u["ID_FS_TYPE"] != "" {
		to.Add(diskFilesystem, 1, "device", device, "type", u["ID_FS_TYPE"], "usage", u["ID_FS_USAGE"], "uuid", u["ID_FS_UUID"], "version", u["ID_FS_VERSION"])
	}
	if u["DM_NAME"] != "" {
		to.Add(diskMapper, 1, "device", device, "name", u["DM_NAME"], "uuid", u["DM_UUID"], "vg_name", u["DM_VG_NAME"], "lv_name", u["DM_LV_NAME"], "lv_layer", u["DM_LV_LAYER"])
	}
	if u["ID_ATA"] == "" {
		return
	}
	for _, a := range ataKeys {
		if v, ok := float(u[a.key]); ok {
			to.Add(a.desc, v, "device", device)
		}
	}
}

// parseUdev reads the properties of a device in udev's data, lines E:KEY=value.
func parseUdev(text string) map[string]string {
	u := map[string]string{}
	for one := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(one), "E:")
		if key, value, isPair := strings.Cut(rest, "="); ok && isPair {
			u[key] = strings.ToValidUTF8(value, "�")
		}
	}
	return u
}
