//! The configuration of one sensor, a `[[sensor]]` block, and the checks that need no device.

use super::ina219::{AdcMode, Mode};
use super::modbus::MeterMap;
use super::simulated::Waveform;
use super::{Boundary, ConfigError, Lag, ina2xx, modbus, pmic, tegrastats};
use crate::units::Ohms;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One `[[sensor]]` block as it stands in the file. Which keys apply depends on the kind;
/// [`SensorConfig::check`] says what is missing or superfluous.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorConfig {
    pub name: String,
    pub kind: SensorKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundary: Option<Boundary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contained_in: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voltage_at: Option<VoltageAt>,
    /// How many supplies the board has; a second one is invisible to the sensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feeds: Option<u32>,
    /// What the boundary leaves out, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excludes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_hz: Option<f64>,
    /// `"9bit"` … `"12bit"`, `"avg2"` … `"avg128"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adc_shunt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adc_bus: Option<String>,
    /// The I2C character device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bus: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shunt_ohm: Option<f64>,
    /// Relative half-width, 0.01 = 1 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shunt_tolerance: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_current_a: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bus_v: Option<f64>,
    /// Clock of a simulated chip's bus; without it transfers take no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bus_hz: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waveform: Option<String>,
    /// The hwmon chip's name, the content of its `name` file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// What a chip's channels are called, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// What this very unit was found to be off by; `jouled calibrate` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Rail → how late it shows the load here; `jouled calibrate lag` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<BTreeMap<String, Lag>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysfs_root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// A serial port, or the hwmon chip's device (`1-0040`) where several have one name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baud: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parity: Option<Parity>,
    /// How long a meter may take to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// A shipped meter map's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter: Option<String>,
    /// A meter map of one's own, instead of `meter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<MeterMap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SensorKind {
    Ina219,
    Ina226,
    Ina228,
    Ina3221,
    Hwmon,
    Tegrastats,
    Modbus,
    Rapl,
    Pmic,
    Simulated,
}

impl std::fmt::Display for SensorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ina219 => "ina219",
            Self::Ina226 => "ina226",
            Self::Ina228 => "ina228",
            Self::Ina3221 => "ina3221",
            Self::Hwmon => "hwmon",
            Self::Tegrastats => "tegrastats",
            Self::Modbus => "modbus",
            Self::Rapl => "rapl",
            Self::Pmic => "pmic",
            Self::Simulated => "simulated",
        })
    }
}

/// On which side of the shunt the voltage counts. The INA219 measures it at IN-, the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VoltageAt {
    Load,
    /// The shunt's drop is added: power drawn from the supply.
    Supply,
}

/// The parity bit of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    None,
    Even,
    Odd,
}

/// Corrections of one unit, applied before its limits, and what is left of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The day, `2026-11-21`.
    pub date: String,
    /// Shunt voltage in µV that was read without any current; subtracted.
    #[serde(default)]
    pub offset_uv: Option<f64>,
    /// Half-width of what remains of the offset, µV.
    #[serde(default)]
    pub offset_limit_uv: Option<f64>,
    /// True current ÷ indicated current: shunt and gain together; multiplied.
    #[serde(default)]
    pub gain: Option<f64>,
    /// Relative half-width of what remains of shunt and gain.
    #[serde(default)]
    pub gain_limit: Option<f64>,
}

/// The keys of every kind.
const COMMON: &[&str] = &[
    "name",
    "kind",
    "boundary",
    "contained_in",
    "excludes",
    "feeds",
    "lag",
];

impl SensorKind {
    /// What RAPL and the PMIC enclose is the same everywhere, and the rails of a board's own
    /// sensors may be in its profile; anything else could be wired anywhere.
    fn needs_boundary(self) -> bool {
        !matches!(
            self,
            Self::Rapl | Self::Pmic | Self::Hwmon | Self::Tegrastats
        )
    }

