//! Records about a job in flight: `jobs/<id>/state`, `tokens` and `trace`.

use super::Reason;
use crate::workload::{JobState, Phase};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `jobs/<id>/state`: where a job stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    pub id: String,
    /// 0 until the first attempt begins.
    pub attempt: u32,
    /// Rises with each state of the job.
    pub rev: u64,
    pub state: JobState,
    pub phase: Option<Phase>,
    /// 0 to 1 of the attempt's tokens; `null` where nothing is counted.
    pub progress: Option<f64>,
    pub reason: Option<String>,
}

/// Token records of one repetition on the primary rail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tokens {
    pub id: String,
    pub attempt: u32,
    pub rep: u32,
    /// Rises by one with each token record of the attempt.
    pub seq: u64,
    /// Whether the primary rail is simulated.
    #[serde(default)]
    pub simulated: bool,
    /// Whether every token has at least 10 complete windows.
    pub resolved: bool,
    /// The repetition's systematic standard uncertainty, relative; `null` without an energy
    /// of decode up to the record's last token, for `reason`.
    pub u_sys_rel: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    pub tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// From 0 in each repetition.
    pub i: u32,
    /// When the token was known, from the repetition's start.
    pub t_s: f64,
    /// `null` for `reason`.
    pub energy_j: Option<f64>,
    /// Expanded uncertainty, coverage about 95 %.
    pub energy_j_u95: Option<f64>,
    /// Random part, a standard uncertainty.
    pub u_ran_j: Option<f64>,
    /// Mean since the token before.
    pub power_w: Option<f64>,
    /// Tokens that became known together, when there is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_n: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// A chunk of one rail's power trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    pub id: String,
    pub attempt: u32,
    pub rail: String,
    #[serde(default)]
    pub simulated: bool,
    pub seq: u64,
    /// Whether this is the rail's last chunk.
    pub last: bool,
    /// CLOCK_MONOTONIC at the beginning of the first window.
    pub t0_mono_ns: u64,
    /// Length of each window; windows follow one another, a gap has `null` power.
    pub dt_ns: Vec<u64>,
    pub power_w: Vec<Option<f64>>,
}
