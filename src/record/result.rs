//! `jobs/<id>/result`: one record with everything about an attempt.
//!
//! Every block with figures that may be missing has `reasons`, from field name to reason.

use super::Reason;
pub use crate::board::Board;
pub use crate::runtime::protocol::{Engine, StopReason};
use crate::sensor::{Boundary, BoundaryBasis};
use crate::workload::{JobState, Kind, Params, Phase};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Field name → why it is `null`.
pub type Reasons = BTreeMap<String, Reason>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    pub id: String,
    pub attempt: u32,
    pub kind: Kind,
    pub state: JobState,
    /// Why the attempt failed or was cancelled.
    pub reason: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// How many records of each kind belong to the attempt.
    pub records: Records,
    /// CLOCK_MONOTONIC at the attempt's start: the zero of every `t0_ns` and `t1_ns`.
    pub t0_mono_ns: u64,
    pub jouled: Build,
    pub model: Option<Model>,
    pub engine: Option<Engine>,
    pub params: Params,
    pub tokens_published: crate::workload::TokensWhen,
    pub board: Board,
    /// Supply, peripherals, ambient: as the administrator states them.
    #[serde(default)]
    pub rig: BTreeMap<String, String>,
    pub primary_rail: Option<String>,
    pub rails: Vec<Rail>,
    /// Rail → contiguous intervals whose parts add up to `total`.
    pub timeline: BTreeMap<String, Vec<Interval>>,
    pub total: BTreeMap<String, Total>,
    pub idle: IdlePair,
    pub load: Option<Load>,
    pub reps: Vec<Rep>,
    pub summary: Option<Summary>,
    pub memory: Memory,
    pub thermal: Thermal,
    pub contention: Contention,
    #[serde(rename = "self")]
    pub own: Own,
    pub warnings: Vec<String>,
    /// Of the blocks above that are `null`.
    #[serde(default)]
    pub reasons: Reasons,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Records {
    pub tokens: u64,
    pub trace: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    pub version: String,
    pub profile: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub name: String,
    pub sha256: String,
    pub arch: String,
    pub quant: Option<String>,
    pub params: u64,
    pub size_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    #[serde(default)]
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Total {
    pub energy_j: Option<f64>,
    pub energy_j_u95: Option<f64>,
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdlePair {
    pub before: Option<IdlePhase>,
    pub after: Option<IdlePhase>,
    #[serde(default)]
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdlePhase {
    pub power_w: Option<f64>,
    pub power_w_u95: Option<f64>,
    pub duration_s: f64,
    pub settled: bool,
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    pub duration_s: f64,
    pub energy_j: Option<f64>,
    pub energy_j_u95: Option<f64>,
    /// Whether under 5 % of the file was in memory before.
    pub cold: Option<bool>,
    pub reasons: Reasons,
}

/// One repetition. Energies are of the primary rail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rep {
    pub rep: u32,
    pub ttft_s: Option<f64>,
    pub output_tokens: u32,
    pub stop_reason: StopReason,
    /// Whether decode's tokens all have at least 10 complete windows.
    pub resolved: bool,
    pub u_sys_rel: Option<f64>,
    pub prefill: Option<PhaseFigures>,
    pub decode: Option<PhaseFigures>,
    #[serde(flatten)]
    pub figures: Figures,
    /// SHA-256 of the prompt's and the output's token ids (32-bit little endian).
    pub prompt_sha256: Option<String>,
    pub output_sha256: Option<String>,
    /// Only when the job asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseFigures {
    pub tokens: u32,
    pub duration_s: f64,
    pub tok_s: f64,
    pub energy_j: Option<f64>,
    pub energy_j_u95: Option<f64>,
    pub energy_net_j: Option<f64>,
    pub energy_net_j_u95: Option<f64>,
    pub coverage: Option<f64>,
    pub reasons: Reasons,
}

/// Energy per token and what follows from it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    pub j_per_prompt_token: Option<f64>,
    pub j_per_prompt_token_u95: Option<f64>,
    pub j_per_prompt_token_net: Option<f64>,
    pub j_per_prompt_token_net_u95: Option<f64>,
    pub j_per_output_token: Option<f64>,
    pub j_per_output_token_u95: Option<f64>,
    pub j_per_output_token_net: Option<f64>,
    pub j_per_output_token_net_u95: Option<f64>,
    pub j_per_output_token_all_in: Option<f64>,
    pub j_per_output_token_all_in_u95: Option<f64>,
    pub j_per_output_token_all_in_net: Option<f64>,
    pub j_per_output_token_all_in_net_u95: Option<f64>,
    pub j_per_token_all: Option<f64>,
    pub j_per_token_all_u95: Option<f64>,
    pub j_per_token_all_net: Option<f64>,
    pub j_per_token_all_net_u95: Option<f64>,
    pub tpot_s: Option<f64>,
    pub tok_per_j: Option<f64>,
    pub mwh_per_token: Option<f64>,
    pub edp: Option<f64>,
    pub s_t: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub n: u32,
    pub prefill_tok_s: Option<Statistic>,
    pub decode_tok_s: Option<Statistic>,
    pub ttft_s: Option<Statistic>,
    pub j_per_prompt_token: Option<Statistic>,
    pub j_per_output_token: Option<Statistic>,
    pub j_per_output_token_net: Option<Statistic>,
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistic {
    pub n: u32,
    pub median: f64,
    pub mean: f64,
    /// `null` for a single value.
    pub sd: Option<f64>,
    /// `null` below five values.
    pub iqr: Option<f64>,
    /// Student's t on sd/√n with the undivided systematic part; `null` for a single value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub u95: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    pub rss_peak_bytes: Option<u64>,
    pub anon_bytes: Option<u64>,
    pub file_bytes: Option<u64>,
    pub swap_bytes: Option<u64>,
    pub kv_bytes: Option<u64>,
    pub compute_bytes: Option<u64>,
    pub repack_bytes: Option<u64>,
    pub repack_reason: Option<String>,
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Thermal {
    pub max_c: Option<f64>,
    pub throttled: Option<bool>,
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Contention {
    /// Share of the machine's CPU time that neither the worker nor the daemon used.
    pub foreign_cpu: Option<f64>,
    pub steal: Option<f64>,
    pub psi_some: Option<f64>,
    pub contended: Option<bool>,
    pub reasons: Reasons,
}

/// What the daemon itself cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Own {
    /// CPU seconds of the daemon in each phase.
    pub cpu_s: BTreeMap<String, f64>,
    pub sampler_power_w: Option<f64>,
    pub reasons: Reasons,
}
