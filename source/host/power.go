// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs/sysfs"

	"tallyman"
)

var (
	zoneTemperature = gauge("node_thermal_zone_temp", "celsius", "Temperature of a thermal zone")
	coolingState    = gauge("node_cooling_device_cur_state", "", "How much a cooling device cools")
	coolingMost     = gauge("node_cooling_device_max_state", "", "How much a cooling device can cool")
)

var thermalCollector = collector{
	name: "thermal_zone", what: "temperatures of zones", every: 10 * time.Second, aside: true,
	descs: []*tallyman.Desc{zoneTemperature, coolingState, coolingMost},
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.noSys != nil {
				return s.noSys
			}
			zones, err := s.sys.ClassThermalZoneStats()
			if err != nil {
				return err
			}
			for _, z := range zones {
				if z.ReadErrors == nil { // a sensor that is off has an error for a value
					to.Add(zoneTemperature, float64(z.Temp)/1000, "zone", z.Name, "type", z.Type)
				}
			}
			devices, err := s.sys.ClassCoolingDeviceStats()
			for _, d := range devices {
				to.Add(coolingState, float64(d.CurState), "name", d.Name, "type", d.Type)
				to.Add(coolingMost, float64(d.MaxState), "name", d.Name, "type", d.Type)
			}
			if err == nil && len(zones) == 0 && len(devices) == 0 {
				return none("The host has no thermal zones.")
			}
			return err
		}
	},
}

var raplNames = []*tallyman.Desc{
	counter("node_rapl_package_joules_total", "joules", "Energy that a CPU package has used"),
	counter("node_rapl_core_joules_total", "joules", "Energy that the cores of a package have used"),
	counter("node_rapl_uncore_joules_total", "joules", "Energy that the graphics of a package have used"),
	counter("node_rapl_dram_joules_total", "joules", "Energy that memory has used"),
	counter("node_rapl_psys_joules_total", "joules", "Energy that the whole board has used"),
}

var raplCollector = collector{
	name: "rapl", what: "energy of CPUs", every: 10 * time.Second, aside: true, descs: raplNames,
	open: func(s *Source) reading {
		n := newNames(s.o.Descs, tallyman.Counter, "node_rapl_", "Energy in joules that the kernel counts for the zone ", raplNames)
		name := func(key string) string { return key + "_joules_total" }
		return func(to *sink) error {
			if s.noSys != nil {
				return s.noSys
			}
			zones, err := sysfs.GetRaplZones(s.sys)
			if err != nil {
				return missing(err, "The CPUs of this host do not count their energy, or are a virtual machine's.")
			}
			if len(zones) == 0 {
				return none("The CPUs of this host do not count their energy, or are a virtual machine's.")
			}
			for _, z := range zones {
				uj, err := z.GetEnergyMicrojoules()
				if errors.Is(err, fs.ErrPermission) {
					return &lack{tallyman.Lacking, "The energy that CPUs have used may be read by root alone.", "run tallyman as root, or make energy_uj below /sys/class/powercap readable"}
				}
				if err != nil {
					return err
				}
				if d := n.get([]byte(z.Name), name); d != nil {
					path := filepath.Join("/sys", strings.TrimPrefix(z.Path, filepath.Clean(s.o.Sys)))
					to.Add(d, float64(uj)/1e6, "index", strconv.Itoa(z.Index), "path", path)
				}
			}
			return nil
		}
	},
}

