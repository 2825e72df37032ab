//! What is known about a kind of board: `boards/*.toml`, each fact with its source.
//!
//! A profile says how the board is recognised, what its own sensors enclose, which rails add
//! up, and where it shows its power mode, temperatures and throttling. It states nothing
//! about an external sensor.

mod catalogue;
mod check;

pub use catalogue::{ProfileError, Profiles, parse};

use super::detect::{BoardIdentity, is_one_of};
use super::evidence::Evidence;
use crate::sensor::{Boundary, KnownRail, KnownRails, KnownTotal, SensorKind};
use crate::units::{Ohms, Volts};
use serde::Deserialize;

/// One file of `boards/`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// `raspberrypi-5`
    pub name: String,
    /// `Raspberry Pi 5`
    pub title: String,
    /// What its user should know before measuring.
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(default)]
    pub detect: Detect,
    pub memory: Option<Memory>,
    pub accelerator: Option<Accelerator>,
    #[serde(default)]
    pub sensor: Vec<OwnSensor>,
    #[serde(default)]
    pub rail: Vec<Rail>,
    pub total: Option<Total>,
    pub power_mode: Option<PowerModes>,
    #[serde(default)]
    pub thermal: ThermalZones,
    #[serde(default)]
    pub throttle: Vec<Evidence>,
    /// That the supply fell too low.
    #[serde(default)]
    pub under_voltage: Vec<Evidence>,
}

/// How far a fact can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Read in the source named.
    Verified,
    /// General knowledge, not looked up.
    #[default]
    Unverified,
}

/// Strings that tell the board, each list in any order; one that matches is enough. An entry
/// that ends in `*` matches what begins with the rest.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Detect {
    /// Entries of the device tree's `compatible`, or parts that `+` joins in one:
    /// `nvidia,p3767-0005` is in `nvidia,p3768-0000+p3767-0005`.
    pub compatible: Vec<String>,
    /// The device tree's `model`.
    pub model: Vec<String>,
    /// The DMI product name.
    pub product: Vec<String>,
    pub source: Option<String>,
    pub status: Status,
}

/// The main memory's peak bandwidth, 10^9 bytes a second.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    pub bandwidth_gb_s: f64,
    pub source: Option<String>,
    #[serde(default)]
    pub status: Status,
    /// Builds of the board with other memory, by entries of `compatible`.
    #[serde(default)]
    pub variant: Vec<MemoryVariant>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryVariant {
    pub compatible: Vec<String>,
    pub bandwidth_gb_s: f64,
    pub source: Option<String>,
    #[serde(default)]
    pub status: Status,
}

/// The GPU, NPU or other processor that a model may run on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accelerator {
    /// Whether it has no memory but the main memory.
    pub unified_memory: bool,
    pub source: Option<String>,
    #[serde(default)]
    pub status: Status,
}

/// A sensor that the board has by itself, as a `[[sensor]]` block would name it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnSensor {
    pub kind: SensorKind,
    /// The hwmon chip's name.
    pub chip: Option<String>,
    /// What it encloses, where its rails have no labels to tell that by.
    pub boundary: Option<Boundary>,
    /// What it is good for.
    pub note: Option<String>,
    pub source: Option<String>,
    #[serde(default)]
    pub status: Status,
}

/// A rail by the label that its sensor gives it, to the letter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rail {
    pub label: String,
    pub boundary: Boundary,
    /// The label of the rail that encloses this one.
    pub contained_in: Option<String>,
    #[serde(default)]
    pub excludes: Vec<String>,
    /// Tells the step of an INA3221 channel, 40 µV over it.
    pub shunt_mohm: Option<f64>,
    pub nominal_v: Option<f64>,
    pub source: Option<String>,
    #[serde(default)]
    pub status: Status,
}

/// The rails that add up to more than any of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Total {
    pub labels: Vec<String>,
    pub boundary: Boundary,
    #[serde(default)]
    pub excludes: Vec<String>,
    pub source: Option<String>,
    #[serde(default)]
    pub status: Status,
}

/// How the board's power mode is asked for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerModes {
    /// Prints `NV Power Mode: NAME`, then the mode's id: `["nvpmodel", "-q"]`.
    pub command: Vec<String>,
    /// Modes seen so far. Names and ids differ from release to release, so a record has
    /// what the command says.
    #[serde(default)]
    pub mode: Vec<PowerModeName>,
    pub source: Option<String>,
    #[serde(default)]
    pub status: Status,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerModeName {
    pub id: u32,
    pub name: String,
}

/// Thermal zones that tell how warm the computing parts are.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThermalZones {
    /// What a zone's type begins with, in any case. Empty: every zone counts.
    pub zones: Vec<String>,
    pub source: Option<String>,
    pub status: Status,
}

impl Profile {
    /// A board about which nothing is known.
    pub fn unknown(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            title: name.clone(),
            name,
            notes: Vec::new(),
            detect: Detect::default(),
            memory: None,
            accelerator: None,
            sensor: Vec::new(),
            rail: Vec::new(),
            total: None,
            power_mode: None,
            thermal: ThermalZones::default(),
            throttle: Vec::new(),
            under_voltage: Vec::new(),
        }
    }

    /// What the sensors need to describe their rails.
    pub fn known_rails(&self) -> KnownRails {
        let rail = |rail: &Rail| KnownRail {
            label: rail.label.clone(),
            boundary: rail.boundary,
            contained_in: rail.contained_in.clone(),
            excludes: rail.excludes.clone(),
            shunt: rail.shunt_mohm.map(|milliohms| Ohms(milliohms * 1e-3)),
            nominal_voltage: rail.nominal_v.map(Volts),
        };
        KnownRails {
            rails: self.rail.iter().map(rail).collect(),
            total: self.total.as_ref().map(|total| KnownTotal {
                labels: total.labels.clone(),
                boundary: total.boundary,
                excludes: total.excludes.clone(),
            }),
        }
    }

    /// Peak memory bandwidth in 10^9 bytes a second of the board that `identity` tells.
    pub fn memory_bandwidth_gb_s(&self, identity: &BoardIdentity) -> Option<f64> {
        let memory = self.memory.as_ref()?;
        let variant = memory.variant.iter().find(|variant| {
            let mut entries = identity.compatible.iter();
            entries.any(|entry| is_one_of(entry, &variant.compatible))
        });
        Some(variant.map_or(memory.bandwidth_gb_s, |variant| variant.bandwidth_gb_s))
    }
}
