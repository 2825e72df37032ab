//! One repetition and its figures.

use super::{Budget, Counters, Distribution, Reasons, StopReason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One repetition. Energies are of the primary rail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Time of each decode token; those of one step each have an equal part of it.
    #[serde(default)]
    pub tpot_distribution_s: Option<Distribution>,
    /// What the uncertainties are made of: `prefill`, `decode`, and `both` as one interval,
    /// which the all-in figures divide.
    #[serde(default)]
    pub budget: BTreeMap<String, Budget>,
    /// The board before and after the repetition; the end of one is the start of the next.
    #[serde(default)]
    pub start: Option<Moment>,
    #[serde(default)]
    pub end: Option<Moment>,
    /// Lowest voltage of the primary rail's windows.
    #[serde(default)]
    pub supply_min_v: Option<f64>,
    /// SHA-256 of the prompt's and the output's token ids (32-bit little endian).
    pub prompt_sha256: Option<String>,
    pub output_sha256: Option<String>,
    /// Only when the job asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseFigures {
    pub tokens: u32,
    pub duration_s: f64,
    pub tok_s: f64,
    pub energy_j: Option<f64>,
    pub energy_j_u95: Option<f64>,
    pub energy_net_j: Option<f64>,
    pub energy_net_j_u95: Option<f64>,
    pub coverage: Option<f64>,
    /// Complete windows of the primary rail inside the phase.
    #[serde(default)]
    pub windows: Option<u64>,
    #[serde(default)]
    pub counters: Counters,
    pub reasons: Reasons,
}

/// Energy per token and what follows from it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
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
    /// Model bandwidth utilisation: bytes that decode reads a second, of the memory's peak.
    #[serde(default)]
    pub mbu: Option<f64>,
}

/// The board at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// The hottest thermal zone that counts.
    pub temperature_c: Option<f64>,
    /// Clock in MHz by clock domain: `cpu0-3`, `gpu`.
    pub clocks_mhz: Option<BTreeMap<String, f64>>,
    /// Revolutions a minute by fan: `pwmfan.fan1`.
    pub fan_rpm: Option<BTreeMap<String, f64>>,
    /// Share of full drive, of a board whose fans have no tachometer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fan_drive: BTreeMap<String, f64>,
    pub mem_available_bytes: Option<u64>,
    pub reasons: Reasons,
}
