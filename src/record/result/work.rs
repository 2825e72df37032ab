//! How large the work of a repetition is.

use crate::workload::{Job, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens as the job asks for them, with its defaults. What this kind of job does not have is not
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    /// `bench`: of prefill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_prompt: Option<u32>,
    /// `bench`: of decode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_gen: Option<u32>,
    /// `bench`: of context before either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_depth: Option<u32>,
    /// `generate`: of output, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_predict: Option<u32>,
}

impl Work {
    pub fn of(job: &Job) -> Self {
        match job.kind {
            Kind::Bench => {
                let sizes = job.bench_sizes();
                Self {
                    n_prompt: Some(sizes.n_prompt),
                    n_gen: Some(sizes.n_gen),
                    n_depth: Some(sizes.n_depth),
                    n_predict: None,
                }
            }
            Kind::Generate => Self {
                n_predict: Some(job.n_predict),
                ..Self::default()
            },
            Kind::Perplexity | Kind::Choice | Kind::Idle => Self::default(),
        }
    }
}
