// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/clip"
)

// What chips of sensors usually have. Others get their names from their files.
var (
	chipNames   = gauge("node_hwmon_chip_names", "", "Always 1; the name of a chip as its driver has it")
	sensorLabel = gauge("node_hwmon_sensor_label", "", "Always 1; what a sensor is for, as its chip says")
	hwmonGauges = []*tallyman.Desc{
		gauge("node_hwmon_temp_celsius", "celsius", "Temperature of a sensor"),
		gauge("node_hwmon_temp_max_celsius", "celsius", "Temperature of a sensor that is high"),
		gauge("node_hwmon_temp_min_celsius", "celsius", "Temperature of a sensor that is low"),
		gauge("node_hwmon_temp_crit_celsius", "celsius", "Temperature of a sensor that is critical"),
		gauge("node_hwmon_temp_crit_alarm_celsius", "", "1000th of 1 when the temperature of a sensor is critical, else 0, as node_exporter has it"),
		gauge("node_hwmon_temp_alarm", "", "1 when the temperature of a sensor alarms, else 0"),
		gauge("node_hwmon_temp_fault", "", "1 when a sensor of temperature is broken, else 0"),
		gauge("node_hwmon_fan_rpm", "", "Turns of a fan per minute"),
		gauge("node_hwmon_fan_min_rpm", "", "Turns of a fan per minute that are too few"),
		gauge("node_hwmon_fan_max_rpm", "", "Turns of a fan per minute that are too many"),
		gauge("node_hwmon_fan_target_rpm", "", "Turns of a fan per minute that are wanted"),
		gauge("node_hwmon_fan_alarm", "", "1 when a fan alarms, else 0"),
		gauge("node_hwmon_fan_fault", "", "1 when a fan is broken, else 0"),
		gauge("node_hwmon_in_volts", "volts", "Voltage of a sensor"),
		gauge("node_hwmon_in_min_volts", "volts", "Voltage of a sensor that is low"),
		gauge("node_hwmon_in_max_volts", "volts", "Voltage of a sensor that is high"),
		gauge("node_hwmon_in_alarm", "", "1 when the voltage of a sensor alarms, else 0"),
		gauge("node_hwmon_curr_amps", "amperes", "Current of a sensor"),
		gauge("node_hwmon_power_watt", "watts", "Power of a sensor"),
		gauge("node_hwmon_power_average_watt", "watts", "Power of a sensor over a while"),
		gauge("node_hwmon_humidity", "", "Humidity of a sensor, as a ratio"),
		gauge("node_hwmon_pwm", "", "How fast a fan is told to turn, from 0 to 255"),
		gauge("node_hwmon_beep_enabled", "", "1 when a sensor or chip may beep, else 0"),
		gauge("node_hwmon_update_interval_seconds", "seconds", "Time between two readings of a chip"),
		gauge("node_hwmon_voltage_regulator_version", "", "Version of the voltage regulator"),
	}
	hwmonCounters = []*tallyman.Desc{counter("node_hwmon_energy_joule_total", "joules", "Energy that a sensor has counted")}
)

// hwmonKinds are the kinds of sensors that are read.
var hwmonKinds = []string{"vrm", "beep_enable", "update_interval", "in", "cpu", "fan", "pwm", "temp", "curr", "power", "energy", "humidity", "intrusion", "freq"}

// sensor is what the files of a sensor say, by what stands behind its number: "" for
// pwm1, input for temp1_input.
type sensor struct {
	kind, name string
	values     map[string]string
}

// hwmonCollector reads chips of sensors. Some take milliseconds for each value.
var hwmonCollector = collector{
	name: "hwmon", what: "sensors", every: 10 * time.Second, aside: true, descs: slices.Concat([]*tallyman.Desc{chipNames, sensorLabel}, hwmonGauges, hwmonCounters),
	open: func(s *Source) reading {
		h := &hwmon{
			gauges:   newNames(s.o.Descs, tallyman.Gauge, "node_hwmon_", "What a chip of sensors has as ", hwmonGauges),
			counters: newNames(s.o.Descs, tallyman.Counter, "node_hwmon_", "What a chip of sensors counts as ", hwmonCounters),
		}
		return func(to *sink) error {
			const no = "The host has no chips of sensors, or is a virtual machine."
			chips, err := os.ReadDir(filepath.Join(s.o.Sys, "class/hwmon"))
			if err != nil {
				return missing(err, no)
			}
			if len(chips) == 0 {
				return none(no)
			}
			for _, chip := range chips {
				h.chip(to, filepath.Join(s.o.Sys, "class/hwmon", chip.Name()))
			}
			return nil
		}
	},
}

type hwmon struct {
	gauges, counters *names
}

// chip adds the sensors of one chip, whose files are in its folder or in its device's.
func (h *hwmon) chip(to *sink, dir string) {
	chip := chipName(dir)
	if name, _ := text(filepath.Join(dir, "name")); clean(name) != "" {
		to.Add(chipNames, 1, "chip", chip, "chip_name", clean(name))
	}
	by := map[string]*sensor{}
	readSensors(by, dir)
	readSensors(by, filepath.Join(dir, "device"))
	all := make([]*sensor, 0, len(by))
	for _, one := range by {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *sensor) int { return strings.Compare(a.name, b.name) })
	for _, one := range all {
		h.sensor(to, chip, one)
	}
}