    /// The keys that apply besides the common ones.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Ina219 => &[
                "voltage_at",
                "rate_hz",
                "adc_shunt",
                "adc_bus",
                "bus",
                "address",
                "shunt_ohm",
                "shunt_tolerance",
                "max_current_a",
                "calibration",
            ],
            Self::Ina226 | Self::Ina228 => &[
                "voltage_at",
                "rate_hz",
                "bus",
                "address",
                "shunt_ohm",
                "shunt_tolerance",
                "max_current_a",
                "calibration",
            ],
            Self::Ina3221 => &[
                "voltage_at",
                "rate_hz",
                "bus",
                "address",
                "shunt_ohm",
                "shunt_tolerance",
                "labels",
            ],
            Self::Simulated => &[
                "voltage_at",
                "rate_hz",
                "adc_shunt",
                "adc_bus",
                "shunt_ohm",
                "shunt_tolerance",
                "max_current_a",
                "bus_v",
                "bus_hz",
                "waveform",
                "calibration",
            ],
            Self::Hwmon => &["rate_hz", "chip", "device", "sysfs_root"],
            Self::Rapl => &["rate_hz", "sysfs_root"],
            Self::Tegrastats => &["command"],
            Self::Pmic => &["rate_hz", "command"],
            Self::Modbus => &[
                "rate_hz",
                "transport",
                "endpoint",
                "device",
                "baud",
                "parity",
                "timeout_ms",
                "meter",
                "map",
                "unit",
            ],
        }
    }
}

impl SensorConfig {
    /// A block with nothing but its name and kind.
    pub fn new(name: impl Into<String>, kind: SensorKind) -> SensorConfig {
        SensorConfig {
            name: name.into(),
            kind,
            boundary: None,
            contained_in: None,
            voltage_at: None,
            feeds: None,
            excludes: None,
            rate_hz: None,
            adc_shunt: None,
            adc_bus: None,
            bus: None,
            address: None,
            shunt_ohm: None,
            shunt_tolerance: None,
            max_current_a: None,
            bus_v: None,
            bus_hz: None,
            waveform: None,
            chip: None,
            labels: None,
            calibration: None,
            lag: None,
            sysfs_root: None,
            command: None,
            transport: None,
            endpoint: None,
            device: None,
            baud: None,
            parity: None,
            timeout_ms: None,
            meter: None,
            map: None,
            unit: None,
        }
    }

