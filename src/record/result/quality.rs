//! How good a model's answers are, and what finding that out took: `perplexity` and `choice`.
//!
//! Energies are of the primary rail, from the first token of the evaluation to its last score
//! (`prefill` of each repetition), and means over the repetitions.

use super::Reasons;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file of the data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Data {
    pub sha256: String,
    pub size_bytes: u64,
}

/// How well the model foretells a text, as llama-perplexity computes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Perplexity {
    /// Name of the text in the data directory.
    pub data: String,
    pub data_sha256: String,
    pub data_bytes: u64,
    /// Tokens of a chunk; those after its first half are scored.
    pub n_ctx: u32,
    pub chunks: u32,
    pub tokens_scored: u64,
    pub perplexity: Option<f64>,
    /// Standard error, as though tokens were independent. It says how much another text of the
    /// kind would differ: on the same text models differ by less.
    pub perplexity_se: Option<f64>,
    /// Mean negative log-likelihood of a scored token, in nats, and its standard error.
    pub nll_mean: Option<f64>,
    pub nll_mean_se: Option<f64>,
    #[serde(flatten)]
    pub evaluation: Evaluation,
    pub j_per_token_scored: Option<f64>,
    pub j_per_token_scored_u95: Option<f64>,
    pub j_per_token_scored_net: Option<f64>,
    pub j_per_token_scored_net_u95: Option<f64>,
    pub reasons: Reasons,
}

/// How often the likeliest choice is the right one, as lm-evaluation-harness counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// Name of the items in the data directory.
    pub data: String,
    pub data_sha256: String,
    pub data_bytes: u64,
    pub items: u32,
    /// By the log-likelihood of the choice.
    pub correct: u32,
    pub acc: Option<f64>,
    /// Standard error over the items, here and below.
    pub acc_se: Option<f64>,
    /// By the log-likelihood per character of the choice.
    pub correct_norm: u32,
    pub acc_norm: Option<f64>,
    pub acc_norm_se: Option<f64>,
    /// By the log-likelihood per byte of the choice: the same in ASCII.
    pub correct_bytes: u32,
    pub acc_bytes: Option<f64>,
    pub acc_bytes_se: Option<f64>,
    #[serde(flatten)]
    pub evaluation: Evaluation,
    pub j_per_item: Option<f64>,
    pub j_per_item_u95: Option<f64>,
    pub j_per_item_net: Option<f64>,
    pub j_per_item_net_u95: Option<f64>,
    /// Energy of all items for each right answer by `acc`. The uncertainty is the energy's: how
    /// sure the number of right answers is, `acc_se` says.
    pub j_per_correct: Option<f64>,
    pub j_per_correct_u95: Option<f64>,
    pub j_per_correct_net: Option<f64>,
    pub j_per_correct_net_u95: Option<f64>,
    /// The same by `acc_norm`.
    pub j_per_correct_norm: Option<f64>,
    pub j_per_correct_norm_u95: Option<f64>,
    /// `acc` for each watt of mean power; and `acc_norm`.
    pub acc_per_w: Option<f64>,
    pub acc_norm_per_w: Option<f64>,
    /// The likeliest choice of each item, from 0; and the likeliest per character.
    #[serde(default)]
    pub picked: Option<Vec<u8>>,
    #[serde(default)]
    pub picked_norm: Option<Vec<u8>>,
    pub reasons: Reasons,
}

/// What one evaluation of the data took: means over the repetitions that came to their end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluation {
    pub repetitions: u32,
    /// Tokens that went through the model: context too, that of an item once, or again for each
    /// further choice of several tokens where the model can't go back to it.
    pub tokens_evaluated: u64,
    pub duration_s: Option<f64>,
    pub energy_j: Option<f64>,
    pub energy_j_u95: Option<f64>,
    pub energy_net_j: Option<f64>,
    pub energy_net_j_u95: Option<f64>,
    /// Mean power meanwhile.
    pub power_w: Option<f64>,
    pub power_w_u95: Option<f64>,
}
