//! `jobs/<id>/result`: one record with everything about an attempt.
//!
//! Every block with figures that may be missing has `reasons`, from field name to reason.

mod budget;
mod counters;
mod idle;
mod quality;
mod rail;
mod rep;
mod summary;
mod surroundings;
mod work;

use super::Reason;
pub use crate::board::Board;
pub use crate::energy::Distribution;
pub use crate::runtime::protocol::{Engine, StopReason};
use crate::workload::{JobState, Kind, Params};
pub use budget::{Budget, Contributions};
pub use counters::{Counters, Hardware};
pub use idle::{IdlePair, IdlePhase, Load};
pub use quality::{Choice, Data, Evaluation, Perplexity};
pub use rail::{Interval, Lag, Limits, Rail, RailComparison, Total};
pub use rep::{Figures, Moment, PhaseFigures, Rep};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
pub use summary::{Statistic, Summary};
pub use surroundings::{Contention, Memory, Own, Thermal};
pub use work::Work;

/// Field name → why it is `null`.
pub type Reasons = BTreeMap<String, Reason>;

/// `jobs/<id>/result`: everything about an attempt. Energies are gross unless a name says
/// `net`; `_u95` is the expanded uncertainty of the figure before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobResult {
    pub id: String,
    pub attempt: u32,
    /// Earlier attempts that the daemon's end cut short, the newest 32: they have no result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_attempts: Vec<LostAttempt>,
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
    #[serde(default)]
    pub work: Work,
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
    /// Rails that contain one another, compared over the run.
    #[serde(default)]
    pub comparisons: Vec<RailComparison>,
    pub idle: IdlePair,
    pub load: Option<Load>,
    pub reps: Vec<Rep>,
    pub summary: Option<Summary>,
    /// Of `perplexity` jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<Perplexity>,
    /// Of `choice` jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    pub memory: Memory,
    pub thermal: Thermal,
    pub contention: Contention,
    #[serde(rename = "self")]
    pub own: Own,
    pub warnings: Vec<String>,
    /// Why summaries over several runs leave this one out; empty: they count it.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// The raw data that the figures were made of, kept on the board.
    #[serde(default)]
    pub raw: Option<Raw>,
    /// Of the blocks above that are `null`.
    #[serde(default)]
    pub reasons: Reasons,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Records {
    pub tokens: u64,
    pub trace: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Build {
    pub version: String,
    pub profile: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Model {
    pub name: String,
    pub sha256: String,
    pub arch: String,
    pub quant: Option<String>,
    pub params: u64,
    pub size_bytes: u64,
    /// Tensor bytes that one decode step reads: without unread embeddings and inactive
    /// experts.
    #[serde(default)]
    pub step_bytes: Option<u64>,
    /// KV bytes that one token of context adds, with the job's `kv_type`.
    #[serde(default)]
    pub kv_token_bytes: Option<u64>,
    /// Bytes of the encoder's output for each token of its prompt, which every decode step reads.
    /// Of encoder-decoder models; others lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_token_bytes: Option<u64>,
}

impl Build {
    /// This one.
    pub fn this() -> Self {
        let profile = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile: profile.to_owned(),
        }
    }
}

/// An attempt without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostAttempt {
    pub attempt: u32,
    /// `lost` with the daemon, or `interrupted` by its clean stop.
    pub reason: Option<String>,
}

/// Why a run is left out of summaries over several runs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOut {
    NotSucceeded,
    Contended,
    Throttled,
    /// It asked for a governor, a cap or a power mode, and another one was in force at its end.
    SettingChanged,
}

/// Raw data of an attempt in the storage directory's `raw`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Raw {
    pub file: String,
    pub size_bytes: u64,
    pub sha256: String,
}
