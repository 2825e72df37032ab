//! What is shown of a result.

use super::tokens::PerToken;
use crate::record::result::{JobResult, LeftOut};
use crate::workload::JobState;

/// The headline figures of one job that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub id: String,
    pub attempt: u32,
    pub state: JobState,
    /// RFC 3339: when it ended.
    pub time: String,
    pub model: Option<String>,
    pub quant: Option<String>,
    pub tok_s: Option<f64>,
    pub per_token: Option<PerToken>,
    /// Hottest zone that was seen between repetitions.
    pub max_c: Option<f64>,
    /// Whether the headline energy is that of a simulated rail.
    pub simulated: bool,
    pub left_out: Vec<LeftOut>,
}

impl Outcome {
    pub fn of(result: &JobResult, time: &str) -> Self {
        let summary = result.summary.as_ref();
        let only = match result.reps.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        let mean = summary.and_then(|summary| summary.j_per_output_token.as_ref());
        let per_token = match only {
            Some(rep) => rep.figures.j_per_output_token.map(|energy_j| PerToken {
                energy_j,
                u95: rep.figures.j_per_output_token_u95,
            }),
            None => mean.map(|mean| PerToken {
                energy_j: mean.mean,
                u95: mean.u95,
            }),
        };
        let primary = result.primary_rail.as_deref();
        Self {
            id: result.id.clone(),
            attempt: result.attempt,
            state: result.state,
            time: time.to_owned(),
            model: result.model.as_ref().map(|model| model.name.clone()),
            quant: result.model.as_ref().and_then(|model| model.quant.clone()),
            tok_s: summary
                .and_then(|summary| summary.decode_tok_s.as_ref())
                .map(|speed| speed.mean),
            per_token,
            max_c: result.thermal.max_c,
            simulated: result
                .rails
                .iter()
                .any(|rail| rail.simulated && primary.is_none_or(|name| name == rail.name)),
            left_out: result.left_out.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing;

    #[test]
    fn the_headline_of_a_result() {
        let result = testing::result();
        let outcome = Outcome::of(&result.body, &result.stamp.time);
        assert!(outcome.simulated);
        assert_eq!(outcome.quant.as_deref(), Some("Q4_1"));
        let per_token = outcome.per_token.unwrap();
        assert!((per_token.energy_j - 0.0472 * 1.001).abs() < 1e-9);
        assert_eq!(per_token.u95, Some(0.0007));
        assert_eq!(outcome.left_out, [LeftOut::Contended]);
    }
}