// readSensors reads the files of a folder that are a sensor's.
func readSensors(by map[string]*sensor, dir string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range files {
		kind, name, element, ok := parseSensor(f.Name())
		if !ok || !slices.Contains(hwmonKinds, kind) {
			continue
		}
		value, ok := text(filepath.Join(dir, f.Name()))
		if !ok {
			continue
		}
		one := by[name]
		if one == nil {
			one = &sensor{kind: kind, name: name, values: map[string]string{}}
			by[name] = one
		}
		one.values[element] = value
	}
}

// parseSensor splits the name of a file: temp1_max is of the sensor temp1, of the kind
// temp. What has no number is the sensor number 0.
func parseSensor(file string) (kind, name, element string, ok bool) {
	from := strings.IndexAny(file, "0123456789")
	if from < 0 {
		return file, file + "0", "", file != ""
	}
	to := from
	for to < len(file) && file[to] >= '0' && file[to] <= '9' {
		to++
	}
	number := strings.TrimLeft(file[from:to], "0")
	if number == "" {
		number = "0"
	}
	rest := file[to:]
	if from == 0 || rest != "" && (rest[0] != '_' || len(rest) == 1) {
		return "", "", "", false
	}
	return file[:from], file[:from] + number, strings.TrimPrefix(rest, "_"), true
}

// sensor adds the values of one sensor.
func (h *hwmon) sensor(to *sink, chip string, one *sensor) {
	if label, ok := one.values["label"]; ok {
		to.Add(sensorLabel, 1, "chip", chip, "sensor", one.name, "label", clip.Text(label, 256))
	}
	elements := make([]string, 0, len(one.values))
	for element := range one.values {
		elements = append(elements, element)
	}
	slices.Sort(elements)
	for _, element := range elements {
		value, ok := float(one.values[element])
		if !ok || element == "label" {
			continue
		}
		_, bare := one.values[""]
		name, factor, counts := sensorMetric(one.kind, element, bare)
		sensor := one.name
		if one.kind == "freq" && element == "input" {
			label, labelled := one.values["label"]
			if !labelled {
				continue
			}
			sensor = clean(label)
		}
		n := h.gauges
		if counts {
			n = h.counters
		}
		if d := n.get([]byte(name), func(key string) string { return key }); d != nil {
			to.Add(d, value*factor, "chip", chip, "sensor", sensor)
		}
	}
}

// sensorMetric is the name behind node_hwmon_ that node_exporter gives to a value, the
// factor to its unit, and whether it counts. bare is set when the sensor has a value
// without an element too.
func sensorMetric(kind, element string, bare bool) (name string, factor float64, counts bool) {
	switch kind {
	case "beep_enable":
		return "beep_enabled", 1, false
	case "vrm":
		return "voltage_regulator_version", 1, false
	case "update_interval":
		return "update_interval_seconds", 1e-3, false
	}
	name = kind
	switch {
	case element == "input" && bare:
		name += "_input"
	case element != "input" && element != "":
		name += "_" + clean(element)
	}
	switch {
	case element == "fault" || element == "alarm":
		return name, 1, false
	case element == "beep":
		return name + "_enabled", 1, false
	case kind == "in" || kind == "cpu":
		return name + "_volts", 1e-3, false
	case kind == "temp" && element != "type":
		return name + "_celsius", 1e-3, false
	case kind == "curr":
		return name + "_amps", 1e-3, false
	case kind == "energy":
		return name + "_joule_total", 1e-6, true
	case kind == "power" && element == "accuracy", kind == "humidity":
		return name, 1e-6, false
	case kind == "power" && strings.HasPrefix(element, "average_interval"):
		return name + "_seconds", 1e-3, false
	case kind == "power":
		return name + "_watt", 1e-6, false
	case kind == "fan" && (element == "input" || element == "min" || element == "max" || element == "target"):
		return name + "_rpm", 1, false
	case kind == "freq" && element == "input":
		return name + "_freq_mhz", 1e-6, false
	}
	return name, 1, false
}

// clean makes a name of a text as node_exporter does: small letters, digits, : and _.
func clean(s string) string {
	b := []byte(strings.ToLower(s))
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != ':' {
			b[i] = '_'
		}
	}
	return strings.Trim(string(b), "_")
}

// chipName is a name of a chip that stays over boots, of its place among the devices.
func chipName(dir string) string {
	if device, err := filepath.EvalSymlinks(filepath.Join(dir, "device")); err == nil {
		name, bus := clean(filepath.Base(device)), clean(filepath.Base(filepath.Dir(device)))
		if name != "" && bus != "" {
			return bus + "_" + name
		}
		if name != "" {
			return name
		}
	}
	if name, _ := text(filepath.Join(dir, "name")); clean(name) != "" {
		return clean(name)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return clean(filepath.Base(dir))
}
