//! The job that ended last with figures, in a few numbers: for `health`, Home Assistant and the
//! metrics, whose readers look at boards rather than at results.

use super::device::Boundary;
use super::result::{JobResult, Reasons, Statistic};
use crate::workload::JobState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Medians over the repetitions of a job that succeeded. Energies are of the primary rail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastJob {
    pub id: String,
    pub model: String,
    pub rail: Option<String>,
    pub boundary: Option<Boundary>,
    pub simulated: bool,
    pub prefill_tok_s: Option<f64>,
    pub decode_tok_s: Option<f64>,
    pub j_per_prompt_token: Option<f64>,
    pub j_per_prompt_token_u95: Option<f64>,
    pub j_per_output_token: Option<f64>,
    pub j_per_output_token_u95: Option<f64>,
    /// As in the result's summary.
    pub reasons: Reasons,
}

impl LastJob {
    /// `None` for a job that did not succeed, or has no summary.
    pub fn of(result: &JobResult) -> Option<Self> {
        let summary = result.summary.as_ref()?;
        let model = result.model.as_ref()?;
        if result.state != JobState::Succeeded {
            return None;
        }
        let primary = result.primary_rail.as_deref();
        let rail = result
            .rails
            .iter()
            .find(|rail| Some(rail.name.as_str()) == primary);
        let median = |of: &Option<Statistic>| of.as_ref().map(|of| of.median);
        let u95 = |of: &Option<Statistic>| of.as_ref().and_then(|of| of.u95);
        Some(Self {
            id: result.id.clone(),
            model: model.name.clone(),
            rail: result.primary_rail.clone(),
            boundary: rail.map(|rail| rail.boundary),
            simulated: rail.is_some_and(|rail| rail.simulated),
            prefill_tok_s: median(&summary.prefill_tok_s),
            decode_tok_s: median(&summary.decode_tok_s),
            j_per_prompt_token: median(&summary.j_per_prompt_token),
            j_per_prompt_token_u95: u95(&summary.j_per_prompt_token),
            j_per_output_token: median(&summary.j_per_output_token),
            j_per_output_token_u95: u95(&summary.j_per_output_token),
            reasons: summary.reasons.clone(),
        })
    }
}