// What a power supply says as it is, in millionths of the unit, and in tenths of a degree.
var (
	supplyInfo  = gauge("node_power_supply_info", "", "Always 1; the labels are what a power supply says of itself")
	supplyPlain = []column[sysfs.PowerSupply, int64]{
		{gauge("node_power_supply_authentic", "", "1 when a power supply is genuine, else 0"), func(p *sysfs.PowerSupply) *int64 { return p.Authentic }},
		{gauge("node_power_supply_calibrate", "", "1 while a battery is calibrated, else 0"), func(p *sysfs.PowerSupply) *int64 { return p.Calibrate }},
		{gauge("node_power_supply_capacity", "", "Charge of a battery in percent of what it can hold"), func(p *sysfs.PowerSupply) *int64 { return p.Capacity }},
		{gauge("node_power_supply_capacity_alert_max", "", "Charge in percent above which a battery alarms"), func(p *sysfs.PowerSupply) *int64 { return p.CapacityAlertMax }},
		{gauge("node_power_supply_capacity_alert_min", "", "Charge in percent below which a battery alarms"), func(p *sysfs.PowerSupply) *int64 { return p.CapacityAlertMin }},
		{gauge("node_power_supply_cyclecount", "", "How often a battery was charged"), func(p *sysfs.PowerSupply) *int64 { return p.CycleCount }},
		{gauge("node_power_supply_online", "", "1 when a power supply gives power, else 0"), func(p *sysfs.PowerSupply) *int64 { return p.Online }},
		{gauge("node_power_supply_present", "", "1 when a battery is there, else 0"), func(p *sysfs.PowerSupply) *int64 { return p.Present }},
		{gauge("node_power_supply_time_to_empty_seconds", "seconds", "Time until a battery is empty"), func(p *sysfs.PowerSupply) *int64 { return p.TimeToEmptyNow }},
		{gauge("node_power_supply_time_to_full_seconds", "seconds", "Time until a battery is full"), func(p *sysfs.PowerSupply) *int64 { return p.TimeToFullNow }},
	}
	supplyMicro = []column[sysfs.PowerSupply, int64]{
		{gauge("node_power_supply_current_boot", "amperes", "Current at the boot"), func(p *sysfs.PowerSupply) *int64 { return p.CurrentBoot }},
		{gauge("node_power_supply_current_max", "amperes", "Largest current"), func(p *sysfs.PowerSupply) *int64 { return p.CurrentMax }},
		{gauge("node_power_supply_current_ampere", "amperes", "Current"), func(p *sysfs.PowerSupply) *int64 { return p.CurrentNow }},
		{gauge("node_power_supply_energy_empty", "watthours", "Energy of an empty battery"), func(p *sysfs.PowerSupply) *int64 { return p.EnergyEmpty }},
		{gauge("node_power_supply_energy_empty_design", "watthours", "Energy of an empty battery as it was built"), func(p *sysfs.PowerSupply) *int64 { return p.EnergyEmptyDesign }},
		{gauge("node_power_supply_energy_full", "watthours", "Energy of a full battery"), func(p *sysfs.PowerSupply) *int64 { return p.EnergyFull }},
		{gauge("node_power_supply_energy_full_design", "watthours", "Energy of a full battery as it was built"), func(p *sysfs.PowerSupply) *int64 { return p.EnergyFullDesign }},
		{gauge("node_power_supply_energy_watthour", "watthours", "Energy of a battery"), func(p *sysfs.PowerSupply) *int64 { return p.EnergyNow }},
		{gauge("node_power_supply_voltage_boot", "volts", "Voltage at the boot"), func(p *sysfs.PowerSupply) *int64 { return p.VoltageBoot }},
		{gauge("node_power_supply_voltage_max", "volts", "Highest voltage"), func(p *sysfs.PowerSupply) *int64 { return p.VoltageMax }},
		{gauge("node_power_supply_voltage_max_design", "volts", "Highest voltage as it was built"), func(p *sysfs.PowerSupply) *int64 { return p.VoltageMaxDesign }},
		{gauge("node_power_supply_voltage_min", "volts", "Lowest voltage"), func(p *sysfs.PowerSupply) *int64 { return p.VoltageMin }},
		{gauge("node_power_supply_voltage_min_design", "volts", "Lowest voltage as it was built"), func(p *sysfs.PowerSupply) *int64 { return p.VoltageMinDesign }},
		{gauge("node_power_supply_voltage_volt", "volts", "Voltage"), func(p *sysfs.PowerSupply) *int64 { return p.VoltageNow }},
		{gauge("node_power_supply_voltage_ocv", "volts", "Voltage without a load"), func(p *sysfs.PowerSupply) *int64 { return p.VoltageOCV }},
		{gauge("node_power_supply_charge_control_limit", "amperehours", "Limit of the charge that is in force"), func(p *sysfs.PowerSupply) *int64 { return p.ChargeControlLimit }},
		{gauge("node_power_supply_charge_control_limit_max", "amperehours", "Largest limit of the charge"), func(p *sysfs.PowerSupply) *int64 { return p.ChargeControlLimitMax }},
		{gauge("node_power_supply_charge_counter", "amperehours", "Charge that was counted"), func(p *sysfs.PowerSupply) *int64 { return p.ChargeCounter }},
		{gauge("node_power_supply_charge_empty", "amperehours", "Charge of an empty battery"), func(p *sysfs.PowerSupply) *int64 { return p.ChargeEmpty }},
		{gauge("node_power_supply_charge_empty_design", "amperehours", "Charge of an empty battery as it was built"), func(p *sysfs.PowerSupply) *int64 { return p.ChargeEmptyDesign }},
		{gauge("node_power_supply_charge_full", "amperehours", "Charge of a full battery"), func(p *sysfs.PowerSupply) *int64 { return p.ChargeFull }},
		{gauge("node_power_supply_charge_full_design", "amperehours", "Charge of a full battery as it was built"), func(p *sysfs.PowerSupply) *int64 { return p.ChargeFullDesign }},
		{gauge("node_power_supply_charge_ampere", "amperehours", "Charge of a battery"), func(p *sysfs.PowerSupply) *int64 { return p.ChargeNow }},
		{gauge("node_power_supply_charge_term_current", "amperes", "Current at which charging ends"), func(p *sysfs.PowerSupply) *int64 { return p.ChargeTermCurrent }},
		{gauge("node_power_supply_constant_charge_current", "amperes", "Current for charging"), func(p *sysfs.PowerSupply) *int64 { return p.ConstantChargeCurrent }},
		{gauge("node_power_supply_constant_charge_current_max", "amperes", "Largest current for charging"), func(p *sysfs.PowerSupply) *int64 { return p.ConstantChargeCurrentMax }},
		{gauge("node_power_supply_constant_charge_voltage", "volts", "Voltage for charging"), func(p *sysfs.PowerSupply) *int64 { return p.ConstantChargeVoltage }},
		{gauge("node_power_supply_constant_charge_voltage_max", "volts", "Highest voltage for charging"), func(p *sysfs.PowerSupply) *int64 { return p.ConstantChargeVoltageMax }},
		{gauge("node_power_supply_precharge_current", "amperes", "Current before charging"), func(p *sysfs.PowerSupply) *int64 { return p.PrechargeCurrent }},
		{gauge("node_power_supply_input_current_limit", "amperes", "Limit of the current that is taken in"), func(p *sysfs.PowerSupply) *int64 { return p.InputCurrentLimit }},
		{gauge("node_power_supply_power_watt", "watts", "Power"), func(p *sysfs.PowerSupply) *int64 { return p.PowerNow }},
	}
	supplyTenths = []column[sysfs.PowerSupply, int64]{
		{gauge("node_power_supply_temp_celsius", "celsius", "Temperature of a battery"), func(p *sysfs.PowerSupply) *int64 { return p.Temp }},
		{gauge("node_power_supply_temp_alert_max_celsius", "celsius", "Temperature above which a battery alarms"), func(p *sysfs.PowerSupply) *int64 { return p.TempAlertMax }},
		{gauge("node_power_supply_temp_alert_min_celsius", "celsius", "Temperature below which a battery alarms"), func(p *sysfs.PowerSupply) *int64 { return p.TempAlertMin }},
		{gauge("node_power_supply_temp_ambient_celsius", "celsius", "Temperature around a battery"), func(p *sysfs.PowerSupply) *int64 { return p.TempAmbient }},
		{gauge("node_power_supply_temp_ambient_max_celsius", "celsius", "Highest temperature around a battery"), func(p *sysfs.PowerSupply) *int64 { return p.TempAmbientMax }},
		{gauge("node_power_supply_temp_ambient_min_celsius", "celsius", "Lowest temperature around a battery"), func(p *sysfs.PowerSupply) *int64 { return p.TempAmbientMin }},
		{gauge("node_power_supply_temp_max_celsius", "celsius", "Highest temperature of a battery"), func(p *sysfs.PowerSupply) *int64 { return p.TempMax }},
		{gauge("node_power_supply_temp_min_celsius", "celsius", "Lowest temperature of a battery"), func(p *sysfs.PowerSupply) *int64 { return p.TempMin }},
	}
)

