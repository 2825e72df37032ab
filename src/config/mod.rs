//! Configuration: its keys, their defaults, and the checks that need no device.
//!
//! Layers, later wins: built-in defaults, the main file, `conf.d/*.toml` beside it, the
//! environment (`JOULED_` with `__` between levels). See [`load`].

mod catalogue;
mod homeassistant;
mod identity;
mod load;
mod metrics;
mod power;
mod runtime;
mod signing;
mod worker;

pub use catalogue::{CatalogueEntry, FetchConfig};
pub use homeassistant::HomeAssistantConfig;
pub use identity::Identity;
pub use load::{ConfigError, load, parse};
pub use metrics::MetricsConfig;
pub use power::PowerConfig;
pub use runtime::{BUILT_IN_RUNTIME, RuntimeConfig};
pub use signing::SigningConfig;
pub use worker::{Confinement, WorkerConfig};

use crate::board::{BoardIdentity, Host, Profiles};
use crate::mqtt::MqttConfig;
use crate::sensor::{SensorConfig, SensorKind};
use crate::workload::Limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The profile that is found by itself.
const AUTO: &str = "auto";

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub device: DeviceConfig,
    pub board: BoardConfig,
    pub mqtt: MqttConfig,
    pub storage: StorageConfig,
    pub models: ModelsConfig,
    /// Models that may be fetched.
    pub catalogue: Vec<CatalogueEntry>,
    pub fetch: FetchConfig,
    pub data: DataConfig,
    pub limits: Limits,
    pub signing: SigningConfig,
    pub sensor: Vec<SensorConfig>,
    pub energy: EnergyConfig,
    /// Workers by name; a job can only name one.
    pub runtime: BTreeMap<String, RuntimeConfig>,
    pub worker: WorkerConfig,
    pub power: PowerConfig,
    pub metrics: MetricsConfig,
    pub homeassistant: HomeAssistantConfig,
    /// Free facts about the rig (supply, peripherals, ambient) for the record.
    pub rig: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// `[a-z0-9-]{1,63}`; by default made of host name and machine id.
    pub name: Option<String>,
    pub group: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoardConfig {
    /// `auto`, or the name of one of `profiles`.
    pub profile: String,
    /// For trying a copied tree.
    pub sysfs_root: PathBuf,
    pub devicetree_root: PathBuf,
    /// The shipped ones and those of `boards/` beside the main file.
    #[serde(skip)]
    pub profiles: Profiles,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    pub dir: PathBuf,
    /// How long published records and ids are kept: `30d`, `12h`.
    pub keep: String,
    /// Size of the kept records: `2GiB`.
    pub max: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsConfig {
    pub dir: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    pub dir: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnergyConfig {
    /// The rail of the headline figures, or a sensor with a total or with one rail that
    /// encloses its others. By default the only sensor.
    pub primary: Option<String>,
    pub idle_pace: IdlePace,
    /// `jouled calibrate sampler-power` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler_power: Option<SamplerPower>,
}

/// What reading at the configured rate takes beyond reading at the idle rate, on this rig.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerPower {
    /// The day, `2026-11-21`.
    pub date: String,
    /// The rail that showed it.
    pub rail: String,
    /// A difference: what drowns in the noise may be below zero.
    pub power_w: f64,
    pub power_w_u95: f64,
}

/// How fast sensors read while no attempt runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdlePace {
    /// At most 15 readings a second.
    #[default]
    Slow,
    /// The configured rate, as in an attempt.
    Full,
}

impl Default for BoardConfig {
    fn default() -> Self {
        Self {
            profile: "auto".to_owned(),
            sysfs_root: "/sys".into(),
            devicetree_root: "/proc/device-tree".into(),
            profiles: Profiles::shipped(),
        }
    }
}

impl BoardConfig {
    /// This machine with its profile; `None` when `profile` names none.
    pub fn host(&self) -> Option<Host> {
        let identity = BoardIdentity::read(&self.devicetree_root, &self.sysfs_root);
        let profile = match self.profile.as_str() {
            AUTO => self.profiles.detect(&identity),
            name => self.profiles.by_name(name)?.clone(),
        };
        Some(Host {
            profile,
            identity,
            sysfs: self.sysfs_root.clone(),
        })
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            dir: "/var/lib/jouled".into(),
            keep: "30d".to_owned(),
            max: "2GiB".to_owned(),
        }
    }
}

impl Default for ModelsConfig {
    fn default() -> Self {
        Self {
            dir: "/var/lib/jouled/models".into(),
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            dir: "/var/lib/jouled/data".into(),
        }
    }
}

