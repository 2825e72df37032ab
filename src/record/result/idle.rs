//! Idle power before and after the work, and the load of the model.

use super::{Contributions, Counters, Reasons};
use crate::record::Reason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdlePair {
    pub before: Option<IdlePhase>,
    pub after: Option<IdlePhase>,
    #[serde(default)]
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdlePhase {
    pub power_w: Option<f64>,
    pub power_w_u95: Option<f64>,
    /// In watts.
    #[serde(default)]
    pub budget: Contributions,
    pub duration_s: f64,
    pub settled: bool,
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    pub duration_s: f64,
    pub energy_j: Option<f64>,
    pub energy_j_u95: Option<f64>,
    #[serde(default)]
    pub budget: Contributions,
    /// Whether under 5 % of the file was in memory before.
    pub cold: Option<bool>,
    /// Share of the file's pages that were in memory before.
    #[serde(default)]
    pub resident_before: Option<f64>,
    #[serde(default)]
    pub counters: Counters,
    pub reasons: Reasons,
}