var supplyCollector = collector{
	name: "powersupplyclass", what: "power supplies", every: 10 * time.Second, aside: true,
	descs: descsOf(supplyPlain, descsOf(supplyMicro, descsOf(supplyTenths, supplyInfo)...)...),
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.noSys != nil {
				return s.noSys
			}
			const no = "The host tells of no batteries and power supplies."
			all, err := s.sys.PowerSupplyClass()
			if err != nil {
				return missing(err, no)
			}
			if len(all) == 0 {
				return none(no)
			}
			for _, name := range slices.Sorted(maps.Keys(all)) {
				p := all[name]
				addColumns(to, supplyPlain, &p, 1, "power_supply", name)
				addColumns(to, supplyMicro, &p, 1e-6, "power_supply", name)
				addColumns(to, supplyTenths, &p, 0.1, "power_supply", name)
				clean := func(s string) string { return strings.ToValidUTF8(s, "�") }
				to.Add(supplyInfo, 1, "power_supply", name, "capacity_level", clean(p.CapacityLevel), "charge_type", clean(p.ChargeType), "health", clean(p.Health),
					"manufacturer", clean(p.Manufacturer), "model_name", clean(p.ModelName), "serial_number", clean(p.SerialNumber), "status", clean(p.Status),
					"technology", clean(p.Technology), "type", clean(p.Type), "usb_type", clean(p.UsbType), "scope", clean(p.Scope))
			}
			return nil
		}
	},
}