impl StorageConfig {
    /// `keep` in seconds.
    pub fn keep_s(&self) -> Result<i64, ConfigError> {
        scaled(
            "storage.keep",
            &self.keep,
            &[("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)],
        )
        .map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// `max` in bytes.
    pub fn max_bytes(&self) -> Result<u64, ConfigError> {
        bytes("storage.max", &self.max)
    }
}

/// A size such as `2GiB`.
fn bytes(key: &str, text: &str) -> Result<u64, ConfigError> {
    let units = [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("B", 1),
    ];
    scaled(key, text, &units)
}

/// A whole number with one of the units given, such as `30d`.
fn scaled(key: &str, text: &str, units: &[(&str, u64)]) -> Result<u64, ConfigError> {
    let parsed = units.iter().find_map(|(unit, factor)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(*factor)
    });
    parsed.ok_or_else(|| {
        let known: Vec<&str> = units.iter().map(|(unit, _)| *unit).collect();
        ConfigError::Value {
            key: key.to_owned(),
            message: format!(
                "\"{text}\" is not a whole number with a unit of {}",
                known.join(", ")
            ),
        }
    })
}

impl Config {
    /// A copied tree of a board holds its sensors too, but those that state a root.
    fn share_sysfs_root(&mut self) {
        let root = &self.board.sysfs_root;
        if *root == BoardConfig::default().sysfs_root {
            return;
        }
        for sensor in &mut self.sensor {
            if matches!(sensor.kind, SensorKind::Hwmon | SensorKind::Rapl) {
                let stated = sensor.sysfs_root.take();
                sensor.sysfs_root = stated.or_else(|| root.to_str().map(str::to_owned));
            }
        }
    }

    /// What no single file can tell: names that clash, a primary rail without a sensor.
    pub fn check(&self) -> Result<(), ConfigError> {
        let value = |key: &str, message: String| ConfigError::Value {
            key: key.to_owned(),
            message,
        };
        self.storage.keep_s()?;
        self.storage.max_bytes()?;
        self.signing.trusted()?;
        catalogue::check(&self.catalogue, &self.fetch)?;
        if self.limits.commands_per_min == 0 {
            return Err(value(
                "limits.commands_per_min",
                "must be 1 or more: 0 would let no job in".to_owned(),
            ));
        }
        if let Some(name) = &self.device.name {
            let is_fine = (1..=63).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !is_fine {
                return Err(value(
                    "device.name",
                    format!("\"{name}\" is not 1 to 63 characters of a-z, 0-9 and -"),
                ));
            }
        }
        let profile = &self.board.profile;
        if profile != AUTO && self.board.profiles.by_name(profile).is_none() {
            let known = self.board.profiles.names().join(", ");
            return Err(value(
                "board.profile",
                format!("there is no profile \"{profile}\"; known are auto, {known}"),
            ));
        }
        self.mqtt
            .broker()
            .map_err(|error| value("mqtt", error.to_string()))?;
        let mut names = std::collections::BTreeSet::new();
        for sensor in &self.sensor {
            sensor.check().map_err(|error| {
                value(&format!("sensor \"{}\"", sensor.name), error.to_string())
            })?;
            if !names.insert(&sensor.name) {
                return Err(value(
                    "sensor",
                    format!("two sensors are called \"{}\"", sensor.name),
                ));
            }
        }
        let mut chips = std::collections::BTreeMap::new();
        for sensor in &self.sensor {
            let (Some(bus), Some(address)) = (&sensor.bus, sensor.address) else {
                continue;
            };
            if let Some(other) = chips.insert((bus, address), &sensor.name) {
                return Err(value(
                    "sensor",
                    format!(
                        "\"{other}\" and \"{}\" are the same chip: both are at address \
                         {address:#04x} of {bus}",
                        sensor.name
                    ),
                ));
            }
        }
        let is_rail = |name: &str| {
            self.sensor.iter().any(|sensor| {
                let label = name.strip_prefix(sensor.name.as_str());
                label.is_some_and(|label| label.is_empty() || label.starts_with('.'))
            })
        };
        if let Some(primary) = &self.energy.primary
            && !is_rail(primary)
        {
            return Err(value(
                "energy.primary",
                format!("\"{primary}\" is no rail of a configured sensor"),
            ));
        }
        if let Some(cost) = &self.energy.sampler_power {
            let wrong = |key: &str, message: String| {
                Err(value(&format!("energy.sampler_power.{key}"), message))
            };
            if cost.date.parse::<jiff::civil::Date>().is_err() {
                let message = format!("\"{}\" is no day such as \"2026-11-21\"", cost.date);
                return wrong("date", message);
            }
            if !cost.power_w.is_finite() {
                return wrong("power_w", format!("{} is no power in watts", cost.power_w));
            }
            if !(0.0..=f64::MAX).contains(&cost.power_w_u95) {
                let message = format!("{} is no uncertainty in watts", cost.power_w_u95);
                return wrong("power_w_u95", message);
            }
        }
        for (name, runtime) in &self.runtime {
            runtime.check(name)?;
        }
        self.worker.memory_max_bytes()?;
        self.metrics.address()?;
        self.homeassistant.check(&self.mqtt.prefix)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        let storage = StorageConfig::default();
        assert_eq!(storage.keep_s(), Ok(30 * 86_400));
        assert_eq!(storage.max_bytes(), Ok(2 << 30));
        let bad = StorageConfig {
            keep: "30".to_owned(),
            ..StorageConfig::default()
        };
        assert!(bad.keep_s().is_err());
    }

    #[test]
    fn a_sampler_power_is_a_difference_of_a_day() {
        let with = |change: &dyn Fn(&mut SamplerPower)| {
            let mut cost = SamplerPower {
                date: "2026-11-21".to_owned(),
                rail: "input".to_owned(),
                power_w: -0.001,
                power_w_u95: 0.004,
            };
            change(&mut cost);
            let mut config = Config::default();
            config.energy.sampler_power = Some(cost);
            config.check().map_err(|error| error.to_string())
        };
        assert_eq!(with(&|_| {}), Ok(()));
        let key = |change: &dyn Fn(&mut SamplerPower)| with(change).unwrap_err();
        assert!(key(&|cost| cost.date.clear()).contains("energy.sampler_power.date"));
        assert!(key(&|cost| cost.power_w = f64::NAN).contains("power_w:"));
        assert!(key(&|cost| cost.power_w_u95 = -1.0).contains("power_w_u95"));
    }

    #[test]
    fn a_device_name_is_a_topic_level() {
        let named = |name: &str| Config {
            device: DeviceConfig {
                name: Some(name.to_owned()),
                group: None,
            },
            ..Config::default()
        };
        assert_eq!(named("pi5-01").check(), Ok(()));
        for bad in ["", "Pi5", "a/b", "+", "a b"] {
            assert!(named(bad).check().is_err(), "{bad:?}");
        }
    }
}
