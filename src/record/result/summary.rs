//! Statistics over the repetitions of an attempt.

use super::Reasons;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    pub n: u32,
    pub prefill_tok_s: Option<Statistic>,
    pub decode_tok_s: Option<Statistic>,
    pub ttft_s: Option<Statistic>,
    #[serde(default)]
    pub tpot_s: Option<Statistic>,
    pub j_per_prompt_token: Option<Statistic>,
    pub j_per_output_token: Option<Statistic>,
    pub j_per_output_token_net: Option<Statistic>,
    #[serde(default)]
    pub j_per_output_token_all_in: Option<Statistic>,
    #[serde(default)]
    pub j_per_token_all: Option<Statistic>,
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Systematic standard uncertainty in `u95`, which n does not divide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub u_sys: Option<f64>,
}
