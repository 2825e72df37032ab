//! What `jouled probe --json` prints: every power source that was found, and what it read.
//! It carries no stamp, since it is no record of a device: nothing is published.

use crate::sensor::{Boundary, BoundaryBasis, Quality};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeReport {
    pub v: u32,
    pub board: ProbedBoard,
    pub sensors: Vec<ProbedSensor>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbedBoard {
    pub profile: String,
    pub model: Option<String>,
    /// What the profile says about measuring this board.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProbeState {
    /// It was opened and delivered.
    Ok,
    /// It can't be opened or delivered nothing; the reason says what to do.
    Failed,
    /// It is there, but can't be read before the user has stated what only he knows.
    Found,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbedSensor {
    pub name: String,
    /// A `kind` of the configuration, or `i2c` for a bus and `power-supply` for what only
    /// looks like a sensor.
    pub kind: String,
    /// Where it is: `/dev/i2c-1 0x44`.
    pub device: Option<String>,
    pub state: ProbeState,
    pub reason: Option<String>,
    /// What the board's profile says about it.
    pub note: Option<String>,
    /// Whether the configuration has it already.
    pub configured: bool,
    pub simulated: bool,
    /// Readings that came late, and polls that failed. `null` where nothing was polled.
    pub missed_deadlines: Option<u64>,
    pub errors: Option<u64>,
    pub warnings: Vec<String>,
    /// The block to paste; `null` for what is configured or can't be.
    pub config: Option<String>,
    pub rails: Vec<ProbedRail>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbedRail {
    pub name: String,
    pub boundary: Boundary,
    pub boundary_basis: BoundaryBasis,
    pub contained_in: Option<String>,
    pub excludes: Vec<String>,
    /// Means over the time that the rail was read.
    pub power_w: Option<f64>,
    pub voltage_v: Option<f64>,
    pub current_a: Option<f64>,
    pub quality: Quality,
    pub rate_hz: Option<f64>,
    /// Share of that time that the readings stand for.
    pub coverage: Option<f64>,
    /// The smallest step of power, at the voltage that was read.
    pub resolution_w: Option<f64>,
    /// The smallest step of a counter.
    pub resolution_j: Option<f64>,
    pub mode: Option<String>,
    pub range_mv: Option<u32>,
    pub shunt_ohm: Option<f64>,
    /// Share of a cycle in which current is converted.
    pub duty: Option<f64>,
    pub warnings: Vec<String>,
}
