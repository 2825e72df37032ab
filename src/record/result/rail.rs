//! What a rail is, what it delivered, and how it compares with the others.

use super::{Contributions, Reasons};
use crate::record::Reason;
use crate::sensor::{Boundary, BoundaryBasis, VoltageAt};
use crate::workload::Phase;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rail {
    pub name: String,
    pub boundary: Boundary,
    pub boundary_basis: BoundaryBasis,
    pub contained_in: Option<String>,
    pub excludes: Vec<String>,
    pub source: String,
    pub simulated: bool,
    /// `avg8/12bit` for an INA219; `null` for a source without modes.
    pub mode: Option<String>,
    pub range_mv: Option<u32>,
    pub shunt_ohm: Option<f64>,
    /// `load`: the voltage behind the shunt; `supply`: before it, with the shunt's own power.
    #[serde(default)]
    pub voltage_at: Option<VoltageAt>,
    /// Supplies of the board, where the configuration states them; a second one is invisible to
    /// the sensor.
    #[serde(default)]
    pub feeds: Option<u32>,
    /// The day of the unit's calibration; `null` where the data sheet's limits hold.
    #[serde(default)]
    pub calibration_date: Option<String>,
    /// Share of a cycle in which current is converted.
    pub duty: Option<f64>,
    /// Share of the attempt inside delivered windows.
    pub coverage: Option<f64>,
    pub windows: u64,
    pub lost_windows: u64,
    pub saturated_windows: u64,
    pub rate_hz: Option<f64>,
    pub missed_deadlines: u64,
    /// What the uncertainty of every figure of the rail is made of.
    #[serde(default)]
    pub limits: Limits,
    /// Delay between load and rail; `null` where it has not been measured on this rig.
    #[serde(default)]
    pub lag: Option<Lag>,
    #[serde(default)]
    pub reasons: Reasons,
}

/// Half-widths of a rail's errors: rectangular limits of the data sheet, of a calibration or
/// of the user. Divided by √3 they are standard uncertainties. 0: the source has no such error.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Relative errors of power by name: shunt, gain, bus gain, time base.
    pub scale: BTreeMap<String, f64>,
    pub current_offset_a: f64,
    /// One ADC step.
    pub current_step_a: f64,
    #[serde(default)]
    pub voltage_step_v: f64,
    pub power_offset_w: f64,
    pub power_step_w: f64,
    pub energy_step_j: f64,
    /// How old a point may be when it is read.
    pub refresh_s: f64,
    /// Share of a window in which the source doesn't look.
    #[serde(default)]
    pub blind_share: f64,
}

/// Delay between load and rail, from steps of the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lag {
    /// Positive: the rail shows the load later than it was.
    pub lag_s: f64,
    pub lag_s_u95: f64,
    /// Standard deviation of the delay at single steps: where `corrected`, it stands in for
    /// `refresh_s` in the uncertainties.
    #[serde(default)]
    pub scatter_s: f64,
    pub date: String,
    /// Whether the rail's readings were moved by it: point sources only.
    pub corrected: bool,
}

/// One rail against another over the same run: `rail = offset + slope × against`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RailComparison {
    pub rail: String,
    /// The rail with the narrower boundary.
    pub against: String,
    pub slope: Option<f64>,
    pub slope_u95: Option<f64>,
    /// What the wider boundary takes besides: the carrier board, where `slope` is near 1.
    pub offset_w: Option<f64>,
    pub offset_w_u95: Option<f64>,
    /// Standard deviation around the line.
    pub residual_w: Option<f64>,
    /// Equal stretches of the run whose mean powers were compared.
    pub n: u32,
    pub stretch_s: Option<f64>,
    #[serde(default)]
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    pub phase: Phase,
    /// From 1; `null` outside repetitions.
    pub rep: Option<u32>,
    pub t0_ns: u64,
    pub t1_ns: u64,
    pub energy_j: Option<f64>,
    pub energy_j_u95: Option<f64>,
    pub coverage: f64,
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Total {
    pub energy_j: Option<f64>,
    pub energy_j_u95: Option<f64>,
    #[serde(default)]
    pub budget: Contributions,
    pub reason: Option<Reason>,
}