    /// Everything that can be said without touching a device.
    pub fn check(&self) -> Result<(), ConfigError> {
        let name_ok = (1..=63).contains(&self.name.len())
            && self.name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte)
            });
        if !name_ok {
            return Err(ConfigError::Name(self.name.clone()));
        }
        let stated = toml::Table::try_from(self).expect("every key is a plain TOML value");
        for key in stated.keys() {
            if !COMMON.contains(&key.as_str()) && !self.kind.keys().contains(&key.as_str()) {
                return Err(ConfigError::NotApplicable {
                    sensor: self.name.clone(),
                    kind: self.kind,
                    key: key.clone(),
                });
            }
        }
        if self.kind.needs_boundary() && self.boundary.is_none() {
            return Err(self.missing(
                "boundary",
                "what the sensor encloses: wall, board-input, module, package, rail or partial",
            ));
        }
        self.ranges()?;
        match self.kind {
            SensorKind::Ina219 => self.check_ina219(),
            SensorKind::Ina226 | SensorKind::Ina228 | SensorKind::Ina3221 => ina2xx::check(self),
            SensorKind::Simulated => self.check_simulated(),
            SensorKind::Tegrastats => tegrastats::check(self),
            SensorKind::Modbus => modbus::check(self),
            SensorKind::Pmic => pmic::check(self),
            SensorKind::Hwmon if self.chip.is_none() => {
                Err(self.missing("chip", "the chip's name as in /sys/class/hwmon/hwmon*/name"))
            }
            _ => Ok(()),
        }
    }

    fn check_ina219(&self) -> Result<(), ConfigError> {
        if self.bus.is_none() {
            return Err(self.missing("bus", "the I2C device, such as \"/dev/i2c-1\""));
        }
        if self.address.is_none() {
            return Err(self.missing("address", "the chip's I2C address, 0x40 to 0x4f"));
        }
        if self.shunt_ohm.is_none() {
            return Err(self.missing("shunt_ohm", "the shunt's resistance in ohms"));
        }
        if self.max_current_a.is_none() {
            return Err(self.missing(
                "max_current_a",
                "the largest current in amperes, which selects the range",
            ));
        }
        self.mode().map(drop)
    }

    fn check_simulated(&self) -> Result<(), ConfigError> {
        self.parsed_waveform()?;
        self.mode().map(drop)
    }

    pub(super) fn parsed_waveform(&self) -> Result<Waveform, ConfigError> {
        let Some(text) = &self.waveform else {
            return Err(self.missing(
                "waveform",
                "the simulated current, such as \"constant:1.5\"",
            ));
        };
        text.parse().map_err(|error| ConfigError::Waveform {
            sensor: self.name.clone(),
            error,
        })
    }

    pub(super) fn shunt(&self) -> Ohms {
        Ohms(self.shunt_ohm.unwrap_or(0.010))
    }

    /// The INA219 mode that the keys ask for. With `rate_hz`, the fastest averaging that
    /// stays at or below it.
    pub(super) fn mode(&self) -> Result<Mode, ConfigError> {
        let bus = self.adc("adc_bus", &self.adc_bus, AdcMode::Bits12)?;
        let shunt = match (self.rate_hz, &self.adc_shunt) {
            (Some(_), Some(_)) => {
                return Err(ConfigError::Range {
                    sensor: self.name.clone(),
                    key: "rate_hz",
                    value: "both".into(),
                    allowed: "state adc_shunt or rate_hz, not both",
                });
            }
            (Some(rate), None) => AdcMode::fastest_within(rate, bus),
            (None, _) => self.adc("adc_shunt", &self.adc_shunt, AdcMode::Avg8)?,
        };
        let peak = match (self.max_current_a, self.kind) {
            (Some(limit), _) => limit,
            (None, SensorKind::Simulated) => self.parsed_waveform()?.peak().0.max(0.1),
            (None, _) => f64::INFINITY,
        };
        Mode::new(shunt, bus, peak * self.shunt().0).ok_or_else(|| ConfigError::Range {
            sensor: self.name.clone(),
            key: "max_current_a",
            value: peak.to_string(),
            allowed: "max_current_a times shunt_ohm may be at most 0.32 V, the INA219's largest \
                      range; use a smaller shunt",
        })
    }

    fn adc(
        &self,
        key: &'static str,
        value: &Option<String>,
        default: AdcMode,
    ) -> Result<AdcMode, ConfigError> {
        match value {
            None => Ok(default),
            Some(text) => AdcMode::parse(text).ok_or_else(|| ConfigError::Range {
                sensor: self.name.clone(),
                key,
                value: format!("\"{text}\""),
                allowed: "9bit, 10bit, 11bit, 12bit, avg2, avg4, avg8, avg16, avg32, avg64 or avg128",
            }),
        }
    }

    fn ranges(&self) -> Result<(), ConfigError> {
        let in_range = |key, value: Option<f64>, low: f64, high: f64, allowed| match value {
            Some(value) if !(low..=high).contains(&value) => Err(ConfigError::Range {
                sensor: self.name.clone(),
                key,
                value: value.to_string(),
                allowed,
            }),
            _ => Ok(()),
        };
        in_range("rate_hz", self.rate_hz, 0.1, 6000.0, "0.1 to 6000")?;
        in_range(
            "address",
            self.address.map(f64::from),
            64.0,
            79.0,
            "0x40 to 0x4f",
        )?;
        in_range(
            "shunt_ohm",
            self.shunt_ohm,
            1e-5,
            10.0,
            "0.00001 to 10 ohms",
        )?;
        in_range(
            "shunt_tolerance",
            self.shunt_tolerance,
            0.0,
            0.5,
            "0 to 0.5, where 0.01 is 1 %",
        )?;
        in_range(
            "max_current_a",
            self.max_current_a,
            1e-3,
            1e3,
            "0.001 to 1000 amperes",
        )?;
        in_range("bus_v", self.bus_v, 0.0, 26.0, "0 to 26 volts")?;
        in_range(
            "bus_hz",
            self.bus_hz.map(f64::from),
            1e4,
            3.4e6,
            "10000 to 3400000",
        )?;
        if let Some(unit) = &self.calibration {
            if unit.date.parse::<jiff::civil::Date>().is_err() {
                return Err(ConfigError::Range {
                    sensor: self.name.clone(),
                    key: "calibration.date",
                    value: format!("\"{}\"", unit.date),
                    allowed: "a day such as \"2026-11-21\"",
                });
            }
            let (offset, gain) = ("-5000 to 5000 uV", "0.5 to 2");
            in_range("calibration.offset_uv", unit.offset_uv, -5e3, 5e3, offset)?;
            in_range(
                "calibration.offset_limit_uv",
                unit.offset_limit_uv,
                0.0,
                5e3,
                offset,
            )?;
            in_range("calibration.gain", unit.gain, 0.5, 2.0, gain)?;
            in_range(
                "calibration.gain_limit",
                unit.gain_limit,
                0.0,
                0.5,
                "0 to 0.5",
            )?;
        }
        self.check_lag()?;
        in_range("feeds", self.feeds.map(f64::from), 1.0, 16.0, "1 to 16")
    }

    fn check_lag(&self) -> Result<(), ConfigError> {
        let range = |key, value, allowed| {
            Err(ConfigError::Range {
                sensor: self.name.clone(),
                key,
                value,
                allowed,
            })
        };
        for (rail, lag) in self.lag.iter().flatten() {
            let own = rail.strip_prefix(self.name.as_str());
            if !own.is_some_and(|label| label.is_empty() || label.starts_with('.')) {
                let allowed = "rails of this sensor, called like it or `<sensor>.<label>`";
                return range("lag", format!("\"{rail}\""), allowed);
            }
            if let Some((key, value, allowed)) = lag.fault() {
                return range(key, value, allowed);
            }
        }
        Ok(())
    }

    pub(super) fn missing(&self, key: &'static str, what: &'static str) -> ConfigError {
        ConfigError::Missing {
            sensor: self.name.clone(),
            kind: self.kind,
            key,
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> SensorConfig {
        toml::from_str(text).unwrap()
    }

    const INPUT: &str = r#"
        name = "input"
        kind = "ina219"
        bus = "/dev/i2c-1"
        address = 0x44
        shunt_ohm = 0.010
        shunt_tolerance = 0.01
        max_current_a = 4.0
        boundary = "board-input"
    "#;

    #[test]
    fn the_documented_block_is_accepted_and_survives_a_round_trip() {
        let config = parsed(INPUT);
        config.check().unwrap();
        let again: SensorConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
        let mode = config.mode().unwrap();
        assert_eq!(mode.to_string(), "avg8/12bit");
        assert_eq!(mode.range_mv(), 80);
    }

    #[test]
    fn errors_name_the_key() {
        let key = |extra: &str| {
            let error = parsed(&format!("{INPUT}\n{extra}")).check().unwrap_err();
            error.key().to_owned()
        };
        assert_eq!(key("waveform = \"constant:1\""), "waveform");
        assert_eq!(key("adc_shunt = \"13bit\""), "adc_shunt");
        assert_eq!(key("feeds = 0"), "feeds");
        assert_eq!(key("rate_hz = 0"), "rate_hz");

        let mut config = parsed(INPUT);
        config.max_current_a = Some(40.0);
        assert_eq!(config.check().unwrap_err().key(), "max_current_a");
        config.address = Some(0x20);
        assert_eq!(config.check().unwrap_err().key(), "address");
        config.boundary = None;
        assert_eq!(config.check().unwrap_err().key(), "boundary");
        config.name = "Input".into();
        assert_eq!(config.check().unwrap_err().key(), "name");
    }

    #[test]
    fn a_lag_belongs_to_a_rail_of_the_sensor() {
        let with = |rail: &str, changed: &str| {
            let mut lines = vec![
                "date = \"2026-11-21\"",
                "lag_s = 0.03",
                "lag_s_u95 = 0.002",
                "scatter_s = 0.005",
                "steps = 30",
                "step_w = 4.5",
            ];
            let key = changed.split(' ').next();
            lines.retain(|line| line.split(' ').next() != key);
            lines.push(changed);
            parsed(&format!("{INPUT}\n[lag.\"{rail}\"]\n{}", lines.join("\n")))
        };
        let fine = with("input", "steps = 30");
        fine.check().unwrap();
        let again: SensorConfig = toml::from_str(&toml::to_string(&fine).unwrap()).unwrap();
        assert_eq!(again, fine);
        with("input.vdd_in", "steps = 30").check().unwrap();
        let key = |config: SensorConfig| config.check().unwrap_err().key().to_owned();
        assert_eq!(key(with("inputs", "steps = 30")), "lag");
        assert_eq!(key(with("input", "date = \"yesterday\"")), "lag.date");
        assert_eq!(key(with("input", "lag_s = 31.0")), "lag.lag_s");
        assert_eq!(key(with("input", "scatter_s = -0.1")), "lag.scatter_s");
        assert_eq!(key(with("input", "lag_s_u95 = nan")), "lag.lag_s_u95");
        assert_eq!(key(with("input", "step_w = inf")), "lag.step_w");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<SensorConfig>(&format!("{INPUT}\nshunt = 1")).is_err());
    }

    #[test]
    fn a_rate_selects_the_averaging() {
        let mode = |rate: f64| {
            let mut config = SensorConfig::new("s", SensorKind::Simulated);
            config.waveform = Some("constant:1".into());
            config.rate_hz = Some(rate);
            config.mode().unwrap().to_string()
        };
        assert_eq!(mode(1000.0), "12bit/12bit");
        assert_eq!(mode(940.0), "12bit/12bit");
        assert_eq!(mode(209.0), "avg8/12bit");
        assert_eq!(mode(1.0), "avg128/12bit");
    }
}
